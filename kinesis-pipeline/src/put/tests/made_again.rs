//! Aggregates on the embedded Kinesis while its stream is deleted and made again with other shards of the same ids.

use std::time::Duration;

use super::{
    local::{kinesis, reshard},
    resharded::{MS, check, put, receipts},
};
use crate::{EncodedRecord, KinesisStream, local::Fault, put::Order, service::DeleteStream};

/// A stream that is made again within this time, under records that go on and with these faults of the new listings.
async fn made_again(shards: (u32, u32), order: Order, pause: Duration, fault: Option<Fault>) {
    let kinesis = kinesis(3).await;
    let stream: KinesisStream<EncodedRecord> = kinesis.stream("readings", shards.0).await.unwrap();
    let producer = stream.producer().aggregate(true).linger(20 * MS);
    let producer = producer.order(order).build().unwrap();
    receipts(put(&producer, 0..100).await).await;
    let delete = DeleteStream::new(stream.id().clone());
    stream.service().delete_stream(delete).await.unwrap();
    tokio::time::sleep(pause).await;
    if let Some(fault) = fault {
        kinesis.faults().add(fault.on("ListShards")).unwrap();
    }
    let stream: KinesisStream<EncodedRecord> = kinesis.stream("readings", shards.1).await.unwrap();
    tokio::time::sleep(pause).await;
    let mut pending = put(&producer, 100..400).await;
    tokio::time::sleep(2_000 * MS).await;
    kinesis.faults().clear();
    reshard(&stream, 0, true).await;
    pending.extend(put(&producer, 400..600).await);
    let receipts = receipts(pending).await;
    check(&stream, &receipts).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_made_again_within_seconds_loses_no_record() {
    for shards in [(1, 2), (2, 3), (4, 2), (1, 4), (3, 1)] {
        for order in [Order::None, Order::PerKey] {
            for pause in [Duration::ZERO, 100 * MS, 1_100 * MS] {
                made_again(shards, order, pause, None).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_made_again_within_seconds_loses_no_record_while_listings_fail() {
    for fault in [
        Fault::throttle().times(3),
        Fault::throttle().times(5),
        Fault::deny().times(1),
        Fault::delay(1_000 * MS).times(2),
    ] {
        for shards in [(1, 2), (4, 2)] {
            made_again(shards, Order::None, 100 * MS, Some(fault.clone())).await;
        }
    }
}
