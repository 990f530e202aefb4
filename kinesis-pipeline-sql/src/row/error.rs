use std::fmt::Display;

use kinesis_pipeline::Position;

use super::{ColumnType, Value};

/// The most bytes of a record that stand in an error's text.
const SHOWN_BYTES_MAX: usize = 60;

/// The error of a record with a value that its column cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("the record at {position} does not fit column \"{column}\"")]
#[non_exhaustive]
pub struct BadValue {
    /// The column's name; empty if the whole record is no row.
    pub column: String,
    /// The record's position.
    pub position: Box<Position>,
    /// The reason.
    pub source: ValueError,
}

impl BadValue {
    /// Makes the error of a record that does not fit this column.
    #[must_use]
    pub fn new(column: impl Into<String>, position: Position, source: ValueError) -> Self {
        Self {
            column: column.into(),
            position: Box::new(position),
            source,
        }
    }
}

/// The reason why a column cannot hold a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The value is of another type.
    #[error("{found} is no {expected}: declare the column with another type")]
    #[non_exhaustive]
    WrongType {
        /// The kind of the value.
        found: &'static str,
        /// The column's type.
        expected: ColumnType,
    },
    /// The number does not fit the column's type exactly.
    #[error("{number} does not fit {expected}: declare the column as text")]
    #[non_exhaustive]
    OutOfRange {
        /// The number.
        number: String,
        /// The column's type.
        expected: ColumnType,
    },
    /// The text is no timestamp as RFC 3339 writes it.
    #[error("`{text}` is no timestamp: write it as in 2026-11-28T18:30:00Z")]
    #[non_exhaustive]
    NotATimestamp {
        /// The text, cut after 60 bytes.
        text: String,
    },
    /// The text is no day as RFC 3339 writes it.
    #[error("`{text}` is no date: write it as in 2026-11-28")]
    #[non_exhaustive]
    NotADate {
        /// The text, cut after 60 bytes.
        text: String,
    },
    /// The text is no decimal number, or one of more digits than databases have.
    #[error("`{text}` is no decimal number: write it as in -12.50")]
    #[non_exhaustive]
    NotADecimal {
        /// The text, cut after 60 bytes.
        text: String,
    },
    /// The text is no UUID.
    #[error("`{text}` is no UUID")]
    #[non_exhaustive]
    NotAUuid {
        /// The text, cut after 60 bytes.
        text: String,
    },
    /// The record is no object with fields.
    #[error("{found} has no fields: use one JSON column")]
    #[non_exhaustive]
    NoFields {
        /// The kind of the value.
        found: &'static str,
    },
    /// A key column has no value.
    #[error("a key column needs a value")]
    MissingKey,
    /// The text holds a NUL character, which the database cannot store.
    #[error("it holds a NUL character, which the database cannot store")]
    Nul,
    /// The value cannot be written as JSON, or its own serialization failed.
    #[error("{0}")]
    Serialize(String),
}

impl ValueError {
    pub(super) fn not_a_timestamp(text: &str) -> Self {
        let text = shown(text);
        Self::NotATimestamp { text }
    }

    pub(super) fn not_a_date(text: &str) -> Self {
        let text = shown(text);
        Self::NotADate { text }
    }

    pub(crate) fn not_a_decimal(text: &str) -> Self {
        let text = shown(text);
        Self::NotADecimal { text }
    }

    pub(crate) fn not_a_uuid(text: &str) -> Self {
        let text = shown(text);
        Self::NotAUuid { text }
    }

    pub(crate) fn out_of_range(number: &impl ToString, expected: ColumnType) -> Self {
        let number = number.to_string();
        Self::OutOfRange { number, expected }
    }

    pub(crate) fn wrong(value: &Value, expected: ColumnType) -> Self {
        let found = value.kind_name();
        Self::WrongType { found, expected }
    }
}

impl serde::ser::Error for ValueError {
    fn custom<T: Display>(message: T) -> Self {
        Self::Serialize(message.to_string())
    }
}

fn shown(text: &str) -> String {
    text[..text.floor_char_boundary(SHOWN_BYTES_MAX)].to_owned()
}
