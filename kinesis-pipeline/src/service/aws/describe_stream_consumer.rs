use super::{AwsKinesis, consumer};
use crate::service::{Consumer, DescribeStreamConsumer, ServiceError};

const OPERATION: &str = "DescribeStreamConsumer";

pub(super) async fn send(
    aws: &AwsKinesis,
    call: DescribeStreamConsumer,
) -> Result<Consumer, ServiceError> {
    let output = aws
        .client
        .describe_stream_consumer()
        .stream_arn(call.stream_arn)
        .consumer_name(call.consumer_name)
        .send()
        .await
        .map_err(|error| aws.failed(OPERATION, error))?;
    output
        .consumer_description
        .map(consumer::description)
        .ok_or_else(|| aws.malformed(OPERATION, "the description is missing"))
}
