use aws_sdk_kinesis::types::ScalingType;

use super::AwsKinesis;
use crate::service::{ServiceError, UpdateShardCount};

pub(super) async fn send(aws: &AwsKinesis, call: UpdateShardCount) -> Result<(), ServiceError> {
    let target = i32::try_from(call.target_shard_count).unwrap_or(i32::MAX);
    let answer = aws
        .client
        .update_shard_count()
        .set_stream_name(call.stream.name_parameter())
        .set_stream_arn(call.stream.arn_parameter())
        .target_shard_count(target)
        .scaling_type(ScalingType::UniformScaling)
        .send()
        .await;
    answer
        .map(drop)
        .map_err(|error| aws.failed("UpdateShardCount", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{StreamId, aws::stub::Stub};

    #[tokio::test]
    async fn the_target_is_asked_for_in_uniform_scaling() {
        let stub = Stub::answering(200, "{}").await;
        let call = UpdateShardCount::new(StreamId::from("s"), 8);
        send(&stub.aws(), call).await.unwrap();
        let request = stub.request().await;
        assert_eq!(request["TargetShardCount"], 8);
        assert_eq!(request["ScalingType"], "UNIFORM_SCALING");
    }
}
