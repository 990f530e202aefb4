//! The loader: its settings here and in `options`, its start in `load`, its driver in `drive`.

mod drive;
mod load;
mod options;
mod written;

use std::{fmt, path::PathBuf, sync::Arc};

use kinesis_pipeline::{
    EncodedRecord, KinesisStream, Order,
    record::row::{FromRow, Seed},
};
use serde_json::Value;

use crate::{
    Format, Policy, Untyped,
    model::{MakeModel, untyped::UntypedModel},
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
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("stream", self.stream.id())
            .field("trial", &self.trial)
            .finish_non_exhaustive()
    }
}
