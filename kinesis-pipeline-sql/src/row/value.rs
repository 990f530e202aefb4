use std::{fmt, time::SystemTime};

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// A floating-point number of 64 bits.
    Float(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A point in time. Databases keep microseconds or milliseconds of it.
    Timestamp(SystemTime),
    /// A JSON text. A JSON `null` is [`Null`](Self::Null).
    Json(String),
}

impl Value {
    /// Whether this is no value.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(super) fn kind_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a floating-point number",
            Self::Text(_) => "a text",
            Self::Bytes(_) => "a byte string",
            Self::Timestamp(_) => "a timestamp",
            Self::Json(_) => "JSON",
        }
    }
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColumnType {
    /// `boolean`.
    Bool,
    /// `bigint`.
    Int,
    /// `double precision`.
    Float,
    /// `text`.
    Text,
    /// `bytea` of Postgres. CrateDB has no such type: there it is text in Base64.
    Bytes,
    /// `timestamptz`.
    Timestamp,
    /// `jsonb` of Postgres, `OBJECT(DYNAMIC)` of CrateDB.
    Json,
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bool => "boolean",
            Self::Int => "integer",
            Self::Float => "floating-point number",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Json => "JSON",
        })
    }
}
