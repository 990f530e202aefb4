//! Tests of workers that a signal stops, each in its own process.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;

use super::basics::{APP, stream_of};
use crate::{
    Batch, BoxError, Checkpointer, LeaseCheckpoint, LeaseStore as _, MemoryLeases, Processor,
    ShardId, StartAt, WorkerError,
};

/// The environment variable that tells the child how to run its worker.
const FORM: &str = "KINESIS_PIPELINE_TEST_RUN_FORM";
/// The line that the child prints at its first batch.
const AT_WORK: &str = "a batch is there";
/// The time limit of a child that is not stopped.
const CHILD_MAX: Duration = Duration::from_mins(2);

struct Telling;

impl Processor for Telling {
    type Record = Bytes;

    async fn process(&mut self, _: Batch<Bytes>, _: &Checkpointer) -> Result<(), BoxError> {
        println!("{AT_WORK}");
        Ok(())
    }
}

#[test]
fn a_worker_that_is_told_to_terminate_saves_its_progress_and_gives_its_leases_back() {
    for (form, signal) in [
        ("processor", "-TERM"),
        ("processor", "-INT"),
        ("batches", "-TERM"),
        ("batches", "-INT"),
        ("sink", "-TERM"),
    ] {
        let name = "fleet::worker::tests::signals::works_until_it_is_told_to_stop";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--ignored", "--nocapture"])
            .env(FORM, form)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let is_at_work = lines.any(|line| line.unwrap().ends_with(AT_WORK));
        assert!(is_at_work, "{form}");
        let pid = child.id().to_string();
        let killed = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(killed.success());
        // The output is read to its end: a process that writes to a closed pipe fails.
        for line in lines {
            line.unwrap();
        }
        assert!(child.wait().unwrap().success(), "{form} {signal}");
    }
}

#[tokio::test]
#[ignore = "the test above runs it as a process of its own"]
async fn works_until_it_is_told_to_stop() {
    let Ok(form) = std::env::var(FORM) else {
        return;
    };
    let stream = stream_of::<Bytes>(1).await;
    let receipt = stream.put(&Bytes::from("1")).await.unwrap();
    let store = MemoryLeases::new();
    let worker = stream.worker(APP).leases(store.clone());
    let worker = worker.start(StartAt::TrimHorizon).build().unwrap();
    let tell = async |_: Batch<Bytes>| {
        println!("{AT_WORK}");
        Ok::<(), BoxError>(())
    };
    let run = async {
        match &*form {
            "processor" => worker.run_until_stopped(|_: &ShardId| Telling).await,
            "batches" => worker.run_batches_until_stopped(tell).await,
            "sink" => {
                let handle = worker.handle();
                let run = worker.run_batches(tell);
                handle.run_until_stopped::<_, WorkerError>(run).await
            }
            _ => panic!("no form {form}"),
        }
    };
    let report = tokio::time::timeout(CHILD_MAX, run).await.unwrap().unwrap();
    assert_eq!((report.released.len(), report.abandoned.len()), (1, 0));
    let lease = store.list(APP).await.unwrap().remove(0);
    let expected = (None, LeaseCheckpoint::after(&receipt.position()));
    assert_eq!((lease.owner, lease.checkpoint), expected);
}
