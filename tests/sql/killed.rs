//! Three worker processes that are killed at work, a database that crashes, and a shard that is split.

use std::time::Duration;

use kinesis_pipeline::Clock;

use super::{
    journey::Journey,
    worker::{Mode, WorkerProcess},
};

const WORKERS: usize = 3;
const KILLS: usize = 20;
const RECORDS: usize = 20_000;
/// The time in which a repeated row would have come.
const LATE: Duration = Duration::from_secs(3);

/// The full test is run with `KINESIS_PIPELINE_RECORDS=500000`.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_record_is_a_row_once_when_processes_are_killed_and_the_database_crashes() {
    let setting = std::env::var("KINESIS_PIPELINE_RECORDS");
    let records = setting.map_or(RECORDS, |text| text.parse().unwrap());
    let Some(mut journey) = Journey::start(4, records).await else {
        return;
    };
    let seed = fastrand::u64(..);
    eprintln!("{records} records, seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let clock = Clock::system();
    let begun = clock.instant();

    let places = journey.places(Mode::Append);
    let mut workers: Vec<_> = (0..WORKERS)
        .map(|_| WorkerProcess::start(&places))
        .collect();
    let putting = journey.put_most(Duration::from_millis(250));
    journey.wait_for_rows().await;
    for kill in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(random.u64(100..1_000))).await;
        let index = random.usize(..WORKERS);
        assert!(workers[index].runs(), "a worker ended by itself");
        // Dropping the old worker kills it.
        workers[index] = WorkerProcess::start(&places);
        if kill == KILLS / 3 || kill == KILLS * 2 / 3 {
            journey.postgres.crash();
            tokio::time::sleep(Duration::from_millis(random.u64(100..900))).await;
            journey.postgres.run().await;
        }
        if kill == KILLS / 2 {
            journey.split().await;
        }
    }
    putting.await.unwrap();
    // These records go to the children of the split shard.
    journey.put_rest().await;
    journey
        .wait_for("SELECT count(*) FROM readings", journey.count())
        .await;
    eprintln!("all rows are there after {:?}", clock.instant() - begun);
    tokio::time::sleep(LATE).await;
    check(&journey).await;
    assert!(workers.iter_mut().all(WorkerProcess::runs));
}

async fn check(journey: &Journey) {
    let count = journey.count();
    let positions =
        "SELECT count(DISTINCT (shard_id, sequence_number, sub_sequence_number)) FROM readings";
    for (query, expected) in [
        ("SELECT count(*) FROM readings", count),
        (positions, count),
        ("SELECT count(DISTINCT number) FROM readings", count),
        (
            "SELECT sum(number)::bigint FROM readings",
            count * (count - 1) / 2,
        ),
        (
            "SELECT count(*) FROM readings WHERE celsius IS NULL",
            (count + 2) / 3,
        ),
        ("SELECT count(DISTINCT shard_id) FROM readings", 6),
    ] {
        let found = journey.number(query).await;
        eprintln!("{query}: {found:?}");
        assert_eq!(found, Some(expected), "{query}");
    }
}
