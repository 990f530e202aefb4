use super::{AwsKinesis, consumer};
use crate::service::{Consumer, RegisterStreamConsumer, ServiceError};

const OPERATION: &str = "RegisterStreamConsumer";

pub(super) async fn send(
    aws: &AwsKinesis,
    call: RegisterStreamConsumer,
) -> Result<Consumer, ServiceError> {
    let output = aws
        .client
        .register_stream_consumer()
        .stream_arn(call.stream_arn)
        .consumer_name(call.consumer_name)
        .send()
        .await
        .map_err(|error| aws.failed(OPERATION, error))?;
    output
        .consumer
        .map(consumer::consumer)
        .ok_or_else(|| aws.malformed(OPERATION, "the consumer is missing"))
}
