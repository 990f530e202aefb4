//! Records as rows: the columns of a table, and the values of a record in their types.
//!
//! ```text
//!   type of the records ── fields ──> Columns        once
//!   Record<R> ── Columns::row ──> Row { values }     per record; a value that does not fit is a BadValue
//! ```
//!
//! - `value`: values and their types.
//! - `column`: columns and the sources of their values.
//! - `fields`: the fields of a type and their types, by serde.
//! - `to_value`, `to_list`, `to_row`: serde's calls into values and rows.
//! - `decimal`: decimal numbers by their digits.
//! - `error`: values that do not fit.

mod column;
mod decimal;
mod error;
mod fields;
mod to_list;
mod to_row;
mod to_value;
mod value;

pub use column::{Column, ColumnSource, Columns, ColumnsError};
pub(crate) use decimal::Decimal;
pub use error::{BadValue, ValueError};
pub use to_row::Row;
pub use value::{ColumnType, Value};
