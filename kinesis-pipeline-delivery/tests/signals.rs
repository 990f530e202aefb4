//! A delivery that the system tells to stop, in a process of its own.
#![cfg(all(unix, feature = "signal"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use kinesis_pipeline::{
    EncodedRecord, FileLeases, KinesisStream, LeaseStore as _, LocalKinesis, PartitionKey, StartAt,
};
use kinesis_pipeline_delivery::{Delivery, Location};
use support::objects;

const APP: &str = "delivery";
/// The folder of the child's leases and objects.
const FOLDER: &str = "KINESIS_PIPELINE_TEST_FOLDER";
/// The line by which the child tells that it has read the records.
const AT_WORK: &str = "the records are there";
const WAIT: Duration = Duration::from_millis(20);
/// The time after which a child that was not stopped fails.
const CHILD_MAX: Duration = Duration::from_mins(2);

#[tokio::test]
async fn a_delivery_that_is_told_to_terminate_writes_what_is_open_and_gives_its_leases_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "delivers_until_it_is_told_to_stop",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with(AT_WORK)));
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(killed.success());
    // A process whose output nobody reads fails to write it.
    for line in lines {
        line.unwrap();
    }
    assert!(child.wait().unwrap().success());

    let leases = FileLeases::new(leases(dir.path()));
    let leases = leases.list(APP).await.unwrap();
    assert_eq!(leases.len(), 1);
    assert!(
        leases[0].owner.is_none() && leases[0].pending.is_none(),
        "{leases:?}"
    );
    let store = location(dir.path()).into_store();
    let found = objects(&*store).await;
    assert_eq!(found.values().collect::<Vec<_>>(), ["one\ntwo\n"]);
}

#[tokio::test]
#[ignore = "the test above runs it as a process of its own"]
async fn delivers_until_it_is_told_to_stop() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    let local = LocalKinesis::start().await.unwrap();
    let stream: KinesisStream<EncodedRecord> = local.stream("test", 1).await.unwrap();
    for text in ["one", "two"] {
        let key = PartitionKey::new("key").unwrap();
        let record = EncodedRecord::new(key, text.into());
        stream.put(&record).await.unwrap();
    }
    let fleet = stream.worker(APP).leases(FileLeases::new(leases(folder)));
    let worker = Delivery::to_location(location(folder))
        .flush_on_stop(true)
        .worker(fleet.start(StartAt::TrimHorizon))
        .unwrap();
    let handle = worker.handle();
    let told = async {
        while handle.report().records < 2 {
            tokio::time::sleep(WAIT).await;
        }
        println!("{AT_WORK}");
    };
    let run = async { tokio::join!(worker.run_until_stopped(), told).0 };
    let run = Box::pin(tokio::time::timeout(CHILD_MAX, run));
    let report = run.await.unwrap().unwrap();
    assert_eq!((report.kept, report.objects_written), (2, 1));
}

fn leases(folder: &Path) -> std::path::PathBuf {
    folder.join("leases.json")
}

fn location(folder: &Path) -> Location {
    Location::parse(folder.join("objects").to_str().unwrap()).unwrap()
}
