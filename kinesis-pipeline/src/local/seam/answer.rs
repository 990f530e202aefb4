//! Answers of the API as answers of the seam.

use std::time::Duration;

use crate::{
    local::operations::{
        consumer::ConsumerShape,
        describe_stream_summary, get_records, list_shards, list_streams, put_records,
        shapes::{self, ShardShape},
        subscribe_to_shard::Event,
    },
    record::PartitionKey,
    service::{
        ChildShard, Consumer, ConsumerStatus, EncryptionType, EntryFailure, PutRecordsAnswer,
        RecordPage, ShardPage, StoredAt, StoredRecord, StreamPage, StreamSummary,
        SubscriptionEvent,
    },
    shard::{SequenceNumber, Shard, ShardId},
};

pub(super) fn put_records(response: put_records::Response) -> PutRecordsAnswer {
    PutRecordsAnswer::new(response.records.into_iter().map(put_result).collect())
}

fn put_result(entry: put_records::ResultEntry) -> Result<StoredAt, EntryFailure> {
    match (entry.shard_id, entry.sequence_number) {
        (Some(shard_id), Some(number)) => Ok(StoredAt::new(
            ShardId::stored(shard_id),
            SequenceNumber::stored(number),
        )),
        _ => Err(EntryFailure::new(
            entry.error_code.unwrap_or_default(),
            entry.error_message.unwrap_or_default(),
        )),
    }
}

pub(super) fn get_records(response: get_records::Response) -> RecordPage {
    RecordPage {
        records: response.records.into_iter().map(stored_record).collect(),
        next_iterator: response.next_shard_iterator.map(Into::into),
        behind_latest: Some(Duration::from_millis(response.millis_behind_latest)),
        child_shards: response
            .child_shards
            .unwrap_or_default()
            .into_iter()
            .map(child_shard)
            .collect(),
    }
}

fn stored_record(record: shapes::Record) -> StoredRecord {
    let mut stored = StoredRecord::new(
        SequenceNumber::stored(record.sequence_number),
        record.approximate_arrival_timestamp.0,
        record.data.0,
        PartitionKey::stored(record.partition_key),
    );
    stored.encryption_type = record.encryption_type.map(encryption_type);
    stored
}

fn encryption_type(text: &str) -> EncryptionType {
    match text {
        "KMS" => EncryptionType::Kms,
        _ => EncryptionType::None,
    }
}

fn child_shard(child: shapes::ChildShard) -> ChildShard {
    let parents = child.parent_shards.into_iter().map(ShardId::stored);
    ChildShard::new(
        ShardId::stored(child.shard_id),
        parents.collect(),
        child.hash_key_range.0,
    )
}

pub(super) fn list_shards(response: list_shards::Response) -> ShardPage {
    ShardPage {
        shards: response.shards.into_iter().map(shard).collect(),
        next_token: response.next_token,
    }
}

fn shard(shape: ShardShape) -> Shard {
    let numbers = shape.sequence_number_range;
    let mut shard = Shard::new(
        ShardId::stored(shape.shard_id),
        shape.hash_key_range.0,
        SequenceNumber::stored(numbers.starting_sequence_number),
    );
    shard.parent_id = shape.parent_shard_id.map(ShardId::stored);
    shard.adjacent_parent_id = shape.adjacent_parent_shard_id.map(ShardId::stored);
    shard.ending_sequence_number = numbers.ending_sequence_number.map(SequenceNumber::stored);
    shard
}

pub(super) fn list_streams(response: list_streams::Response) -> StreamPage {
    StreamPage {
        names: response.stream_names,
        has_more: response.has_more_streams,
    }
}

pub(super) fn describe_stream_summary(
    response: describe_stream_summary::Response,
) -> StreamSummary {
    let from = response.stream_description_summary;
    let created_at = from.stream_creation_timestamp.0;
    let mut summary = StreamSummary::new(from.stream_name, from.stream_arn, created_at);
    summary.status = from.stream_status;
    summary.is_on_demand = from.stream_mode_details.stream_mode.as_deref() == Some("ON_DEMAND");
    summary.retention = Duration::from_hours(from.retention_period_hours.into());
    summary.open_shard_count = from.open_shard_count;
    summary.encryption_type = encryption_type(&from.encryption_type);
    summary.record_bytes_max = from.max_record_size_in_kib as usize * 1024;
    summary.consumer_count = from.consumer_count;
    summary
}

pub(super) fn consumer(from: ConsumerShape) -> Consumer {
    let status = match from.status {
        "ACTIVE" => ConsumerStatus::Active,
        "DELETING" => ConsumerStatus::Deleting,
        _ => ConsumerStatus::Creating,
    };
    Consumer::new(from.name, from.arn, status, from.created_at.0)
}

pub(super) fn event(from: Event) -> SubscriptionEvent {
    let children = from.child_shards.unwrap_or_default();
    SubscriptionEvent {
        records: from.records.into_iter().map(stored_record).collect(),
        continuation: from
            .continuation_sequence_number
            .map(SequenceNumber::stored),
        behind_latest: Some(Duration::from_millis(from.millis_behind_latest)),
        child_shards: children.into_iter().map(child_shard).collect(),
    }
}
