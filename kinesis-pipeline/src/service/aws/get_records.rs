//! `GetRecords`. Records are read from the answer without the SDK's types: [`direct`](super::direct) has the reason.

mod answer;
mod arena;
mod cbor;
mod json;
mod parts;

use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::{
    operation::get_records::{GetRecordsOutput, builders::GetRecordsFluentBuilder},
    types,
};
use bytes::Bytes;

use self::parts::Parts;
use super::{
    AwsKinesis,
    dialect::Form,
    direct::{Direct, Reached, Read, ReadCbor},
    shards, time,
};
use crate::{
    clock,
    record::PartitionKey,
    service::{
        ChildShard, EncryptionType, GetRecords, RecordPage, ServiceError, ShardIterator,
        StoredRecord,
    },
    shard::{SequenceNumber, ShardId},
};

const OPERATION: &str = "GetRecords";

/// The page, or the name of the part that breaks the API's promise.
type Page = Result<RecordPage, &'static str>;

const READ: Read<Page> = Read {
    json: json::answer,
    cbor: ReadCbor::Parts(|body_bytes| Box::new(Parts::new(body_bytes))),
};

/// The last millisecond of the year 9999.
const MILLIS_MAX: u64 = 253_402_300_799_999;

pub(super) async fn send(aws: &AwsKinesis, call: GetRecords) -> Result<RecordPage, ServiceError> {
    let form = aws.dialect.form();
    let body = (form == Form::Cbor).then(|| cbor::body(&call));
    let request = aws
        .client
        .get_records()
        .set_stream_arn(call.stream.arn_parameter())
        .shard_iterator(call.iterator.into_string())
        .set_limit(call.limit.map(super::int));
    if form == Form::Typed {
        return send_typed(aws, request).await;
    }
    let mut reached = send_in(aws, &request, (form, body)).await?;
    if matches!(reached, Reached::Refused) {
        reached = send_in(aws, &request, (Form::Json, None)).await?;
    }
    match reached {
        Reached::Answer(page) => page.map_err(|what| aws.malformed(OPERATION, what)),
        Reached::OtherProtocol => {
            aws.dialect.is_other_protocol();
            send_typed(aws, request).await
        }
        Reached::Nothing | Reached::Refused => Err(aws.malformed(OPERATION, "it was not read")),
    }
}

/// Makes the call with this body; without one, in the SDK's own form.
async fn send_in(
    aws: &AwsKinesis,
    request: &GetRecordsFluentBuilder,
    form: (Form, Option<Bytes>),
) -> Result<Reached<Page>, ServiceError> {
    let (direct, answer) = Direct::new(&aws.dialect, form, &READ);
    let sent = request.clone().customize().interceptor(direct).send().await;
    let reached = answer.reached();
    if !reached.has_another_way() {
        sent.map_err(|error| aws.failed(OPERATION, error))?;
    }
    Ok(reached)
}

/// Makes the call through the SDK's types: for a client whose interceptors read records, or whose protocol is not the
/// service's JSON.
async fn send_typed(
    aws: &AwsKinesis,
    request: GetRecordsFluentBuilder,
) -> Result<RecordPage, ServiceError> {
    let answer = request.send().await;
    typed(answer.map_err(|error| aws.failed(OPERATION, error))?)
        .ok_or_else(|| aws.malformed(OPERATION, "a number in it is not decimal"))
}

fn typed(output: GetRecordsOutput) -> Option<RecordPage> {
    let records: Option<Vec<_>> = output.records.into_iter().map(record).collect();
    let children = output.child_shards.unwrap_or_default();
    let children: Option<Vec<_>> = children.into_iter().map(child).collect();
    Some(RecordPage {
        records: records?,
        next_iterator: output.next_shard_iterator.map(ShardIterator::from),
        behind_latest: output.millis_behind_latest.map(behind),
        child_shards: children?,
    })
}

/// Converts a record; `None` if its sequence number is not decimal.
pub(super) fn record(record: types::Record) -> Option<StoredRecord> {
    let arrived_at = record.approximate_arrival_timestamp.map(time::from_sdk);
    Some(StoredRecord {
        sequence_number: SequenceNumber::try_from(record.sequence_number).ok()?,
        // The API promises a time; some local servers leave it out.
        arrived_at: arrived_at.unwrap_or(SystemTime::UNIX_EPOCH),
        data: record.data.into_bytes(),
        partition_key: PartitionKey::stored(record.partition_key.unwrap_or_default()),
        encryption_type: record.encryption_type.as_ref().and_then(encryption),
    })
}

/// Converts the kind of encryption; `None` for an unknown one.
fn encryption_of(kind: &[u8]) -> Option<EncryptionType> {
    match kind {
        b"NONE" => Some(EncryptionType::None),
        b"KMS" => Some(EncryptionType::Kms),
        _ => None,
    }
}

/// Converts milliseconds since the epoch. Any number is accepted, and clamped to a valid time.
fn at_millis(millis: f64) -> SystemTime {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what is out of range becomes the end of the range"
    )]
    let millis = millis.round() as u64;
    clock::from_epoch_millis(millis.min(MILLIS_MAX))
}

/// Converts `MillisBehindLatest`: the API has a whole number of 0 or more. A fraction is cut off. `None` for a negative
/// number: the page then counts as one at the tip.
fn behind_millis(millis: f64) -> Option<Duration> {
    if millis <= 0.0 {
        return Some(Duration::ZERO);
    }
    Duration::try_from_secs_f64(millis / 1000.0).ok()
}

/// Converts the kind of encryption; `None` for an unknown one.
pub(super) fn encryption(kind: &types::EncryptionType) -> Option<EncryptionType> {
    match kind {
        types::EncryptionType::None => Some(EncryptionType::None),
        types::EncryptionType::Kms => Some(EncryptionType::Kms),
        _ => None,
    }
}

pub(super) fn behind(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Converts a child shard; `None` if its hash keys are not decimal.
pub(super) fn child(child: types::ChildShard) -> Option<ChildShard> {
    Some(ChildShard {
        shard_id: ShardId::from(child.shard_id),
        parents: child.parent_shards.into_iter().map(ShardId::from).collect(),
        hash_key_range: shards::hash_key_range(child.hash_key_range.as_ref())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock,
        service::{Kinesis, StreamId, aws::stub::Stub},
        shard::HashKey,
    };

    #[tokio::test]
    async fn the_last_page_of_a_shard_has_its_children_and_exact_arrival_times() {
        let stub = Stub::answering(
            200,
            r#"{"MillisBehindLatest":1500,"Records":[{"SequenceNumber":"17","Data":"aGk=",
                "ApproximateArrivalTimestamp":1433969276.172,"PartitionKey":"k","EncryptionType":"KMS"}],
               "ChildShards":[{"ShardId":"shardId-000000000002",
                "ParentShards":["shardId-000000000000","shardId-000000000001"],
                "HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"9"}}]}"#,
        )
        .await;
        let arn = StreamId::from("arn:aws:kinesis:eu-west-1:000000000000:stream/s");
        let call = GetRecords::new(arn.clone(), ShardIterator::from("it".to_owned())).limit(5);
        let page = stub.aws().get_records(call).await.unwrap();
        assert_eq!(page.behind_latest, Some(Duration::from_millis(1500)));
        assert!(page.next_iterator.is_none());
        let record = &page.records[0];
        assert_eq!(clock::epoch_millis(record.arrived_at), 1_433_969_276_172);
        assert_eq!(&record.data[..], b"hi");
        assert_eq!(record.encryption_type, Some(EncryptionType::Kms));
        assert_eq!(page.child_shards[0].parents.len(), 2);
        assert_eq!(page.child_shards[0].hash_key_range.end, HashKey::new(9));
        let request = stub.request().await;
        assert_eq!(request["StreamARN"], arn.as_str());
        assert_eq!(
            (&request["ShardIterator"], &request["Limit"]),
            (&"it".into(), &5.into())
        );
    }
}
