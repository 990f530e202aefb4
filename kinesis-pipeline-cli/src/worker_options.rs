//! Options of the commands that work as a fleet: the store of their leases, and KCL's settings file.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use kinesis_pipeline::{
    FileLeases, KinesisRecord, KinesisStream, MemoryLeases, WorkerBuilder, WorkerProperties,
};

use crate::{
    cli::Global,
    connect::Connected,
    failure::{Failure, Told},
};

/// The stores of leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Leases {
    /// The DynamoDB table of the application's name, as KCL has it: any number of machines.
    Dynamodb,
    /// A file: the processes of this machine.
    File,
    /// Memory: this process alone.
    Memory,
}

impl Leases {
    /// Gives a worker its store.
    pub(crate) async fn set<R>(
        self,
        worker: WorkerBuilder<R>,
        file: &Path,
        global: &Global,
    ) -> Result<WorkerBuilder<R>, Failure> {
        Ok(match self {
            Self::Dynamodb => worker.leases(global.connect_leases().await?),
            Self::File => worker.leases(FileLeases::new(file)),
            Self::Memory => worker.leases(MemoryLeases::new()),
        })
    }
}

/// The stream of a worker, and the file that may name it.
#[derive(Args, Debug)]
pub(crate) struct WorkerStream {
    /// The stream: its name, its ARN, or a name of the configuration file.
    #[arg(
        short,
        long,
        value_name = "STREAM",
        required_unless_present = "properties"
    )]
    stream: Option<String>,
    /// A settings file of KCL's `MultiLangDaemon`: the stream, the application, where it begins, and more. Settings
    /// without a meaning here are named in a warning.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["app", "latest"])]
    properties: Option<PathBuf>,
}

impl WorkerStream {
    /// Whether a settings file is given.
    pub(crate) fn has_properties(&self) -> bool {
        self.properties.is_some()
    }

    /// Connects to the stream, in the region of the settings file unless the command line names one. Returns also the
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

    /// A worker of this application, or of that of the settings file.
    pub(crate) fn worker<R: KinesisRecord + Send>(
        &self,
        stream: &KinesisStream<R>,
        app: &str,
    ) -> Result<WorkerBuilder<R>, Failure> {
        match &self.properties {
            Some(path) => Ok(stream.worker_from_properties(path)?),
            None => Ok(stream.worker(app)),
        }
    }
}
