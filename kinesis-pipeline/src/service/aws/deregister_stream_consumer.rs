use super::AwsKinesis;
use crate::service::{DeregisterStreamConsumer, ServiceError};

pub(super) async fn send(
    aws: &AwsKinesis,
    call: DeregisterStreamConsumer,
) -> Result<(), ServiceError> {
    let request = aws
        .client
        .deregister_stream_consumer()
        .stream_arn(call.stream_arn)
        .consumer_name(call.consumer_name);
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) => Err(aws.failed("DeregisterStreamConsumer", error)),
    }
}
