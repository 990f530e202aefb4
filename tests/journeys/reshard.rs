//! Tests of shards that are split and merged while they are read.

use kinesis_pipeline::{
    KinesisStream, Record, Records, StartAt,
    service::{MergeShards, SplitShard},
};
use kinesis_pipeline_tests::{Server, wait_until_active};

use crate::{Reading, reading, take, to_the_tip};

pub(crate) async fn a_split_and_a_merge_are_followed_parents_first(server: Server) {
    let stream = server.stream::<Reading>("readings", 1).await;
    let mut records = stream.iter_from_latest().await.expect("the reader opens");
    follow_a_split_and_a_merge(&server, &stream, &mut records).await;
}

pub(crate) async fn follow_a_split_and_a_merge(
    server: &Server,
    stream: &KinesisStream<Reading>,
    records: &mut Records<Reading>,
) {
    let devices: Vec<_> = (0..8).map(|device| format!("device-{device}")).collect();
    let put_round = async |round: u32| {
        for device in &devices {
            stream
                .put(&reading(device, round))
                .await
                .expect("a receipt");
        }
    };
    let service = stream.service();
    let id = stream.id().clone();
    put_round(0).await;

    let root = stream.shards().await.expect("shards").remove(0);
    let middle = root.hash_key_range.middle();
    service
        .split_shard(SplitShard::new(id.clone(), root.id.clone(), middle))
        .await
        .expect("a split");
    wait_until_active(&server.client(), id.as_str()).await;
    put_round(1).await;

    let open: Vec<_> = stream
        .shards()
        .await
        .expect("shards")
        .into_iter()
        .filter(kinesis_pipeline::Shard::is_open)
        .collect();
    assert_eq!(open.len(), 2);
    service
        .merge_shards(MergeShards::new(
            id.clone(),
            open[0].id.clone(),
            open[1].id.clone(),
        ))
        .await
        .expect("a merge");
    wait_until_active(&server.client(), id.as_str()).await;
    put_round(2).await;

    let live = take(records, 24).await;
    check_rounds(&devices, &live);
    let replayed = to_the_tip(stream, StartAt::TrimHorizon).await;
    assert_eq!(replayed.len(), 24);
    check_rounds(&devices, &replayed);
}

/// Checks that each device's records came once, in the order of their puts.
fn check_rounds(devices: &[String], records: &[Record<Reading>]) {
    for device in devices {
        let rounds: Vec<_> = records
            .iter()
            .filter(|record| record.data.device == *device)
            .map(|record| record.data.count)
            .collect();
        assert_eq!(rounds, [0, 1, 2], "{device}");
    }
}
