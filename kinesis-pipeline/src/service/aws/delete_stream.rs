use super::AwsKinesis;
use crate::service::{DeleteStream, ServiceError};

pub(super) async fn send(aws: &AwsKinesis, call: DeleteStream) -> Result<(), ServiceError> {
    let answer = aws
        .client
        .delete_stream()
        .set_stream_name(call.stream.name_parameter())
        .set_stream_arn(call.stream.arn_parameter())
        .enforce_consumer_deletion(call.even_with_consumers)
        .send()
        .await;
    answer
        .map(drop)
        .map_err(|error| aws.failed("DeleteStream", error))
}
