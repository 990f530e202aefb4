//! Known faults of the servers that others wrote, and the parts of journeys that are left out because of them. The list
//! is checked against the servers: a fault that was repaired must be removed from it.
//!
//! Other faults, which do not affect any journey, are in `tests/foreign/README.md`.

use std::time::Duration;

use aws_sdk_kinesis::{
    Client,
    operation::subscribe_to_shard::SubscribeToShardOutput,
    primitives::Blob,
    types::{
        PutRecordsRequestEntry, ShardIteratorType, StartingPosition, SubscribeToShardEventStream,
    },
};
use kinesis_pipeline::{EncodedRecord, KinesisStream};
use kinesis_pipeline_tests::{Server, wait_until_active};

const SHARD: &str = "shardId-000000000000";
/// The number of events after the cause of its end that show that a subscription does not end.
const EVENTS_AFTER: usize = 3;
/// The time without an event after which a subscription hangs.
const EVENT_WAIT_MAX: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Arrival times are cut to seconds. `a_timestamp_reads_what_arrived_since` therefore waits between its records.
    ArrivalsInWholeSeconds,
    /// A subscription from a sequence number begins at the oldest record. `fan_out_goes_on_from_a_position` is left
    /// out.
    SubscriptionsBeginAtTheOldest,
    /// A subscription continues after its consumer was removed. `fan_out_pushes_what_is_put_until_its_consumer_is_gone`
    /// does not wait for its end.
    SubscriptionsOutliveTheirConsumer,
    /// A subscription continues, without records, after its shard was split. `fan_out_follows_a_split_and_a_merge` is
    /// left out.
    SubscriptionsOutliveTheirShard,
    /// A request of more than 500 records is accepted. So `results_of_many_are_in_input_order` cannot show here that no
    /// request is too large.
    RequestsOfAnyCount,
    /// Only some 500 puts a second are possible. Journeys of many records put a tenth of them. This depends on the
    /// machine, so it is not checked.
    Slow,
}

const OF_FERROKINESIS: &[Fault] = &[
    Fault::ArrivalsInWholeSeconds,
    Fault::SubscriptionsBeginAtTheOldest,
    Fault::SubscriptionsOutliveTheirConsumer,
];
const OF_KINESIS_MOCK: &[Fault] = &[
    Fault::SubscriptionsOutliveTheirConsumer,
    Fault::SubscriptionsOutliveTheirShard,
    Fault::RequestsOfAnyCount,
    Fault::Slow,
];

impl Fault {
    /// Whether the server is known to have this fault.
    pub(crate) fn is_of(self, server: &Server) -> bool {
        let known = match server {
            server if server.is_ferrokinesis() => OF_FERROKINESIS,
            server if server.is_kinesis_mock() => OF_KINESIS_MOCK,
            _ => &[],
        };
        known.contains(&self)
    }
}

/// Returns the number of records that a journey of `count` puts on this server.
pub(crate) fn count_for(server: &Server, count: u32) -> u32 {
    if Fault::Slow.is_of(server) {
        count.div_ceil(10)
    } else {
        count
    }
}

pub(crate) async fn arrivals_are_in_whole_seconds_only_where_known(server: Server) {
    let stream = server.stream::<EncodedRecord>("readings", 1).await;
    let mut is_whole = true;
    // One record may arrive exactly at a whole second, so there are three.
    for _ in 0..3 {
        put(&server, &stream).await;
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    let mut records = stream.iter_from_all().await.expect("the reader opens");
    for record in crate::take(&mut records, 3).await {
        let since_epoch = record.arrived_at.duration_since(std::time::UNIX_EPOCH);
        is_whole &= since_epoch.expect("after 1970").subsec_nanos() == 0;
    }
    assert_eq!(is_whole, Fault::ArrivalsInWholeSeconds.is_of(&server));
}

pub(crate) async fn subscriptions_begin_at_the_oldest_only_where_known(server: Server) {
    let stream = server.stream::<EncodedRecord>("readings", 1).await;
    let first = put(&server, &stream).await;
    let second = put(&server, &stream).await;
    let after = StartingPosition::builder()
        .r#type(ShardIteratorType::AfterSequenceNumber)
        .sequence_number(&first);
    let mut subscription = subscribe(&server.client(), &stream, after).await;
    let came = loop {
        let records = event(&mut subscription).await.expect("it goes on").0;
        if let Some(number) = records.first() {
            break number.clone();
        }
    };
    let is_oldest = came == first;
    assert!(is_oldest || came == second, "{came}");
    assert_eq!(
        is_oldest,
        Fault::SubscriptionsBeginAtTheOldest.is_of(&server)
    );
}

pub(crate) async fn subscriptions_outlive_their_consumer_only_where_known(server: Server) {
    let stream = server.stream::<EncodedRecord>("readings", 1).await;
    let start = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon);
    let mut subscription = subscribe(&server.client(), &stream, start).await;
    let removed = stream.deregister_consumer("watcher").await;
    removed.expect("the consumer is removed");
    let outlives = goes_on(&mut subscription).await;
    assert_eq!(
        outlives,
        Fault::SubscriptionsOutliveTheirConsumer.is_of(&server)
    );
}

pub(crate) async fn subscriptions_outlive_their_shard_only_where_known(server: Server) {
    let stream = server.stream::<EncodedRecord>("readings", 1).await;
    let start = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon);
    let client = server.client();
    let mut subscription = subscribe(&client, &stream, start).await;
    let split = client.split_shard().stream_name(stream.id().as_str());
    let split = split
        .shard_to_split(SHARD)
        .new_starting_hash_key((u128::MAX / 2).to_string());
    split.send().await.expect("a split");
    wait_until_active(&client, stream.id().as_str()).await;
    let outlives = goes_on(&mut subscription).await;
    assert_eq!(
        outlives,
        Fault::SubscriptionsOutliveTheirShard.is_of(&server)
    );
}

pub(crate) async fn requests_of_any_count_are_taken_only_where_known(server: Server) {
    let stream = server.stream::<EncodedRecord>("readings", 1).await;
    let entry = PutRecordsRequestEntry::builder()
        .partition_key("k")
        .data(Blob::new("x"));
    let entry = entry.build().expect("key and data are set");
    let call = server
        .client()
        .put_records()
        .stream_name(stream.id().as_str());
    let answer = call.set_records(Some(vec![entry; 501])).send().await;
    assert_eq!(answer.is_ok(), Fault::RequestsOfAnyCount.is_of(&server));
}

/// Puts a record. Returns its sequence number.
async fn put(server: &Server, stream: &KinesisStream<EncodedRecord>) -> String {
    let client = server.client();
    let call = client.put_record().stream_name(stream.id().as_str());
    let call = call.partition_key("k").data(Blob::new("x"));
    call.send().await.expect("it is stored").sequence_number
}

/// Subscribes with a new consumer, `watcher`.
async fn subscribe(
    client: &Client,
    stream: &KinesisStream<EncodedRecord>,
    start: aws_sdk_kinesis::types::builders::StartingPositionBuilder,
) -> SubscribeToShardOutput {
    let summary = client
        .describe_stream_summary()
        .stream_name(stream.id().as_str());
    let summary = summary
        .send()
        .await
        .expect("a description")
        .stream_description_summary;
    let arn = summary.expect("a summary").stream_arn;
    let consumer = client
        .register_stream_consumer()
        .stream_arn(arn)
        .consumer_name("watcher");
    let consumer = consumer.send().await.expect("a new consumer").consumer;
    let arn = consumer.expect("a consumer").consumer_arn;
    for _ in 0..200 {
        let call = client.subscribe_to_shard().consumer_arn(&arn);
        let start = start.clone().build().expect("the type is set");
        // A new consumer needs a moment before it can subscribe.
        if let Ok(subscription) = call.shard_id(SHARD).starting_position(start).send().await {
            return subscription;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the consumer cannot subscribe");
}

/// Returns the sequence numbers of the next event, and whether it names children; `None` at the end.
async fn event(subscription: &mut SubscribeToShardOutput) -> Option<(Vec<String>, bool)> {
    let event = tokio::time::timeout(EVENT_WAIT_MAX, subscription.event_stream.recv()).await;
    match event.expect("an event or the end") {
        Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => {
            let numbers = event
                .records
                .iter()
                .map(|record| record.sequence_number.clone());
            let has_children = !event.child_shards().is_empty();
            Some((numbers.collect(), has_children))
        }
        Ok(Some(other)) => panic!("an unknown event: {other:?}"),
        Ok(None) | Err(_) => None,
    }
}

/// Whether some more events come, all without children.
async fn goes_on(subscription: &mut SubscribeToShardOutput) -> bool {
    for _ in 0..EVENTS_AFTER {
        match event(subscription).await {
            Some((_, false)) => {}
            Some((_, true)) | None => return false,
        }
    }
    true
}
