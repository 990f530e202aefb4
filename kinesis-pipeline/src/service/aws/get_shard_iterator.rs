use aws_sdk_kinesis::{
    operation::get_shard_iterator::builders::GetShardIteratorFluentBuilder,
    types::ShardIteratorType,
};

use super::{AwsKinesis, time};
use crate::service::{GetShardIterator, IteratorStart, ServiceError, ShardIterator};

const OPERATION: &str = "GetShardIterator";

pub(super) async fn send(
    aws: &AwsKinesis,
    call: GetShardIterator,
) -> Result<ShardIterator, ServiceError> {
    let request = aws
        .client
        .get_shard_iterator()
        .set_stream_name(call.stream.name_parameter())
        .set_stream_arn(call.stream.arn_parameter())
        .shard_id(call.shard_id.as_str());
    let output = starting(request, &call.start)
        .send()
        .await
        .map_err(|error| aws.failed(OPERATION, error))?;
    output
        .shard_iterator
        .map(ShardIterator::from)
        .ok_or_else(|| aws.malformed(OPERATION, "the iterator is missing"))
}

fn starting(
    request: GetShardIteratorFluentBuilder,
    start: &IteratorStart,
) -> GetShardIteratorFluentBuilder {
    match start {
        IteratorStart::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
        IteratorStart::Latest => request.shard_iterator_type(ShardIteratorType::Latest),
        IteratorStart::AtSequenceNumber(number) => request
            .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
            .starting_sequence_number(number.as_str()),
        IteratorStart::AfterSequenceNumber(number) => request
            .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
            .starting_sequence_number(number.as_str()),
        IteratorStart::AtTimestamp(at) => request
            .shard_iterator_type(ShardIteratorType::AtTimestamp)
            .timestamp(time::to_sdk(*at)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        clock,
        service::{Kinesis, StreamId, aws::stub::Stub},
        shard::ShardId,
    };

    #[tokio::test]
    async fn every_start_has_its_type_and_argument() {
        let number = || "17".parse().unwrap();
        let at = clock::from_epoch_millis(1_433_969_276_172);
        let table = [
            (
                IteratorStart::TrimHorizon,
                json!({"ShardIteratorType": "TRIM_HORIZON"}),
            ),
            (
                IteratorStart::Latest,
                json!({"ShardIteratorType": "LATEST"}),
            ),
            (
                IteratorStart::AtSequenceNumber(number()),
                json!({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "17"}),
            ),
            (
                IteratorStart::AfterSequenceNumber(number()),
                json!({"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": "17"}),
            ),
            (
                IteratorStart::AtTimestamp(at),
                json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1_433_969_276.172}),
            ),
        ];
        for (start, expected) in table {
            let stub = Stub::answering(200, r#"{"ShardIterator":"it"}"#).await;
            let call = GetShardIterator::new(StreamId::from("s"), ShardId::from("x"), start);
            let iterator = stub.aws().get_shard_iterator(call).await.unwrap();
            assert_eq!(iterator.as_str(), "it");
            let request = stub.request().await;
            for (field, value) in expected.as_object().unwrap() {
                assert_eq!(&request[field], value);
            }
        }
    }
}
