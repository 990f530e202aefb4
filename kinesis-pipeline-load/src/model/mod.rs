//! Models, which turn rows into encoded records: typed models, and tables without a model.

mod stamp;
mod typed;
pub(crate) mod untyped;

use kinesis_pipeline::{
    EncodedRecord,
    record::{
        EncodeContext,
        row::{DropReason, Header, RowContext, RowError},
    },
};

pub(crate) use stamp::{Stamp, stamped};
pub(crate) use typed::Typed;

use crate::{
    Format, LoadError, TableReport,
    source::{Sampled, SourceRow},
};

/// A mapping of rows to records.
pub(crate) trait Model: Send {
    /// Returns the table's name.
    fn table(&self) -> &str;

    /// Returns the delimiter of cells, if the model sets one.
    fn delimiter(&self) -> Option<u8>;

    /// Returns the columns that are read by name, for inputs without a header.
    fn names(&self) -> Vec<&str>;

    /// Whether rows are read cell by cell.
    fn reads_cells(&self) -> bool;

    /// Checks a table's header against the model. JSON lines have a header that is made up.
    fn open(&mut self, header: &Header, file: &str, format: Format) -> Result<(), LoadError>;

    /// Returns the number of rows of each table that the model samples before the table is opened; 0 for none.
    fn sample_rows(&self) -> u64 {
        0
    }

    /// Learns from a sample of the table that is opened next.
    fn learn(&mut self, sampled: Sampled) {
        let _ = sampled;
    }

    /// Appends the records of a row, or returns the reason why the row is dropped.
    fn map(
        &mut self,
        row: &SourceRow<'_>,
        context: &EncodeContext,
        out: &mut Vec<EncodedRecord>,
    ) -> Result<Option<DropReason>, RowError>;

    /// Forgets the row that was mapped last, which was refused afterwards.
    fn forget(&mut self) {}

    /// Whether the decision about a row (a record, or dropped) depends on the rows before.
    fn remembers(&self) -> bool;
}

/// A function that makes a model once the context is known.
pub(crate) type MakeModel = Box<dyn FnOnce(RowContext) -> Box<dyn Model> + Send + Sync>;

/// Counts a row that was dropped.
pub(crate) fn count_drop(report: &mut TableReport, reason: DropReason) {
    match reason {
        DropReason::NotUnique => report.dropped_not_unique += 1,
        DropReason::NotValidated => report.dropped_not_validated += 1,
        _ => report.dropped_none += 1,
    }
}
