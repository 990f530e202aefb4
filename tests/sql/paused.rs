//! Two worker processes that both believe that they own the shards. The system stops each one at a random moment for
//! longer than the fail-over time. It continues when the other has worked on its shards.

use std::time::Duration;

use rustix::process::Signal;

use super::{
    journey::Journey,
    worker::{FAILOVER, Mode, WorkerProcess},
};

const RECORDS: usize = 12_000;
const PAUSES: usize = 6;
/// A table of the rows that went back in time or stayed where they were: the batches that were written again.
const WATCH: &str = "CREATE TABLE again (number bigint); \
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF NEW.number <= OLD.number THEN INSERT INTO again VALUES (NEW.number); END IF; RETURN NEW; END $$; \
    CREATE TRIGGER note BEFORE UPDATE ON readings FOR EACH ROW EXECUTE FUNCTION note()";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_process_that_is_paused_past_the_fail_over_appends_nothing_twice() {
    let Some(journey) = disturbed(Mode::Append).await else {
        return;
    };
    let count = journey.count();
    let positions =
        "SELECT count(DISTINCT (shard_id, sequence_number, sub_sequence_number)) FROM readings";
    for (query, expected) in [
        ("SELECT count(*) FROM readings", count),
        (positions, count),
        (
            "SELECT sum(number)::bigint FROM readings",
            count * (count - 1) / 2,
        ),
    ] {
        assert_eq!(journey.number(query).await, Some(expected), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_process_that_is_paused_past_the_fail_over_upserts_no_row_back() {
    let Some(journey) = disturbed(Mode::Upsert).await else {
        return;
    };
    let again = journey.number("SELECT count(*) FROM again").await;
    assert_eq!(again, Some(0), "rows were written again");
    let count = journey.count();
    // The last 997 records are one for each device, and their numbers are consecutive.
    let (devices, first) = (997, count - 997);
    for (query, expected) in [
        ("SELECT count(*) FROM readings", devices),
        ("SELECT min(number) FROM readings", first),
        (
            "SELECT sum(number)::bigint FROM readings",
            devices * (first + count - 1) / 2,
        ),
    ] {
        assert_eq!(journey.number(query).await, Some(expected), "{query}");
    }
}

/// Runs two workers, pauses one after the other, and waits until all records are there.
async fn disturbed(mode: Mode) -> Option<Journey> {
    let journey = Journey::start(2, RECORDS).await?;
    let seed = fastrand::u64(..);
    eprintln!("{mode:?}, seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let places = journey.places(mode);
    let mut workers = [(); 2].map(|()| WorkerProcess::start(&places));
    let putting = journey.put_most(Duration::from_millis(400));
    journey.wait_for_rows().await;
    if mode == Mode::Upsert {
        let client = journey.postgres.client().await;
        client.batch_execute(WATCH).await.unwrap();
    }
    for pause in 0..PAUSES {
        tokio::time::sleep(Duration::from_millis(random.u64(300..900))).await;
        let worker = &workers[pause % 2];
        worker.signal(Signal::STOP);
        tokio::time::sleep(FAILOVER * 5 / 2).await;
        worker.signal(Signal::CONT);
    }
    putting.await.unwrap();
    journey.put_rest().await;
    let last = journey.count() - 1;
    let rows = "SELECT count(*) FROM readings";
    match mode {
        Mode::Append => journey.wait_for(rows, journey.count()).await,
        Mode::Upsert => {
            let late = format!(
                "SELECT count(*) FROM readings WHERE number <= {}",
                last - 997
            );
            journey.wait_for(&late, 0).await;
        }
    }
    // Records that are written again come late, so the test waits.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(workers.iter_mut().all(WorkerProcess::runs));
    Some(journey)
}
