//! Calls of the seam as requests of the API.

use bytestring::ByteString;

use crate::{
    local::{
        operations::{
            create_stream, delete_stream, deregister_stream_consumer, describe_stream_consumer,
            describe_stream_summary, entry, get_records, get_shard_iterator, list_shards,
            list_streams, merge_shards, put_records, register_stream_consumer,
            shapes::StreamModeDetails, split_shard, subscribe_to_shard, update_shard_count,
        },
        protocol::values::{Blob, Timestamp},
        stream_ref::StreamRef,
    },
    record::EncodedRecord,
    service::{
        Capacity, CreateStream, DeleteStream, DeregisterStreamConsumer, DescribeStreamConsumer,
        DescribeStreamSummary, GetRecords, GetShardIterator, IteratorStart, ListShards,
        ListStreams, MergeShards, PutRecords, RegisterStreamConsumer, ShardFilter, SplitShard,
        StreamId, SubscribeToShard, UpdateShardCount,
    },
    shard::SequenceNumber,
};

/// Returns the members that name a stream.
fn named(stream: &StreamId) -> StreamRef {
    StreamRef {
        stream_name: stream.name_parameter(),
        stream_arn: stream.arn_parameter(),
    }
}

pub(super) fn put_records(call: &PutRecords) -> put_records::Request {
    put_records::Request {
        stream: named(&call.stream),
        records: Some(call.records.iter().map(entry).collect()),
        ..put_records::Request::default()
    }
}

fn entry(record: &EncodedRecord) -> entry::Entry {
    entry::Entry {
        data: Some(Blob(record.data.clone())),
        partition_key: Some(ByteString::from(record.partition_key.as_str())),
        explicit_hash_key: record.explicit_hash_key.map(|key| key.to_string()),
    }
}

pub(super) fn get_shard_iterator(call: GetShardIterator) -> get_shard_iterator::Request {
    let (kind, starting_sequence_number, timestamp) = position(call.start);
    get_shard_iterator::Request {
        stream: named(&call.stream),
        shard_id: Some(call.shard_id.as_str().to_owned()),
        shard_iterator_type: Some(kind.to_owned()),
        starting_sequence_number: starting_sequence_number.map(|number| number.to_string()),
        timestamp,
        dry_run: None,
    }
}

/// Returns the API's type of a start, with its parameter.
fn position(start: IteratorStart) -> (&'static str, Option<SequenceNumber>, Option<Timestamp>) {
    match start {
        IteratorStart::TrimHorizon => ("TRIM_HORIZON", None, None),
        IteratorStart::Latest => ("LATEST", None, None),
        IteratorStart::AtSequenceNumber(number) => ("AT_SEQUENCE_NUMBER", Some(number), None),
        IteratorStart::AfterSequenceNumber(number) => ("AFTER_SEQUENCE_NUMBER", Some(number), None),
        IteratorStart::AtTimestamp(time) => ("AT_TIMESTAMP", None, Some(Timestamp(time))),
    }
}

pub(super) fn get_records(call: GetRecords) -> get_records::Request {
    get_records::Request {
        stream_arn: call.stream.arn_parameter(),
        shard_iterator: Some(call.iterator.into_string()),
        limit: call.limit.map(i64::from),
        dry_run: None,
    }
}

/// Converts a listing of shards. As on the service, a token stands for the stream and the filter.
pub(super) fn list_shards(call: ListShards) -> list_shards::Request {
    let max_results = call.limit.map(i64::from);
    if call.next_token.is_some() {
        return list_shards::Request {
            next_token: call.next_token,
            max_results,
            ..list_shards::Request::default()
        };
    }
    list_shards::Request {
        stream: named(&call.stream),
        max_results,
        shard_filter: call.filter.map(filter),
        ..list_shards::Request::default()
    }
}

fn filter(filter: ShardFilter) -> list_shards::Filter {
    let (kind, shard_id, timestamp) = match filter {
        ShardFilter::AfterShardId(id) => ("AFTER_SHARD_ID", Some(id), None),
        ShardFilter::AtTrimHorizon => ("AT_TRIM_HORIZON", None, None),
        ShardFilter::FromTrimHorizon => ("FROM_TRIM_HORIZON", None, None),
        ShardFilter::AtLatest => ("AT_LATEST", None, None),
        ShardFilter::AtTimestamp(time) => ("AT_TIMESTAMP", None, Some(Timestamp(time))),
        ShardFilter::FromTimestamp(time) => ("FROM_TIMESTAMP", None, Some(Timestamp(time))),
    };
    list_shards::Filter {
        kind: Some(kind.to_owned()),
        shard_id: shard_id.map(|id| id.as_str().to_owned()),
        timestamp,
    }
}

pub(super) fn list_streams(call: ListStreams) -> list_streams::Request {
    list_streams::Request {
        exclusive_start_stream_name: call.after_name,
        limit: call.limit.map(i64::from),
        next_token: None,
    }
}

pub(super) fn describe_stream_summary(
    call: &DescribeStreamSummary,
) -> describe_stream_summary::Request {
    describe_stream_summary::Request {
        stream: named(&call.stream),
    }
}

pub(super) fn create_stream(call: CreateStream) -> create_stream::Request {
    let (shard_count, is_on_demand) = match call.capacity {
        Capacity::Provisioned(count) => (Some(count.into()), false),
        Capacity::OnDemand => (None, true),
    };
    create_stream::Request {
        stream_name: Some(call.name),
        shard_count,
        stream_mode_details: Some(StreamModeDetails::of(is_on_demand)),
        ..create_stream::Request::default()
    }
}

pub(super) fn delete_stream(call: &DeleteStream) -> delete_stream::Request {
    delete_stream::Request {
        stream: named(&call.stream),
        enforce_consumer_deletion: Some(call.even_with_consumers),
    }
}

pub(super) fn split_shard(call: &SplitShard) -> split_shard::Request {
    split_shard::Request {
        stream: named(&call.stream),
        shard_to_split: Some(call.shard_id.as_str().to_owned()),
        new_starting_hash_key: Some(call.second_child_start.to_string()),
    }
}

pub(super) fn merge_shards(call: &MergeShards) -> merge_shards::Request {
    merge_shards::Request {
        stream: named(&call.stream),
        shard_to_merge: Some(call.shard_id.as_str().to_owned()),
        adjacent_shard_to_merge: Some(call.adjacent_shard_id.as_str().to_owned()),
    }
}

pub(super) fn update_shard_count(call: &UpdateShardCount) -> update_shard_count::Request {
    update_shard_count::Request {
        stream: named(&call.stream),
        target_shard_count: Some(call.target_shard_count.into()),
        scaling_type: Some("UNIFORM_SCALING".to_owned()),
    }
}

pub(super) fn register_stream_consumer(
    call: RegisterStreamConsumer,
) -> register_stream_consumer::Request {
    register_stream_consumer::Request {
        stream_arn: Some(call.stream_arn),
        consumer_name: Some(call.consumer_name),
        tags: None,
    }
}

pub(super) fn describe_stream_consumer(
    call: DescribeStreamConsumer,
) -> describe_stream_consumer::Request {
    describe_stream_consumer::Request {
        stream_arn: Some(call.stream_arn),
        consumer_name: Some(call.consumer_name),
        consumer_arn: None,
    }
}

pub(super) fn deregister_stream_consumer(
    call: DeregisterStreamConsumer,
) -> deregister_stream_consumer::Request {
    deregister_stream_consumer::Request {
        stream_arn: Some(call.stream_arn),
        consumer_name: Some(call.consumer_name),
        consumer_arn: None,
    }
}

pub(super) fn subscribe_to_shard(call: SubscribeToShard) -> subscribe_to_shard::Request {
    let (kind, sequence_number, timestamp) = position(call.start);
    let start = subscribe_to_shard::StartingPosition {
        kind: Some(kind.to_owned()),
        sequence_number: sequence_number.map(|number| number.to_string()),
        timestamp,
    };
    subscribe_to_shard::Request {
        consumer_arn: Some(call.consumer_arn),
        shard_id: Some(call.shard_id.as_str().to_owned()),
        starting_position: Some(start),
        dry_run: None,
    }
}
