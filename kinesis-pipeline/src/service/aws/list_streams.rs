use super::AwsKinesis;
use crate::service::{ListStreams, ServiceError, StreamPage};

pub(super) async fn send(aws: &AwsKinesis, call: ListStreams) -> Result<StreamPage, ServiceError> {
    let output = aws
        .client
        .list_streams()
        .set_exclusive_start_stream_name(call.after_name)
        .set_limit(call.limit.map(super::int))
        .send()
        .await
        .map_err(|error| aws.failed("ListStreams", error))?;
    Ok(StreamPage {
        names: output.stream_names,
        has_more: output.has_more_streams,
    })
}
