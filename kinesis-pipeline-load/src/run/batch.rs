//! Batches of rows, which the reading thread sends to the putting task.

use std::{sync::Arc, time::Duration};

use kinesis_pipeline::EncodedRecord;
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, time::timeout};

use super::progress::Progress;
use crate::TableReport;

/// The most rows of a batch. A load is resumed at the end of a batch.
pub(crate) const BATCH_ROWS_MAX: u64 = 1024;
/// The most bytes of a batch's records.
pub(crate) const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// The bound of the channel between the thread and the task, in batches.
pub(crate) const BATCHES_WAITING_MAX: usize = 4;

/// The time between two looks at whether the load is stopped.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The looks after which a stopped load waits no longer for its input: a terminal or a pipe may be silent for ever.
const LOOKS_MAX: u32 = 10;

/// The batches, as they come from the reading thread.
pub(crate) struct Batches {
    received: mpsc::Receiver<Batch>,
    progress: Arc<Progress>,
    /// Looks in a row at a load that is stopped and whose input is silent.
    looks: u32,
}

impl Batches {
    pub(crate) fn new(received: mpsc::Receiver<Batch>, progress: Arc<Progress>) -> Self {
        Self {
            received,
            progress,
            looks: 0,
        }
    }

    /// Returns the next batch; `None` at the end of the input, or if the load is stopped and its input stays silent.
    ///
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Batch> {
        while !self.is_given_up() {
            if let Ok(batch) = timeout(LOOK_EVERY, self.received.recv()).await {
                self.looks = 0;
                return batch;
            }
            self.looks += u32::from(self.progress.is_stopped());
        }
        None
    }

    /// Whether the reading thread was left in the middle of a read.
    pub(crate) fn is_given_up(&self) -> bool {
        self.looks >= LOOKS_MAX
    }
}

/// Rows of one file, encoded.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The name of the file.
    pub(crate) file: Arc<str>,
    pub(crate) records: Vec<EncodedRecord>,
    /// The line of each record.
    pub(crate) lines: Vec<u64>,
    pub(crate) rows: u64,
    /// The state of the load once this batch is stored.
    pub(crate) mark: Mark,
}

/// The progress of a load: the content of a resume file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The index of the file.
    pub(crate) file: usize,
    /// Rows of that file that are done, without a gap.
    pub(crate) rows_of_file: u64,
    /// Rows of all files.
    pub(crate) rows: u64,
    pub(crate) dropped: u64,
    pub(crate) rejected: u64,
    pub(crate) tables: Vec<TableReport>,
    /// The lengths of the output files.
    pub(crate) outputs: Vec<u64>,
}
