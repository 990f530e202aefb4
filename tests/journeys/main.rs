//! Journeys of a user through the official SDK over HTTP: on the embedded Kinesis, and on two that others wrote.

mod fan_out;
mod faults;
mod puts;
mod reads;
mod reshard;
mod starts;

use std::time::Duration;

use kinesis_pipeline::{GetError, KinesisRecord, KinesisStream, Record, Records, StartAt, Until};
use kinesis_pipeline_tests::Server;
use serde::{Deserialize, Serialize};

/// Runs each journey on all servers. On kinesis-mock only if one is running.
macro_rules! journeys {
    ($($theme:ident::$name:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$theme::$name(super::Server::embedded().await).await;
            })*
        }
        mod ferrokinesis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$theme::$name(super::Server::ferrokinesis().await).await;
            })*
        }
        mod kinesis_mock {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                if let Some(server) = super::Server::kinesis_mock(stringify!($name)) {
                    super::$theme::$name(server).await;
                }
            })*
        }
    };
}

journeys! {
    puts::a_record_comes_back_as_it_was_put,
    puts::msgpack_records_come_back_as_they_were_put,
    puts::results_of_many_are_in_input_order,
    puts::a_failed_record_comes_back_and_the_others_are_stored,
    puts::concurrent_puts_are_stored_once_each,
    puts::an_unknown_stream_is_named,
    starts::latest_reads_what_is_put_after_it_opened,
    starts::a_sequence_number_reads_what_follows_it,
    starts::a_timestamp_reads_what_arrived_since,
    reads::two_readers_share_the_shards_by_number,
    reads::stop_delivers_what_was_fetched,
    reads::a_bad_record_is_one_error_item,
    reshard::a_split_and_a_merge_are_followed_parents_first,
    fan_out::fan_out_pushes_what_is_put_until_its_consumer_is_gone,
    fan_out::fan_out_follows_a_split_and_a_merge,
    fan_out::fan_out_goes_on_from_a_position,
    faults::arrivals_are_in_whole_seconds_only_where_known,
    faults::subscriptions_begin_at_the_oldest_only_where_known,
    faults::subscriptions_outlive_their_consumer_only_where_known,
    faults::subscriptions_outlive_their_shard_only_where_known,
    faults::requests_of_any_count_are_taken_only_where_known,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
pub(crate) struct Reading {
    #[kinesis(partition_key)]
    pub(crate) device: String,
    pub(crate) count: u32,
}

pub(crate) fn reading(device: &str, count: u32) -> Reading {
    Reading {
        device: device.to_owned(),
        count,
    }
}

/// Returns the next record. Fails if there is none within 20 s.
pub(crate) async fn next<R: KinesisRecord>(
    records: &mut Records<R>,
) -> Option<Result<Record<R>, GetError>> {
    tokio::time::timeout(Duration::from_secs(20), records.next())
        .await
        .expect("a record, an error or the end within 20 s")
}

pub(crate) async fn take<R: KinesisRecord>(
    records: &mut Records<R>,
    count: usize,
) -> Vec<Record<R>> {
    let mut taken = Vec::with_capacity(count);
    while taken.len() < count {
        let record = next(records).await.expect("the reader goes on");
        taken.push(record.expect("a good record"));
    }
    taken
}

pub(crate) async fn to_the_tip<R: KinesisRecord>(
    stream: &KinesisStream<R>,
    start: StartAt,
) -> Vec<Record<R>> {
    let mut records = stream
        .reader()
        .start(start)
        .until(Until::Tip)
        .open()
        .await
        .expect("the reader opens");
    let mut taken = Vec::new();
    while let Some(record) = next(&mut records).await {
        taken.push(record.expect("a good record"));
    }
    taken
}

/// Returns the same stream with records of another type.
pub(crate) fn same_stream<A, B>(stream: &KinesisStream<A>) -> KinesisStream<B> {
    KinesisStream::with_service(stream.service().clone(), stream.id().clone())
}

pub(crate) fn counts_of(records: &[Record<Reading>]) -> Vec<u32> {
    records.iter().map(|record| record.data.count).collect()
}
