//! Options of commands that run as workers of a fleet: the store of their leases, and KCL's settings file.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kinesis_pipeline::{
    FileLeases, KinesisRecord, KinesisStream, MemoryLeases, StartAt, WorkerBuilder,
    WorkerProperties,
};

use crate::{
    cli::Global,
    connect::Connected,
    failure::{Failure, Told},
};

/// The kinds of lease stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Leases {
    /// The DynamoDB table with the application's name, as KCL has it; for any number of machines.
    Dynamodb,
    /// A file; for the processes of this machine.
    File,
    /// Memory; for this process alone.
    Memory,
}

/// The stream of a worker, its start, and the files of its settings and leases.
#[derive(Args, Debug)]
pub(crate) struct WorkerOptions {
    /// The stream: its name, its ARN, or a name of the configuration file.
    #[arg(
        short,
        long,
        value_name = "STREAM",
        required_unless_present = "properties"
    )]
    stream: Option<String>,
    /// A settings file of KCL's `MultiLangDaemon`: the stream, the application, the start, and more. Settings without a
    /// meaning here are named in a warning.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["app", "latest"])]
    properties: Option<PathBuf>,
    /// The file of `--leases file`.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "kinesis-pipeline-leases.json"
    )]
    lease_file: PathBuf,
    /// Begin with records that arrive from now on, if the application has not read the stream before; without it, with
    /// the oldest record.
    #[arg(long)]
    latest: bool,
}

impl WorkerOptions {
    /// Whether a settings file is given.
    pub(crate) fn has_properties(&self) -> bool {
        self.properties.is_some()
    }

    /// Connects to the stream, in the region of the settings file unless the command line names one. Also returns the
    /// options with that region, for the leases.
    pub(crate) async fn connect(&self, global: &Global) -> Result<(Connected, Global), Failure> {
        let mut global = global.clone();
        let mut of_file = None;
        if let Some(path) = &self.properties {
            let properties = WorkerProperties::load(path)?;
            of_file = properties.stream_name().map(str::to_owned);
            let region = properties.region_name().map(str::to_owned);
            global.region = global.region.or(region);
        }
        let name = self.stream.clone().or(of_file).ok_or_else(|| {
            Told("the settings file has no `streamName`: set it, or give --stream".to_owned())
        })?;
        Ok((global.connect_to(&name).await?, global))
    }

    /// Returns a worker of this application, or of the application of the settings file.
    pub(crate) fn worker<R: KinesisRecord + Send>(
        &self,
        stream: &KinesisStream<R>,
        app: &str,
    ) -> Result<WorkerBuilder<R>, Failure> {
        let worker = match &self.properties {
            Some(path) => stream.worker_from_properties(path)?,
            None => stream.worker(app),
        };
        Ok(if self.latest {
            worker.start(StartAt::Latest)
        } else {
            worker
        })
    }

    /// Sets the store of a worker's leases.
    pub(crate) async fn leases<R>(
        &self,
        leases: Leases,
        worker: WorkerBuilder<R>,
        global: &Global,
    ) -> Result<WorkerBuilder<R>, Failure> {
        Ok(match leases {
            Leases::Dynamodb => worker.leases(global.connect_leases().await?),
            Leases::File => worker.leases(FileLeases::new(&self.lease_file)),
            Leases::Memory => worker.leases(MemoryLeases::new()),
        })
    }
}
