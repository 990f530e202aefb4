//! Rows of positions that a person changed, and the table that Triton has.

use std::time::Duration;

use kinesis_pipeline::{
    CheckpointPlace, CheckpointStore as _, ErrorPolicy, MemoryLeases, ShardId, StartAt,
};
use kinesis_pipeline_sql::{PostgresCheckpoints, SqlError};

use super::{
    APP, POSITIONS, builder, number, put, reading, sink, stream, support::Postgres, wait_for,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_a_person_broke_is_told_and_passed_over_by_no_policy_until_it_is_mended() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let stream = stream(1).await;
    put(&stream, (0..100).map(reading).collect()).await;
    let leases = MemoryLeases::new();
    let policy = ErrorPolicy::retry().attempts_max(2).then_skip();
    let worker = || builder(&stream, &leases).on_error(policy.clone()).build();
    let first = tokio::spawn(sink(&postgres).run(worker().unwrap()));
    wait_for(&postgres, "SELECT count(*) FROM readings", 100).await;
    let client = postgres.client().await;
    let broken = "UPDATE kinesis_pipeline_checkpoint SET sequence_number = 'x' || sequence_number";
    client.batch_execute(broken).await.unwrap();
    put(&stream, (100..200).map(reading).collect()).await;

    // The worker finds out that the position has moved, looks for it, and ends.
    let error = first.await.unwrap().unwrap_err();
    let SqlError::PositionUnreadable { table, shard, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*table, "kinesis_pipeline_checkpoint");
    assert_eq!(&**shard, "shardId-000000000000");
    let text = error.to_string();
    assert!(
        text.contains("is no sequence number") && text.contains("set sequence_number to"),
        "{text}"
    );
    // So does one that begins with it.
    let again = sink(&postgres).run(worker().unwrap()).await;
    assert!(matches!(again, Err(SqlError::PositionUnreadable { .. })));

    // Without a limit of tries the shard waits, and goes on by itself.
    let patient = builder(&stream, &leases).stalled_after(Duration::from_millis(500));
    let patient = patient.build().unwrap();
    let handle = patient.handle();
    let open = sink(&postgres).open(&patient).await.unwrap();
    let health = open.health();
    let running = tokio::spawn(patient.run(move |_: &ShardId| open.processor()));
    let told = async {
        while health.is_up() || handle.health().is_healthy() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told)
        .await
        .unwrap();
    assert!(health.error().unwrap().contains("tells no position"));
    assert_eq!(number(&postgres, POSITIONS).await, Some(100));
    let mended =
        "UPDATE kinesis_pipeline_checkpoint SET sequence_number = substr(sequence_number, 2)";
    client.batch_execute(mended).await.unwrap();
    wait_for(&postgres, "SELECT count(*) FROM readings", 200).await;
    assert_eq!(number(&postgres, POSITIONS).await, Some(200));
    assert!(health.is_up());
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_goes_on_in_the_table_of_triton_and_so_do_others_behind_it() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let stream = stream(1).await;
    put(&stream, (0..300).map(reading).collect()).await;
    let receipts = stream.put_all((300..400).map(reading)).await;
    // A table as Triton makes it, and its place before the last 99.
    let client = postgres.client().await;
    let begun = receipts.into_iter().next().unwrap().unwrap();
    let table = format!(
        "CREATE TABLE triton_checkpoint (client varchar(255) NOT NULL, stream varchar(255) NOT NULL, \
         shard varchar(255) NOT NULL, seq_num varchar(255) NOT NULL, updated integer NOT NULL, \
         PRIMARY KEY (client, stream, shard)); INSERT INTO triton_checkpoint \
         VALUES ('{APP}', 'readings', 'shardId-000000000000', '{}', 7)",
        begun.sequence_number
    );
    client.batch_execute(&table).await.unwrap();
    let written = async |count| {
        let worker = builder(&stream, &MemoryLeases::new()).build().unwrap();
        let sink = sink(&postgres).triton_positions();
        let running = tokio::spawn(sink.run(worker));
        wait_for(&postgres, "SELECT count(*) FROM readings", count).await;
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
    };
    // Parts of a put are stored in any order: as many as behind the place.
    let behind = {
        let reader = stream.reader().start(StartAt::TrimHorizon);
        let mut records = reader
            .until(kinesis_pipeline::Until::Tip)
            .open()
            .await
            .unwrap();
        let mut behind = 0;
        while let Some(record) = records.next().await {
            let number = record.unwrap().position().sequence_number.clone();
            behind += i64::from(number > begun.sequence_number);
        }
        behind
    };
    written(behind).await;
    let absent = "SELECT count(*) FROM pg_tables WHERE tablename = 'kinesis_pipeline_checkpoint'";
    assert_eq!(number(&postgres, absent).await, Some(0));

    // A reader goes on behind the sink, and the sink behind the reader.
    let store = PostgresCheckpoints::connect(postgres.url()).unwrap();
    let found = store.load(APP, "readings").await.unwrap();
    assert!(matches!(found[0].place, CheckpointPlace::After { .. }));
    put(&stream, (400..410).map(reading).collect()).await;
    written(behind + 10).await;
    let again = "UPDATE triton_checkpoint SET seq_num = 'TRIM_HORIZON'";
    client.batch_execute(again).await.unwrap();
    written(behind + 10 + 410).await;
}
