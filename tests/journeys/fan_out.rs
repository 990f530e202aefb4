//! Tests of enhanced fan-out, where the service pushes records.

use std::time::Duration;

use kinesis_pipeline::{GetError, StartAt};
use kinesis_pipeline_tests::Server;

use crate::{
    Reading, counts_of, faults::Fault, next, reading, reshard::follow_a_split_and_a_merge, take,
};

pub(crate) async fn fan_out_pushes_what_is_put_until_its_consumer_is_gone(server: Server) {
    let stream = server.stream::<Reading>("readings", 2).await;
    let reader = stream.reader().fan_out("pushed");
    let mut records = reader.open().await.expect("the reader opens");
    for count in 0..10 {
        let put = stream.put(&reading(&count.to_string(), count)).await;
        put.expect("a receipt");
    }
    let mut counts: Vec<_> = counts_of(&take(&mut records, 10).await);
    counts.sort_unstable();
    assert_eq!(counts, (0..10).collect::<Vec<_>>());

    let removed = stream.deregister_consumer("pushed").await;
    removed.expect("the consumer is removed");
    if !Fault::SubscriptionsOutliveTheirConsumer.is_of(&server) {
        let end = next(&mut records).await.expect("an error");
        assert!(matches!(end, Err(GetError::Consumer { .. })), "{end:?}");
    }
}

pub(crate) async fn fan_out_follows_a_split_and_a_merge(server: Server) {
    if Fault::SubscriptionsOutliveTheirShard.is_of(&server) {
        return;
    }
    let stream = server.stream::<Reading>("readings", 1).await;
    let reader = stream.reader().fan_out("pushed");
    let mut records = reader.open().await.expect("the reader opens");
    follow_a_split_and_a_merge(&server, &stream, &mut records).await;
}

pub(crate) async fn fan_out_goes_on_from_a_position(server: Server) {
    if Fault::SubscriptionsBeginAtTheOldest.is_of(&server) {
        return;
    }
    let stream = server.stream::<Reading>("readings", 2).await;
    let open = |consumer: &'static str| {
        let reader = stream.reader().start(StartAt::TrimHorizon);
        reader.fan_out(consumer)
    };
    for count in 0..20 {
        stream
            .put(&reading("attic", count))
            .await
            .expect("a receipt");
    }
    let mut records = open("first").open().await.expect("the reader opens");
    let taken = take(&mut records, 7).await;
    drop(records);
    let last = taken.last().expect("7 records").position().clone();
    let resumed = open("second").resume_after([last]).open();
    let mut records = resumed.await.expect("the reader opens");
    stream.put(&reading("attic", 20)).await.expect("a receipt");
    let rest = take(&mut records, 14).await;
    let counts: Vec<_> = taken.iter().chain(&rest).map(|r| r.data.count).collect();
    assert_eq!(counts, (0..21).collect::<Vec<_>>());
}

/// Prints the time of records from put to delivery by fan-out. The figure is for people to read; its limit is loose
/// because the machine may be busy.
#[tokio::test(flavor = "multi_thread")]
async fn fan_out_delivers_in_milliseconds() {
    let server = Server::embedded().await;
    let stream = server.stream::<Reading>("readings", 2).await;
    let reader = stream.reader().fan_out("pushed");
    let mut records = reader.open().await.expect("the reader opens");
    let clock = kinesis_pipeline::Clock::system();
    let mut waits = Vec::new();
    for count in 0..100 {
        let before = clock.instant();
        let put = reading(&count.to_string(), count);
        let (receipt, taken) = tokio::join!(stream.put(&put), take(&mut records, 1));
        receipt.expect("a receipt");
        assert_eq!(taken[0].data.count, count);
        waits.push(clock.instant() - before);
    }
    waits.sort_unstable();
    println!(
        "put to delivery: median {:?}, worst {:?}",
        waits[50], waits[99]
    );
    assert!(waits[50] < Duration::from_millis(500), "{:?}", waits[50]);
}
