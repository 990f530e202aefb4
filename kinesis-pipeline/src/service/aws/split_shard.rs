use super::AwsKinesis;
use crate::service::{ServiceError, SplitShard};

pub(super) async fn send(aws: &AwsKinesis, call: SplitShard) -> Result<(), ServiceError> {
    let answer = aws
        .client
        .split_shard()
        .set_stream_name(call.stream.name_parameter())
        .set_stream_arn(call.stream.arn_parameter())
        .shard_to_split(call.shard_id.as_str())
        .new_starting_hash_key(call.second_child_start.to_string())
        .send()
        .await;
    answer
        .map(drop)
        .map_err(|error| aws.failed("SplitShard", error))
}
