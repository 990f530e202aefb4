//! Batches of rows, which the reading thread sends to the putting task.

use kinesis_pipeline::EncodedRecord;
use serde::{Deserialize, Serialize};

use crate::TableReport;

/// The most rows of a batch. A load is resumed at the end of a batch.
pub(crate) const BATCH_ROWS_MAX: u64 = 1024;
/// The most bytes of a batch's records.
pub(crate) const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// The bound of the channel between the thread and the task, in batches.
pub(crate) const BATCHES_WAITING_MAX: usize = 4;

/// Rows of one file, encoded.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The name of the file.
    pub(crate) file: std::sync::Arc<str>,
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
