use std::error::Error;

use aws_sdk_kinesis::{
    error::{ProvideErrorMetadata, SdkError},
    operation::subscribe_to_shard::SubscribeToShardOutput,
    types::{
        ShardIteratorType, StartingPosition, SubscribeToShardEvent, SubscribeToShardEventStream,
        builders::StartingPositionBuilder,
    },
};
use futures_util::stream;

use super::{AwsKinesis, connections::Token, get_records, time};
use crate::{
    service::{
        ErrorClass, IteratorStart, ServiceError, SubscribeToShard, Subscription, SubscriptionEvent,
    },
    shard::SequenceNumber,
};

const OPERATION: &str = "SubscribeToShard";

pub(super) async fn send(
    aws: &AwsKinesis,
    call: SubscribeToShard,
) -> Result<Subscription, ServiceError> {
    // The builder only needs the type, which `position` always sets.
    let start = position(&call.start).build().map_err(|error| {
        let class = ErrorClass::Invalid;
        ServiceError::unanswered(OPERATION, &aws.endpoint, class, "it has no start")
            .with_source(error)
    })?;
    let (client, token) = aws.connections.client(&aws.client);
    let output = client
        .subscribe_to_shard()
        .consumer_arn(call.consumer_arn)
        .shard_id(call.shard_id.as_str())
        .starting_position(start)
        .send()
        .await
        .map_err(|error| aws.failed(OPERATION, error))?;
    let open = Open {
        aws: aws.clone(),
        output,
        _token: token,
    };
    Ok(Subscription::new(open.events()))
}

fn position(start: &IteratorStart) -> StartingPositionBuilder {
    let position = StartingPosition::builder();
    match start {
        IteratorStart::TrimHorizon => position.r#type(ShardIteratorType::TrimHorizon),
        IteratorStart::Latest => position.r#type(ShardIteratorType::Latest),
        IteratorStart::AtSequenceNumber(number) => position
            .r#type(ShardIteratorType::AtSequenceNumber)
            .sequence_number(number.as_str()),
        IteratorStart::AfterSequenceNumber(number) => position
            .r#type(ShardIteratorType::AfterSequenceNumber)
            .sequence_number(number.as_str()),
        IteratorStart::AtTimestamp(at) => position
            .r#type(ShardIteratorType::AtTimestamp)
            .timestamp(time::to_sdk(*at)),
    }
}

/// An open subscription, with its place on a connection.
struct Open {
    aws: AwsKinesis,
    output: SubscribeToShardOutput,
    _token: Token,
}

impl Open {
    /// Returns the events as they come. An error is the last item.
    fn events(self) -> impl stream::Stream<Item = Result<SubscriptionEvent, ServiceError>> + Send {
        stream::unfold(Some(self), |open| async move {
            let mut open = open?;
            match open.next().await {
                Ok(None) => None,
                Ok(Some(event)) => Some((Ok(event), Some(open))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Option<SubscriptionEvent>, ServiceError> {
        loop {
            match self.output.event_stream.recv().await {
                Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(from))) => {
                    let malformed = "a number in an event is not decimal";
                    let malformed = || self.aws.malformed(OPERATION, malformed);
                    return event(from).map(Some).ok_or_else(malformed);
                }
                // An unknown kind of event.
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.aws.broken(error)),
            }
        }
    }
}

fn event(from: SubscribeToShardEvent) -> Option<SubscriptionEvent> {
    let records: Option<Vec<_>> = from.records.into_iter().map(get_records::record).collect();
    let children = from.child_shards.unwrap_or_default();
    let children: Option<Vec<_>> = children.into_iter().map(get_records::child).collect();
    let continuation = Some(from.continuation_sequence_number).filter(|text| !text.is_empty());
    Some(SubscriptionEvent {
        records: records?,
        continuation: match continuation {
            Some(text) => Some(SequenceNumber::try_from(text).ok()?),
            None => None,
        },
        behind_latest: Some(get_records::behind(from.millis_behind_latest)),
        child_shards: children?,
    })
}

impl AwsKinesis {
    /// Makes the error of a subscription that broke: an exception among the events, or a lost connection.
    #[cold]
    fn broken<E, R>(&self, error: SdkError<E, R>) -> ServiceError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        if let SdkError::ServiceError(context) = &error
            && let Some(code) = context.err().code()
        {
            let message = context.err().message().unwrap_or_default();
            return ServiceError::answered(OPERATION, &self.endpoint, code, message);
        }
        let class = ErrorClass::Transient;
        ServiceError::unanswered(OPERATION, &self.endpoint, class, "the subscription broke")
            .with_source(error.into_source().unwrap_or_else(Into::into))
    }
}
