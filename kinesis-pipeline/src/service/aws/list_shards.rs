use aws_sdk_kinesis::types::{self, ShardFilterType};

use super::{AwsKinesis, limits::ReadLimits, shards, time};
use crate::service::{ListShards, ServiceError, ShardFilter, ShardPage};

const OPERATION: &str = "ListShards";

pub(super) async fn send(aws: &AwsKinesis, call: ListShards) -> Result<ShardPage, ServiceError> {
    let request = aws
        .client
        .list_shards()
        .set_max_results(call.limit.map(super::int));
    // The service refuses a token together with the fields that the token already holds.
    let request = match call.next_token {
        Some(token) => request.next_token(token),
        None => request
            .set_stream_name(call.stream.name_parameter())
            .set_stream_arn(call.stream.arn_parameter())
            .set_shard_filter(call.filter.map(filter)),
    };
    let output = request
        .customize()
        .interceptor(ReadLimits(aws.is_unlimited.clone()))
        .send()
        .await
        .map_err(|error| aws.failed(OPERATION, error))?;
    let shards = output.shards.unwrap_or_default();
    let shards: Option<Vec<_>> = shards.into_iter().map(shards::shard).collect();
    let shards = shards.ok_or_else(|| aws.malformed(OPERATION, "a shard has no ranges"))?;
    Ok(ShardPage {
        shards,
        next_token: output.next_token,
    })
}

fn filter(filter: ShardFilter) -> types::ShardFilter {
    let built = types::ShardFilter::builder();
    let built = match filter {
        ShardFilter::AfterShardId(id) => built
            .r#type(ShardFilterType::AfterShardId)
            .shard_id(id.as_str()),
        ShardFilter::AtTrimHorizon => built.r#type(ShardFilterType::AtTrimHorizon),
        ShardFilter::FromTrimHorizon => built.r#type(ShardFilterType::FromTrimHorizon),
        ShardFilter::AtLatest => built.r#type(ShardFilterType::AtLatest),
        ShardFilter::AtTimestamp(at) => built
            .r#type(ShardFilterType::AtTimestamp)
            .timestamp(time::to_sdk(at)),
        ShardFilter::FromTimestamp(at) => built
            .r#type(ShardFilterType::FromTimestamp)
            .timestamp(time::to_sdk(at)),
    };
    built
        .build()
        .expect("the type, the one required member, is set")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        service::{Kinesis, StreamId, aws::stub::Stub},
        shard::ShardId,
    };

    #[tokio::test]
    async fn a_page_tells_lineage_and_which_shards_are_closed() {
        let stub = Stub::answering(
            200,
            r#"{"NextToken":"t","Shards":[{"ShardId":"shardId-000000000002",
              "ParentShardId":"shardId-000000000000","AdjacentParentShardId":"shardId-000000000001",
              "HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"340282366920938463463374607431768211455"},
              "SequenceNumberRange":{"StartingSequenceNumber":"5","EndingSequenceNumber":"9"}}]}"#,
        )
        .await;
        let call = ListShards::new(StreamId::from("s")).filter(ShardFilter::AfterShardId(
            ShardId::from("shardId-000000000001"),
        ));
        let page = stub.aws().list_shards(call).await.unwrap();
        assert_eq!(page.next_token.as_deref(), Some("t"));
        assert_eq!(page.shards[0].parents().count(), 2);
        assert!(!page.shards[0].is_open());
        let request = stub.request().await;
        assert_eq!(request["ShardFilter"]["Type"], "AFTER_SHARD_ID");
        assert_eq!(request["ShardFilter"]["ShardId"], "shardId-000000000001");
    }

    #[tokio::test]
    async fn a_token_goes_alone() {
        let stub = Stub::answering(200, r#"{"Shards":[]}"#).await;
        let call = ListShards::new(StreamId::from("s"))
            .filter(ShardFilter::AtLatest)
            .next_token("t".to_owned());
        stub.aws().list_shards(call).await.unwrap();
        let request = stub.request().await;
        assert_eq!(request, serde_json::json!({"NextToken": "t"}));
    }
}
