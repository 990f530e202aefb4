use clap::Args;
use kinesis_pipeline::CheckpointPlace;
use kinesis_pipeline_sql::{PostgresCheckpoints, StoredCheckpoint};
use serde::Serialize;

use crate::{
    data,
    failure::Failure,
    output::{self, Layout, Row},
};

/// The checkpoints that a command is about, in a database.
#[derive(Args)]
pub(crate) struct Checkpoints {
    /// The database that has them, as in `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    to: String,
    /// Only those of this application.
    #[arg(long, value_name = "APP")]
    pub(super) app: Option<String>,
    /// Only those of this stream, by the name that its readers use.
    #[arg(short, long, value_name = "STREAM")]
    pub(super) stream: Option<String>,
}

/// Leaves out the URL, which may hold a password.
impl std::fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoints")
            .field("app", &self.app)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl Checkpoints {
    /// Opens the store, whose table is left as it is.
    pub(super) fn store(&self) -> Result<PostgresCheckpoints, Failure> {
        Ok(PostgresCheckpoints::connect(&self.to)?.create_table(false))
    }
}

#[derive(Args, Debug)]
pub(crate) struct ListCheckpoints {
    #[command(flatten)]
    of: Checkpoints,
    /// The form in which the checkpoints are printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Layout,
}

impl ListCheckpoints {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let (app, stream) = (self.of.app.as_deref(), self.of.stream.as_deref());
        let stored = self.of.store()?.list(app, stream).await?;
        let rows: Vec<_> = stored.into_iter().map(CheckpointRow::from).collect();
        Ok(output::rows(self.output, &rows)?)
    }
}

#[derive(Serialize)]
struct CheckpointRow {
    app: String,
    stream: String,
    shard_id: String,
    place: String,
    /// The arrival of the last record that was read.
    arrived_at: Option<String>,
    updated: Option<String>,
}

impl From<StoredCheckpoint> for CheckpointRow {
    fn from(stored: StoredCheckpoint) -> Self {
        let checkpoint = stored.checkpoint;
        Self {
            app: stored.app,
            stream: stored.stream,
            shard_id: checkpoint.shard_id.to_string(),
            place: place(&checkpoint.place),
            arrived_at: checkpoint.arrived_at.map(data::rfc3339),
            updated: stored.updated.map(data::rfc3339),
        }
    }
}

impl Row for CheckpointRow {
    const TITLES: &'static [&'static str] = &["APP", "STREAM", "SHARD", "UPDATED", "PLACE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.app.clone(),
            self.stream.clone(),
            self.shard_id.clone(),
            self.updated.clone().unwrap_or_else(|| "-".to_owned()),
            self.place.clone(),
        ]
    }
}

fn place(place: &CheckpointPlace) -> String {
    match place {
        CheckpointPlace::TrimHorizon => "TRIM_HORIZON".to_owned(),
        CheckpointPlace::Timestamp(time) => format!("from {}", data::rfc3339(*time)),
        CheckpointPlace::After {
            sequence_number,
            sub_sequence_number: Some(sub),
        } => format!("after {sequence_number}.{sub}"),
        CheckpointPlace::After {
            sequence_number, ..
        } => format!("after {sequence_number}"),
        CheckpointPlace::ShardEnd => "SHARD_END".to_owned(),
        other => format!("{other:?}"),
    }
}
