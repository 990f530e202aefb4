use super::AwsKinesis;
use crate::service::{MergeShards, ServiceError};

pub(super) async fn send(aws: &AwsKinesis, call: MergeShards) -> Result<(), ServiceError> {
    let answer = aws
        .client
        .merge_shards()
        .set_stream_name(call.stream.name_parameter())
        .set_stream_arn(call.stream.arn_parameter())
        .shard_to_merge(call.shard_id.as_str())
        .adjacent_shard_to_merge(call.adjacent_shard_id.as_str())
        .send()
        .await;
    answer
        .map(drop)
        .map_err(|error| aws.failed("MergeShards", error))
}
