//! Positions, and workers that both believe that a shard is theirs.

use kinesis_pipeline::{Position, ShardId};
use serde_json::json;

use super::{
    super::{
        client::SqlClient,
        dialect::{TableName, create_positions},
        positions::{PositionError, Positions},
    },
    support::Fault,
    *,
};

async fn positions(node: &CrateDb) -> Positions {
    let client = SqlClient::new(Box::new(node.clone()), Duration::from_secs(1));
    let table = TableName::parse("kinesis_pipeline_checkpoint").unwrap();
    client
        .execute(&create_positions(&table), &[])
        .await
        .unwrap();
    Positions {
        client,
        table,
        app: APP.to_owned(),
        stream: "readings".to_owned(),
    }
}

fn at(number: u128) -> Position {
    Position::new(shard(), number.into()).at_sub_sequence_number(1)
}

fn shard() -> ShardId {
    "shardId-000000000000".into()
}

#[tokio::test(start_paused = true)]
async fn a_position_goes_on_from_owner_to_owner_and_the_earlier_one_is_out() {
    let node = CrateDb::new();
    let positions = positions(&node).await;
    let mut first = positions.claim(&shard(), 3).await.unwrap();
    assert_eq!(first.position, None);
    positions.advance(&mut first, &at(10)).await.unwrap();

    let mut second = positions.claim(&shard(), 5).await.unwrap();
    assert_eq!(second.position, Some(at(10)));
    let error = positions.advance(&mut first, &at(11)).await.unwrap_err();
    assert!(
        matches!(
            error,
            PositionError::Taken {
                found: 5,
                mine: 3,
                ..
            }
        ),
        "{error}"
    );
    positions.advance(&mut second, &at(12)).await.unwrap();

    let error = positions.claim(&shard(), 4).await.unwrap_err();
    assert!(matches!(error, PositionError::Taken { .. }), "{error}");
    assert_eq!(position(&node).as_deref(), Some("12"));
}

#[tokio::test(start_paused = true)]
async fn of_two_owners_with_one_token_the_later_to_move_is_out() {
    let node = CrateDb::new();
    let positions = positions(&node).await;
    let mut one = positions.claim(&shard(), 3).await.unwrap();
    let mut other = positions.claim(&shard(), 3).await.unwrap();
    positions.advance(&mut one, &at(10)).await.unwrap();
    let error = positions.advance(&mut other, &at(5)).await.unwrap_err();
    assert!(matches!(error, PositionError::Moved { .. }), "{error}");
    positions.advance(&mut one, &at(11)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_step_of_a_claim_and_of_a_move_may_lose_its_answer() {
    for on in ["INSERT", "UPDATE", "SELECT"] {
        let node = CrateDb::new();
        let positions = positions(&node).await;
        node.fault(on, 2, Fault::CutAfter);
        positions.claim(&shard(), 1).await.unwrap();
        let mut held = positions.claim(&shard(), 2).await.unwrap();
        node.fault(on, 2, Fault::CutAfter);
        positions.advance(&mut held, &at(10)).await.unwrap();
        assert_eq!(held.position, Some(at(10)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_begins_at_the_tables_position_whatever_the_lease_says() {
    let node = CrateDb::new();
    let stream = stream([("a", json!(1)), ("a", json!(2))]).await;
    let last = sequence_numbers(&stream).await.pop();
    let running = Running::start(&stream, &sink(&node, builder()), &MemoryLeases::new());
    running.stop_when(|| position(&node) == last).await;
    put(&stream, [("a", json!(3))]).await;
    let last = sequence_numbers(&stream).await.pop();
    let before = node.log().len();
    // With new leases alone, the worker would begin with the oldest record.
    let running = Running::start(&stream, &sink(&node, builder()), &MemoryLeases::new());
    running.stop_when(|| position(&node) == last).await;
    let log = node.log().split_off(before);
    let sent = log
        .iter()
        .filter(|(sql, _)| sql.starts_with("INSERT INTO \"readings\""));
    assert_eq!(sent.map(|(_, rows)| *rows).collect::<Vec<_>>(), [1]);
    assert_eq!(node.rows(TABLE).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn two_fleets_that_both_hold_a_shard_double_nothing_and_lose_nothing() {
    let node = CrateDb::new();
    let stream = stream(
        (0..20)
            .map(|number| ("a", json!(number)))
            .collect::<Vec<_>>(),
    )
    .await;
    let (one, other) = (MemoryLeases::new(), MemoryLeases::new());
    let first = Running::start(&stream, &sink(&node, builder()), &one);
    let second = Running::start(&stream, &sink(&node, builder()), &other);
    for round in 1..10 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        put(
            &stream,
            (0..20).map(|number| ("a", json!(round * 20 + number))),
        )
        .await;
    }
    let last = sequence_numbers(&stream).await.pop();
    let letters = first.stop_when(|| position(&node) == last).await;
    assert_eq!(letters.len() + second.stop().await.len(), 0);
    let mut values: Vec<_> = node
        .rows(TABLE)
        .iter()
        .map(|row| row["record"]["value"].as_i64().unwrap())
        .collect();
    values.sort_unstable();
    assert_eq!(values, (0..200).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_worker_with_several_processors_per_shard_is_refused() {
    let stream = stream([]).await;
    let worker = stream
        .worker(APP)
        .leases(MemoryLeases::new())
        .concurrency(2);
    let error = sink(&CrateDb::new(), builder())
        .run(worker.build().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, CrateDbSinkError::Concurrency), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_of_several_streams_is_refused() {
    let one = stream([]).await;
    let other = LocalKinesis::start().await.unwrap();
    let other = other.stream("other", 1).await.unwrap();
    let worker = one.worker(APP).and_stream(&other);
    let worker = worker.leases(MemoryLeases::new()).build().unwrap();
    let error = sink(&CrateDb::new(), builder()).run(worker).await;
    let error = error.unwrap_err();
    assert!(matches!(error, CrateDbSinkError::SeveralStreams), "{error}");
}
