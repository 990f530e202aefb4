//! Tests of the positions at which a reader can begin.

use std::time::Duration;

use kinesis_pipeline::StartAt;
use kinesis_pipeline_tests::Server;

use crate::{Reading, counts_of, faults::Fault, reading, take, to_the_tip};

pub(crate) async fn latest_reads_what_is_put_after_it_opened(server: Server) {
    let stream = server.stream::<Reading>("readings", 4).await;
    for count in 0..10 {
        stream
            .put(&reading(&count.to_string(), count))
            .await
            .expect("a receipt");
    }
    let mut records = stream.iter_from_latest().await.expect("the reader opens");
    for count in 10..20 {
        stream
            .put(&reading(&count.to_string(), count))
            .await
            .expect("a receipt");
    }
    let mut counts: Vec<_> = counts_of(&take(&mut records, 10).await);
    counts.sort_unstable();
    assert_eq!(counts, (10..20).collect::<Vec<_>>());
}

pub(crate) async fn a_sequence_number_reads_what_follows_it(server: Server) {
    let stream = server.stream::<Reading>("readings", 1).await;
    let mut receipts = Vec::new();
    for count in 0..5 {
        receipts.push(
            stream
                .put(&reading("attic", count))
                .await
                .expect("a receipt"),
        );
    }
    let number = receipts[2].sequence_number.clone();
    let mut records = stream
        .iter_from_sequence_number(0, number.clone())
        .await
        .expect("the reader opens");
    let counts: Vec<_> = counts_of(&take(&mut records, 2).await);
    assert_eq!(counts, [3, 4]);

    let at = StartAt::AtSequenceNumber(receipts[2].shard_id.clone(), number);
    let counts: Vec<_> = counts_of(&to_the_tip(&stream, at).await);
    assert_eq!(counts, [2, 3, 4]);
}

pub(crate) async fn a_timestamp_reads_what_arrived_since(server: Server) {
    let stream = server.stream::<Reading>("readings", 2).await;
    stream.put(&reading("attic", 1)).await.expect("a receipt");
    let pause_millis = if Fault::ArrivalsInWholeSeconds.is_of(&server) {
        2_000
    } else {
        20
    };
    tokio::time::sleep(Duration::from_millis(pause_millis)).await;
    stream.put(&reading("attic", 2)).await.expect("a receipt");

    let all = to_the_tip(&stream, StartAt::TrimHorizon).await;
    let since = all[1].arrived_at;
    assert!(since > all[0].arrived_at);
    let back = to_the_tip(&stream, StartAt::Timestamp(since)).await;
    let counts: Vec<_> = back.iter().map(|record| record.data.count).collect();
    assert_eq!(counts, [2]);
}
