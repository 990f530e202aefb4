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
    /// A day of the Gregorian calendar, in days since 1970-01-01.
    Date(i32),
    /// A decimal number of any length, as in `-12.50`.
    Decimal(String),
    /// A list of values of one type; some may be [`Null`](Self::Null).
    Array(Vec<Value>),
    /// A JSON text. A JSON `null` is [`Null`](Self::Null).
    Json(String),
}

impl Value {
    /// Whether this is [`Null`](Self::Null).
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
            Self::Date(_) => "a date",
            Self::Decimal(_) => "a decimal number",
            Self::Array(_) => "a list",
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
    /// `timestamptz`, from texts as RFC 3339 writes them.
    Timestamp,
    /// `date`, from texts as in `2026-11-28`. In CrateDB it is a timestamp, at midnight UTC.
    Date,
    /// `numeric`, from texts as in `-12.50` and from all numbers; a floating-point number is written with the fewest
    /// digits that identify it. Postgres rounds to a column with fewer digits, such as `numeric(10, 2)`. In CrateDB it
    /// is text.
    Decimal,
    /// `text[]`, `ARRAY(TEXT)` of CrateDB.
    TextArray,
    /// `bigint[]`, `ARRAY(BIGINT)` of CrateDB.
    IntArray,
    /// `double precision[]`, `ARRAY(DOUBLE PRECISION)` of CrateDB.
    FloatArray,
    /// `jsonb` of Postgres, `OBJECT(DYNAMIC)` of CrateDB.
    Json,
}

impl ColumnType {
    /// Returns the type of a list's elements; `None` for other types.
    pub(crate) fn element(self) -> Option<Self> {
        match self {
            Self::TextArray => Some(Self::Text),
            Self::IntArray => Some(Self::Int),
            Self::FloatArray => Some(Self::Float),
            _ => None,
        }
    }
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
            Self::Date => "date",
            Self::Decimal => "decimal number",
            Self::TextArray => "list of texts",
            Self::IntArray => "list of integers",
            Self::FloatArray => "list of floating-point numbers",
            Self::Json => "JSON",
        })
    }
}
