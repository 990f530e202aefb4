use std::{sync::Arc, time::Duration};

use crate::{
    get::{
        error::GetError,
        fetch::{
            self,
            with_retries::{retried, with_retries},
        },
    },
    service::{
        Consumer, ConsumerStatus, DeregisterStreamConsumer, DescribeStreamConsumer,
        DescribeStreamSummary, ErrorClass, RegisterStreamConsumer, ServiceError, StreamSummary,
    },
    target::Target,
};

/// The number of consumers that a stream takes in every account; some accounts may have more.
const CONSUMERS_MAX: u32 = 20;
/// The wait between two looks at a consumer that is not ready.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The number of times that a consumer is described before it is given up: about a minute.
const LOOKS_MAX: usize = 60;

/// Returns the ARN of the consumer of this name once it can subscribe. Registers it if the stream does not have it.
pub(crate) async fn ready(target: &Target, name: &str) -> Result<Arc<str>, GetError> {
    let arn = make_ready(target, name).await;
    arn.map_err(|error| GetError::consumer(&target.stream, name, error))
}

async fn make_ready(target: &Target, name: &str) -> Result<Arc<str>, ServiceError> {
    let stream_arn = stream_arn(target).await?;
    let mut last = None;
    for look in 0..LOOKS_MAX {
        if look > 0 {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        let found = match describe(target, &stream_arn, name).await {
            Err(error) if error.class == ErrorClass::NotFound => {
                match register(target, &stream_arn, name).await {
                    Err(error) if !is_final(target, &error).await => {
                        last = Some(error);
                        continue;
                    }
                    registered => registered,
                }
            }
            found => found,
        };
        let consumer = found?;
        if consumer.status == ConsumerStatus::Active {
            return Ok(consumer.arn.into());
        }
        last = Some(not_ready(target, consumer.status));
    }
    Err(last.unwrap_or_else(|| not_ready(target, ConsumerStatus::Creating)))
}

/// Removes the consumer of this name. It is no error if there is none.
pub(crate) async fn deregister(target: &Target, name: &str) -> Result<(), GetError> {
    let removed = match stream_arn(target).await {
        Ok(stream_arn) => remove(target, &stream_arn, name).await,
        Err(error) => Err(error),
    };
    removed.map_err(|error| GetError::consumer(&target.stream, name, error))
}

async fn remove(target: &Target, stream_arn: &str, name: &str) -> Result<(), ServiceError> {
    let service = &*target.service;
    let call = || async {
        let call = DeregisterStreamConsumer::new(stream_arn, name);
        let call = service.deregister_stream_consumer(call);
        match fetch::in_time("DeregisterStreamConsumer", service, call).await {
            Err(error) if error.class == ErrorClass::NotFound => Ok(()),
            removed => removed,
        }
    };
    with_retries(target, call).await
}

/// Returns the stream's ARN, by which the service names its consumers.
async fn stream_arn(target: &Target) -> Result<String, ServiceError> {
    match target.stream.arn_parameter() {
        Some(arn) => Ok(arn),
        None => summary(target).await.map(|summary| summary.arn),
    }
}

/// Whether the stream no longer has the consumer of this name. False if the call fails.
pub(in crate::get) async fn is_gone(target: &Target, name: &str) -> bool {
    let found = match stream_arn(target).await {
        Ok(stream_arn) => describe(target, &stream_arn, name).await.map(drop),
        Err(error) => Err(error),
    };
    found.is_err_and(|error| error.class == ErrorClass::NotFound)
}

pub(in crate::get) async fn summary(target: &Target) -> Result<StreamSummary, ServiceError> {
    with_retries(target, || summary_once(target)).await
}

/// Describes the stream, and tries for as long as `outage_max` if that fails.
pub(in crate::get) async fn summary_within(
    target: &Target,
    outage_max: Duration,
) -> Result<StreamSummary, ServiceError> {
    retried(target, |_| outage_max, || summary_once(target)).await
}

async fn summary_once(target: &Target) -> Result<StreamSummary, ServiceError> {
    let service = &*target.service;
    let call = DescribeStreamSummary::new(target.stream.clone());
    let call = service.describe_stream_summary(call);
    fetch::in_time("DescribeStreamSummary", service, call).await
}

async fn describe(target: &Target, stream_arn: &str, name: &str) -> Result<Consumer, ServiceError> {
    let service = &*target.service;
    let call = || {
        let call = DescribeStreamConsumer::new(stream_arn, name);
        fetch::in_time(
            "DescribeStreamConsumer",
            service,
            service.describe_stream_consumer(call),
        )
    };
    with_retries(target, call).await
}

async fn register(target: &Target, stream_arn: &str, name: &str) -> Result<Consumer, ServiceError> {
    let service = &*target.service;
    let call = service.register_stream_consumer(RegisterStreamConsumer::new(stream_arn, name));
    let consumer = fetch::in_time("RegisterStreamConsumer", service, call).await?;
    tracing::info!(stream = %target.stream, consumer = name, "consumer registered");
    Ok(consumer)
}

/// Whether registering again cannot help. A limit that is exceeded may be the one on consumers in creation, which
/// passes, or the one on all consumers, which does not.
async fn is_final(target: &Target, error: &ServiceError) -> bool {
    match error.class {
        ErrorClass::Throttled | ErrorClass::Transient | ErrorClass::InUse => false,
        ErrorClass::LimitExceeded => {
            let summary = summary(target).await;
            summary.is_ok_and(|summary| summary.consumer_count >= CONSUMERS_MAX)
        }
        _ => true,
    }
}

fn not_ready(target: &Target, status: ConsumerStatus) -> ServiceError {
    let message = format!("the consumer is still {status}");
    let endpoint = target.service.endpoint();
    ServiceError::unanswered(
        "DescribeStreamConsumer",
        endpoint,
        ErrorClass::InUse,
        message,
    )
}
