//! The loader: its settings here, its start in `load`, its driver in `drive`.

mod drive;
mod load;
mod written;

use std::{fmt, path::PathBuf, sync::Arc};

use kinesis_pipeline::{
    EncodedRecord, KinesisStream, Order,
    record::row::{FromRow, Seed},
};
use serde_json::Value;

use crate::{
    Format, Policy, Untyped,
    model::{MakeModel, Typed, untyped::UntypedModel},
    run::{batch::BATCH_ROWS_MAX, progress::Progress, rows::stop},
};

/// The default of the most rows that a second run repeats.
const RESUME_WINDOW_ROWS: u64 = 32 * BATCH_ROWS_MAX;
/// The default number of records that a trial shows.
const SAMPLES: usize = 3;

/// A loader of tables into a stream.
///
/// It reads rows on a thread of its own and puts them through a producer that keeps the order of each key and
/// aggregates: see [`aggregate`](Self::aggregate).
///
/// # Cancel safety
/// Dropping the future of [`load`](Self::load) stops the load: records in flight may be stored or not. With a resume
/// file, a second load sends the rest. To stop without repeats, use [`StopLoad`].
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub struct Loader {
    stream: KinesisStream<EncodedRecord>,
    models: Vec<MakeModel>,
    format: Option<Format>,
    policy: Policy,
    trial: bool,
    samples: usize,
    rows_max: Option<u64>,
    outdir: Option<PathBuf>,
    resume: Option<PathBuf>,
    resume_window: u64,
    ids: bool,
    seed: Option<Seed>,
    aggregate: bool,
    order: Order,
    show_progress: bool,
    snapshot: Option<String>,
    scale_to: Option<u32>,
    progress: Arc<Progress>,
}

/// A handle that stops a load: see [`Loader::stop_handle`].
#[derive(Clone, Debug)]
pub struct StopLoad(Arc<Progress>);

impl StopLoad {
    /// Stops reading, at once or, of an input that is silent, after a second. Rows that were read are put, the resume
    /// file is written, and [`Loader::load`] returns a report
    /// with [`stopped`](crate::LoadReport::stopped).
    pub fn stop(&self) {
        stop(&self.0);
    }
}

impl Loader {
    /// Makes a loader of rows into the stream's own model.
    pub fn new<M: FromRow + 'static>(stream: &KinesisStream<M>) -> Self {
        Self::with_models(stream.with_record_type(), Vec::new()).model::<M>()
    }

    /// Makes a loader of a table without a model.
    pub fn untyped(stream: &KinesisStream<Value>, table: Untyped) -> Self {
        let make: MakeModel = Box::new(|_| Box::new(UntypedModel::new(table)));
        Self::with_models(stream.with_record_type(), vec![make])
    }

    fn with_models(stream: KinesisStream<EncodedRecord>, models: Vec<MakeModel>) -> Self {
        Self {
            stream,
            models,
            format: None,
            policy: Policy::Stop,
            trial: false,
            samples: SAMPLES,
            rows_max: None,
            outdir: None,
            resume: None,
            resume_window: RESUME_WINDOW_ROWS,
            ids: false,
            seed: None,
            aggregate: true,
            order: Order::PerKey,
            show_progress: false,
            snapshot: None,
            scale_to: None,
            progress: Arc::default(),
        }
    }

    /// Adds a model: each row is read into it too, and its records are put to the same stream.
    #[must_use]
    pub fn model<M: FromRow + 'static>(mut self) -> Self {
        self.models
            .push(Box::new(|context| Box::new(Typed::<M>::new(context))));
        self
    }

    /// Sets the format of the input. Default: the model's `delimiter`, else the format of the file's extension, else
    /// TSV.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// Sets how the load handles rows that are not valid. Default [`Policy::Stop`].
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets whether this is a trial: nothing is sent, and the report shows what would be sent. Default false.
    #[must_use]
    pub fn trial(mut self, trial: bool) -> Self {
        self.trial = trial;
        self
    }

    /// Sets how many records a trial's report shows, and how many rows of the input are logged at the level debug.
    /// Default 3.
    #[must_use]
    pub fn samples(mut self, records: usize) -> Self {
        self.samples = records;
        self
    }

    /// Reads at most this many rows, those of previous runs with the same resume file included. Default: all.
    #[must_use]
    pub fn rows_max(mut self, rows: u64) -> Self {
        self.rows_max = Some(rows);
        self
    }

    /// Also writes the records to `<dir>/<table>.json`, one per line, in the same pass. The directory is made, and
    /// files of earlier loads are replaced. Off by default.
    #[must_use]
    pub fn outdir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.outdir = Some(dir.into());
        self
    }

    /// Sets the resume file. It keeps how far the load is stored, and a load begins at the place in it. Default: none.
    ///
    /// The file is written, with an fsync, once a second or more often: a run after a crash sends the rest and repeats
    /// at most [`resume_window`](Self::resume_window) rows. It identifies the load by the stream, the tables and the
    /// SHA-256 of each input file, so each file is read once more.
    #[must_use]
    pub fn resume(mut self, path: impl Into<PathBuf>) -> Self {
        self.resume = Some(path.into());
        self
    }

    /// Sets the most rows that a second run repeats. Default 32,768; at least 2,048. A smaller window costs more writes
    /// of the resume file.
    #[must_use]
    pub fn resume_window(mut self, rows: u64) -> Self {
        self.resume_window = rows;
        self
    }

    /// Sets whether each record carries `_meta.id`: 16 digits of its file's SHA-256, `:`, and the line of its row;
    /// further records of the same row have `.1`, `.2` ... appended. A sink can drop duplicates by this id. Default
    /// false.
    ///
    /// Records must be JSON objects, and files must be readable twice.
    #[must_use]
    pub fn ids(mut self, ids: bool) -> Self {
        self.ids = ids;
        self
    }

    /// Sets the seed of the anonymisers. Default: a random one, so that pseudonyms differ from run to run.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets whether several records share one Kinesis record, in the aggregate format of the Kinesis Producer Library.
    /// Default true: with an order per key, a shard takes one Kinesis record per round trip, which is slow without
    /// aggregates.
    ///
    /// Every reader of the stream must split aggregates, as this library, KCL, Firehose and Lambda's helpers do.
    #[must_use]
    pub fn aggregate(mut self, aggregate: bool) -> Self {
        self.aggregate = aggregate;
        self
    }

    /// Sets the order in which records are stored. Default [`Order::PerKey`].
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Sets whether a progress bar is drawn on standard error, if it is a terminal. Default false.
    #[must_use]
    pub fn progress(mut self, show: bool) -> Self {
        self.show_progress = show;
        self
    }

    /// Puts a marker with this id to every open shard before the first record and after the last one, so that readers
    /// can tell loaded records from live ones. Default: none.
    ///
    /// A marker is a JSON object: `_meta.eventType` is `snapshot.begin` or `snapshot.end`, `snapshot.id` is the id,
    /// `snapshot.tables` has the tables, and the end marker has `snapshot.counts`: rows, records, dropped, rejected. A
    /// load that is stopped or fails has no end marker; after a resume a marker may come twice.
    #[must_use]
    pub fn snapshot(mut self, id: impl Into<String>) -> Self {
        self.snapshot = Some(id.into());
        self
    }

    /// Scales the stream to this number of open shards before the first record, and back after the last one, also if
    /// the load fails or is stopped. Off by default.
    ///
    /// Shards cost money. The service allows 10 scalings in 24 hours, each to at least half and at most twice the
    /// shards; larger changes take several. A process that is killed leaves the stream scaled.
    #[must_use]
    pub fn scale_to(mut self, shards: u32) -> Self {
        self.scale_to = Some(shards);
        self
    }

    /// Returns a handle that stops the load.
    #[must_use]
    pub fn stop_handle(&self) -> StopLoad {
        StopLoad(Arc::clone(&self.progress))
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("stream", self.stream.id())
            .field("trial", &self.trial)
            .finish_non_exhaustive()
    }
}
