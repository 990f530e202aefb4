//! The lease table of an application, in DynamoDB or in a file. The commands only read it.

use std::path::PathBuf;

use clap::Args;
use kinesis_pipeline::{FileLeases, Lease, LeaseCheckpoint, LeaseError, LeaseStore, WorkerId};

use crate::{
    cli::Global,
    failure::{Failure, Told},
};

/// The application whose leases a command reads.
#[derive(Args, Clone, Debug)]
pub(crate) struct LeasesArgument {
    /// The application, whose lease table has its name: of this library or of the Kinesis Client Library.
    #[arg(long, value_name = "APP")]
    app: String,
    /// The lease table in DynamoDB, if it has another name than the application. `AWS_ENDPOINT_URL_DYNAMODB` sets the
    /// address of DynamoDB, if it is not that of the region.
    #[arg(long, value_name = "TABLE", conflicts_with = "lease_file")]
    table: Option<String>,
    /// A file of leases, as `deliver` and fleets of one machine keep them, in place of a table.
    #[arg(long, value_name = "FILE")]
    lease_file: Option<PathBuf>,
}

/// A lease table that was found.
#[derive(Debug)]
pub(crate) struct LeaseTable {
    store: Box<dyn LeaseStore>,
    app: String,
    /// A description of the table.
    pub(crate) name: String,
}

impl LeasesArgument {
    /// Finds the table, without making one.
    pub(crate) async fn open(&self, global: &Global) -> Result<LeaseTable, Failure> {
        if let Some(path) = &self.lease_file {
            return self.open_file(path.clone());
        }
        let name = self.table.as_deref().unwrap_or(&self.app);
        let leases = global.connect_leases().await?;
        let leases = leases.table_name(name).create_table(false);
        match leases.check(&self.app).await {
            Ok(()) => Ok(self.found(leases, format!("the table `{name}`"))),
            Err(error @ LeaseError::InvalidTableName { .. }) => {
                let option = self.table.as_ref().map_or("--app", |_| "--table");
                Err(Failure::Usage(format!("{option}: {error}")))
            }
            Err(LeaseError::MissingTable) => {
                let told = format!(
                    "there is no lease table `{name}` in DynamoDB: is this the application of a fleet that has run, in this \
                     region and account? Leases in a file are read with --lease-file"
                );
                Err(Told(told).into())
            }
            Err(error @ LeaseError::NotALeaseTable { .. }) => {
                Err(Told(format!("`{name}` in DynamoDB: {error}")).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn open_file(&self, path: PathBuf) -> Result<LeaseTable, Failure> {
        let name = path.display().to_string();
        // A store treats an absent file as an empty one, so its presence is checked here.
        let opened = std::fs::File::open(&path);
        opened.map_err(|error| Told(format!("the leases in {name} cannot be read: {error}")))?;
        Ok(self.found(FileLeases::new(path), name))
    }

    fn found(&self, store: impl LeaseStore, name: String) -> LeaseTable {
        LeaseTable {
            store: Box::new(store),
            app: self.app.clone(),
            name,
        }
    }
}

impl LeaseTable {
    /// Lists the leases, in the order of their shards.
    pub(crate) async fn list(&self) -> Result<Vec<Lease>, Failure> {
        let mut leases = self.store.list(&self.app).await?;
        leases.sort_by(|a, b| a.shard_id.cmp(&b.shard_id));
        Ok(leases)
    }
}

/// Returns a checkpoint in KCL's words: the place, and the sub-sequence number of a place in an aggregate.
pub(crate) fn place(checkpoint: &LeaseCheckpoint) -> (String, Option<u64>) {
    let word = match checkpoint {
        LeaseCheckpoint::TrimHorizon => "TRIM_HORIZON",
        LeaseCheckpoint::Latest => "LATEST",
        LeaseCheckpoint::AtTimestamp => "AT_TIMESTAMP",
        LeaseCheckpoint::ShardEnd => "SHARD_END",
        LeaseCheckpoint::After {
            sequence_number,
            sub_sequence_number,
        } => return (sequence_number.to_string(), Some(*sub_sequence_number)),
        _ => "unknown",
    };
    (word.to_owned(), None)
}

/// Returns both in one cell.
pub(crate) fn cell(place: &str, sub_sequence_number: Option<u64>) -> String {
    match sub_sequence_number {
        None | Some(0) => place.to_owned(),
        Some(index) => format!("{place}:{index}"),
    }
}

/// Returns a worker's id as text.
pub(crate) fn id(worker: Option<&WorkerId>) -> Option<String> {
    worker.map(ToString::to_string)
}
