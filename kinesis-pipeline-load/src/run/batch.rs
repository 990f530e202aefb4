//! What goes from the thread that reads to the task that puts.

use kinesis_pipeline::EncodedRecord;
use serde::{Deserialize, Serialize};

use crate::TableReport;

/// Rows of a batch: also the step in which a load is resumed.
pub(crate) const BATCH_ROWS_MAX: u64 = 1024;
/// Bytes of a batch's records.
pub(crate) const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Batches between the thread and the task.
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

/// How far a load has come: the content of a resume file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The index of the file.
    pub(crate) file: usize,
    /// Rows of that file that are done: all of them up to here.
    pub(crate) rows_of_file: u64,
    /// Rows of all files.
    pub(crate) rows: u64,
    pub(crate) dropped: u64,
    pub(crate) rejected: u64,
    pub(crate) tables: Vec<TableReport>,
    /// The lengths of the files that are written beside.
    pub(crate) outputs: Vec<u64>,
}
