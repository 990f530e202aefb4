//! The process of one worker: the test's own program, started again.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use kinesis_pipeline::{FileLeases, KinesisRecord, KinesisStream, Order, PutOptions, StartAt};
use kinesis_pipeline_sql::{SqlSink, row::Columns};
use kinesis_pipeline_tests::client_of;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

pub(crate) const STREAM: &str = "readings";
/// The fail-over time, after which another worker takes the shards of one that is killed or paused.
pub(crate) const FAILOVER: Duration = Duration::from_secs(1);
const KINESIS: &str = "SQL_TEST_KINESIS";
const POSTGRES: &str = "SQL_TEST_POSTGRES";
const LEASES: &str = "SQL_TEST_LEASES";
const MODE: &str = "SQL_TEST_MODE";
const BATCH_RECORDS_MAX: usize = 500;

#[derive(Clone, Debug, Serialize, Deserialize, KinesisRecord)]
pub(crate) struct Reading {
    #[kinesis(partition_key)]
    pub(crate) device: String,
    pub(crate) number: i64,
    pub(crate) celsius: Option<f64>,
}

pub(crate) fn reading(number: usize) -> Reading {
    Reading {
        device: format!("device-{}", number % 997),
        number: number.try_into().unwrap(),
        celsius: (!number.is_multiple_of(3)).then_some(21.5),
    }
}

/// Returns the stream with ordered puts: a device's readings are stored in the order of their puts.
pub(crate) fn in_order(stream: KinesisStream<Reading>) -> KinesisStream<Reading> {
    let options = PutOptions::new().order(Order::PerKey);
    stream.with_put_options(options).unwrap()
}

/// The way in which the workers write rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Append,
    /// One row for each device, which is updated.
    Upsert,
}

/// The addresses and paths that the workers need.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) kinesis: String,
    pub(crate) postgres: String,
    pub(crate) leases: PathBuf,
    pub(crate) mode: Mode,
}

/// A worker process. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct WorkerProcess(Child);

impl WorkerProcess {
    pub(crate) fn start(places: &Places) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "worker::the_worker", "--test-threads=1"])
            .env(KINESIS, &places.kinesis)
            .env(POSTGRES, &places.postgres)
            .env(LEASES, &places.leases)
            .env(MODE, format!("{:?}", places.mode))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.0.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Whether the process still runs. A worker ends by itself only after an error.
    pub(crate) fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process that is killed and paused, not a test of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worker() {
    let setting = |name: &str| std::env::var(name).ok();
    let (Some(kinesis), Some(postgres), Some(leases), Some(mode)) = (
        setting(KINESIS),
        setting(POSTGRES),
        setting(LEASES),
        setting(MODE),
    ) else {
        return;
    };
    // The other end of the pipe closes when the test dies. Then the worker ends too.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(1);
    });
    let stream = KinesisStream::<Reading>::with_client(client_of(&kinesis), STREAM);
    let worker = stream
        .worker("app")
        .leases(FileLeases::new(Path::new(&leases)))
        .start(StartAt::TrimHorizon)
        .failover(FAILOVER)
        .poll_interval(Duration::from_millis(200))
        .batch_records_max(BATCH_RECORDS_MAX)
        .build()
        .unwrap();
    let columns = Columns::of::<Reading>().unwrap().with_position();
    let sink = SqlSink::postgres(postgres).table("readings").create_table();
    let sink = if mode == format!("{:?}", Mode::Upsert) {
        sink.columns(columns.key(["device"]).unwrap()).upsert()
    } else {
        sink.columns(columns)
    };
    sink.run(worker).await.unwrap();
}
