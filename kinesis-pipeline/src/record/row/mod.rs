//! Row mapping: from a row of a table (TSV, CSV, JSON lines) to a typed record.
//!
//! ```text
//!   header ── RowReader::open ── checks every column of the mapping once
//!   row ─── null marker ─ validate ─ parse ──> value or null, per field
//!                  │
//!                  v
//!        drop_if_none ─ unique ─ max_length ─ default ─ anonymize ─ replace ──> M ── into_records ──> records
//! ```
//!
//! Write the mapping with `#[derive(KinesisRecord)]`: a field with `pos`, `column`, `null` or another row setting
//! makes the type a row model. The crate `kinesis-pipeline-load` reads files and puts what comes out.
//!
#![cfg_attr(feature = "derive", doc = "```")]
#![cfg_attr(not(feature = "derive"), doc = "```ignore")]
//! use kinesis_pipeline::{
//!     KinesisRecord,
//!     record::row::{Header, Mapped, Row, RowContext, RowReader},
//! };
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
//! struct Reading {
//!     #[kinesis(partition_key, pos = 0, required)]
//!     device: String,
//!     #[kinesis(column = "temp_c")]
//!     temperature: Option<f64>,
//! }
//!
//! let header = Header::new(["id", "temp_c"]);
//! let mut rows = RowReader::<Reading>::new(RowContext::default());
//! rows.open(&header)?;
//! let row = Row::new("d721.5", &[2, 6]).with_header(&header).at_line(2);
//! let Mapped::Record(reading) = rows.read(&row)? else { panic!("the row was dropped") };
//! assert_eq!(reading, Reading { device: "d7".into(), temperature: Some(21.5) });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cell;
mod context;
mod error;
mod hash;
mod header;
mod mapping;
mod parsed;
mod reader;
#[allow(clippy::module_inception, reason = "the file of the main type")]
mod row;
pub(crate) mod scan;
mod text;
mod time;
mod uuid;

pub use cell::{CellError, FromCell};
pub use context::{RowContext, Seed};
pub use error::{HeaderError, RowError, RowProblem};
pub use header::Header;
pub use mapping::{Column, ColumnSource, NotValidated, OnDuplicate, RowMapping};
pub use parsed::{IntoParsed, IntoVerdict};
pub use reader::{DropReason, Mapped, RowReader};
pub use row::Row;
pub use scan::{RowScan, RowStop};
pub use text::{Anonymized, MaxLength};
pub use time::{FromFormatted, FromTime, UtcTime};
pub use uuid::FromUuid;

use super::KinesisRecord;

/// A model whose values come from the rows of a table. Derive it with `#[derive(KinesisRecord)]` and row settings.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no row mapping",
    label = "no field of this type says which column it comes from",
    note = "give a field a row setting, such as `#[kinesis(pos = 0)]` or `#[kinesis(column = \"name\")]`, or write `#[kinesis(rows)]` above the type: every field is then the column of its name"
)]
pub trait FromRow: Sized {
    /// The columns and options of the model.
    const MAPPING: RowMapping;

    /// Reads the model from a row.
    ///
    /// # Errors
    /// [`RowStop`]: the row is dropped, or a cell is not what its field takes.
    fn from_row(row: &mut RowScan<'_, '_>) -> Result<Self, RowStop>;

    /// Returns the records of this model: itself, or what the function of `emit` makes of it.
    fn into_records(self) -> impl IntoIterator<Item: KinesisRecord>;
}
