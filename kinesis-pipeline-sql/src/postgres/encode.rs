//! Rows in Postgres's binary copy format.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{BufMut as _, Bytes, BytesMut};

use super::numeric::put_numeric;
use crate::row::{ColumnType, Decimal, Value, ValueError};

/// Signature, flags, and the length of a header that is not there.
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
pub(super) const TRAILER: &[u8] = &[0xff, 0xff];
/// Postgres counts from 2000-01-01.
const EPOCH_SECONDS: i64 = 946_684_800;
const EPOCH_DAYS: i32 = 10_957;

/// A type of Postgres that values are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PgType {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Text,
    Bytea,
    Json,
    Jsonb,
    Timestamp,
    Date,
    Numeric,
    Uuid,
    Array(Element),
}

/// The type of an array's elements. Postgres has an array type for each of its types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Text,
    Varchar,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
}

impl Element {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "varchar" => Self::Varchar,
            "int2" => Self::Int2,
            "int4" => Self::Int4,
            "int8" => Self::Int8,
            "float4" => Self::Float4,
            "float8" => Self::Float8,
            _ => return None,
        })
    }

    /// Returns the type's OID, which the binary form has, and the type itself.
    fn oid(self) -> (u32, PgType) {
        match self {
            Self::Text => (25, PgType::Text),
            Self::Varchar => (1043, PgType::Text),
            Self::Int2 => (21, PgType::Int2),
            Self::Int4 => (23, PgType::Int4),
            Self::Int8 => (20, PgType::Int8),
            Self::Float4 => (700, PgType::Float4),
            Self::Float8 => (701, PgType::Float8),
        }
    }
}

impl PgType {
    /// Returns the type of this name in the catalog; `None` for an unsupported one.
    pub(crate) fn of(name: &str, is_enum: bool) -> Option<Self> {
        Some(match name {
            _ if is_enum => Self::Text,
            "bool" => Self::Bool,
            "int2" => Self::Int2,
            "int4" => Self::Int4,
            "int8" => Self::Int8,
            "float4" => Self::Float4,
            "float8" => Self::Float8,
            "text" | "varchar" | "bpchar" | "citext" => Self::Text,
            "bytea" => Self::Bytea,
            "json" => Self::Json,
            "jsonb" => Self::Jsonb,
            "timestamptz" | "timestamp" => Self::Timestamp,
            "date" => Self::Date,
            "numeric" => Self::Numeric,
            "uuid" => Self::Uuid,
            _ => Self::Array(Element::of(name.strip_prefix('_')?)?),
        })
    }

    /// Returns the column type that a record's values are converted to for this type.
    pub(crate) fn kind(self) -> ColumnType {
        match self {
            Self::Bool => ColumnType::Bool,
            Self::Int2 | Self::Int4 | Self::Int8 => ColumnType::Int,
            Self::Float4 | Self::Float8 => ColumnType::Float,
            Self::Text | Self::Uuid => ColumnType::Text,
            Self::Bytea => ColumnType::Bytes,
            Self::Json | Self::Jsonb => ColumnType::Json,
            Self::Timestamp => ColumnType::Timestamp,
            Self::Date => ColumnType::Date,
            Self::Numeric => ColumnType::Decimal,
            Self::Array(Element::Text | Element::Varchar) => ColumnType::TextArray,
            Self::Array(Element::Int2 | Element::Int4 | Element::Int8) => ColumnType::IntArray,
            Self::Array(Element::Float4 | Element::Float8) => ColumnType::FloatArray,
        }
    }
}

/// Encoded rows, in the form in which they are sent.
#[derive(Debug, Default)]
pub(crate) struct EncodedRows {
    bytes: BytesMut,
    /// The end of each row in the bytes.
    ends: Vec<usize>,
    has_deletions: bool,
}

impl EncodedRows {
    /// Appends a row; after an error, which has the column and the reason, appends nothing. With `deletes` it is a
    /// staged row: its number and the flag follow its columns.
    pub(crate) fn push(
        &mut self,
        values: &[Value],
        types: &[PgType],
        deletes: Option<bool>,
    ) -> Result<(), (usize, ValueError)> {
        let begin = self.bytes.len();
        let count = types.len() + if deletes.is_some() { 2 } else { 0 };
        // Postgres has at most 1,600 columns.
        self.bytes.put_i16(i16::try_from(count).unwrap_or(i16::MAX));
        for (index, (value, kind)) in values.iter().zip(types).enumerate() {
            if let Err(error) = put(&mut self.bytes, value, *kind) {
                self.bytes.truncate(begin);
                return Err((index, error));
            }
        }
        if let Some(deletes) = deletes {
            self.bytes.put_i32(8);
            self.bytes.put_u64(self.ends.len() as u64);
            self.bytes.put_i32(1);
            self.bytes.put_u8(deletes.into());
            self.has_deletions |= deletes;
        }
        self.ends.push(self.bytes.len());
        Ok(())
    }

    pub(crate) fn freeze(self) -> FrozenRows {
        FrozenRows {
            bytes: self.bytes.freeze(),
            ends: self.ends,
            has_deletions: self.has_deletions,
        }
    }
}

/// Complete rows. Parts of them share their memory.
#[derive(Debug)]
pub(crate) struct FrozenRows {
    bytes: Bytes,
    ends: Vec<usize>,
    pub(super) has_deletions: bool,
}

impl FrozenRows {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the bytes of some rows.
    pub(super) fn part(&self, part: &std::ops::Range<usize>) -> Bytes {
        let at = |row: usize| row.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.bytes.slice(at(part.start)..at(part.end))
    }
}

fn put(out: &mut BytesMut, value: &Value, kind: PgType) -> Result<(), ValueError> {
    let wrong = || ValueError::wrong(value, kind.kind());
    match (value, kind) {
        (Value::Null, _) => out.put_i32(-1),
        (Value::Bool(value), PgType::Bool) => sized(out, &[u8::from(*value)])?,
        (Value::Int(int), PgType::Int2) => sized(out, &narrow::<i16>(*int)?.to_be_bytes())?,
        (Value::Int(int), PgType::Int4) => sized(out, &narrow::<i32>(*int)?.to_be_bytes())?,
        (Value::Int(int), PgType::Int8) => sized(out, &int.to_be_bytes())?,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the table has so many digits"
        )]
        (Value::Float(float), PgType::Float4) => sized(out, &(*float as f32).to_be_bytes())?,
        (Value::Float(float), PgType::Float8) => sized(out, &float.to_be_bytes())?,
        (Value::Text(text), PgType::Uuid) => {
            let uuid = uuid::Uuid::try_parse(text).map_err(|_| ValueError::not_a_uuid(text))?;
            sized(out, uuid.as_bytes())?;
        }
        (Value::Text(text), PgType::Text) => {
            if memchr::memchr(0, text.as_bytes()).is_some() {
                return Err(ValueError::Nul);
            }
            sized(out, text.as_bytes())?;
        }
        (Value::Bytes(bytes), PgType::Bytea) => sized(out, bytes)?,
        (Value::Json(json), PgType::Json) => sized(out, json.as_bytes())?,
        (Value::Json(json), PgType::Jsonb) => {
            out.put_i32(length(json.len() + 1)?);
            out.put_u8(1);
            out.put_slice(json.as_bytes());
        }
        (Value::Timestamp(time), PgType::Timestamp) => sized(out, &micros(*time)?.to_be_bytes())?,
        (Value::Date(days), PgType::Date) => {
            let days = days.checked_sub(EPOCH_DAYS);
            let days = days.ok_or_else(|| ValueError::out_of_range(&"the date", kind.kind()))?;
            sized(out, &days.to_be_bytes())?;
        }
        (Value::Decimal(text), PgType::Numeric) => {
            let decimal = Decimal::parse(text).ok_or_else(|| ValueError::not_a_decimal(text))?;
            put_numeric(out, &decimal);
        }
        (Value::Array(values), PgType::Array(element)) => put_array(out, values, element)?,
        _ => return Err(wrong()),
    }
    Ok(())
}

/// Appends an array of one dimension; an empty one has none.
fn put_array(out: &mut BytesMut, values: &[Value], element: Element) -> Result<(), ValueError> {
    let begin = out.len();
    let (oid, kind) = element.oid();
    out.put_i32(0);
    out.put_i32(i32::from(!values.is_empty()));
    out.put_i32(i32::from(values.contains(&Value::Null)));
    out.put_u32(oid);
    if !values.is_empty() {
        out.put_i32(length(values.len())?);
        // SQL arrays are indexed from 1.
        out.put_i32(1);
    }
    for value in values {
        put(out, value, kind)?;
    }
    let size = length(out.len() - begin - size_of::<i32>())?;
    out[begin..begin + size_of::<i32>()].copy_from_slice(&size.to_be_bytes());
    Ok(())
}

fn sized(out: &mut BytesMut, bytes: &[u8]) -> Result<(), ValueError> {
    out.put_i32(length(bytes.len())?);
    out.put_slice(bytes);
    Ok(())
}

fn length(bytes: usize) -> Result<i32, ValueError> {
    i32::try_from(bytes).map_err(|_| ValueError::Serialize(format!("{bytes} bytes are too many")))
}

fn narrow<N: TryFrom<i64>>(int: i64) -> Result<N, ValueError> {
    N::try_from(int).map_err(|_| ValueError::out_of_range(&int, ColumnType::Int))
}

/// Returns the microseconds since 2000-01-01; nanoseconds are cut off.
fn micros(time: SystemTime) -> Result<i64, ValueError> {
    let since_1970 = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).ok(),
        Err(before) => i64::try_from(before.duration().as_micros())
            .ok()
            .map(|micros| -micros),
    };
    let micros = since_1970.and_then(|micros| micros.checked_sub(EPOCH_SECONDS * 1_000_000));
    micros.ok_or_else(|| ValueError::out_of_range(&"the time", ColumnType::Timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_does_not_fit_leaves_nothing_behind() {
        let mut rows = EncodedRows::default();
        let types = [PgType::Int2, PgType::Text];
        let text = |text: &str| Value::Text(text.to_owned());
        rows.push(&[Value::Int(1), text("a")], &types, None)
            .unwrap();
        let (column, _) = rows
            .push(&[Value::Int(40_000), text("b")], &types, None)
            .unwrap_err();
        assert_eq!(column, 0);
        let (column, error) = rows
            .push(&[Value::Null, text("\0")], &types, None)
            .unwrap_err();
        assert!(column == 1 && matches!(error, ValueError::Nul));
        rows.push(&[Value::Null, text("")], &types, None).unwrap();
        let rows = rows.freeze();
        assert_eq!(
            rows.part(&(0..1))[..],
            *b"\0\x02\0\0\0\x02\0\x01\0\0\0\x01a"
        );
        assert_eq!(rows.part(&(1..2))[..], *b"\0\x02\xff\xff\xff\xff\0\0\0\0");
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn times_are_microseconds_since_2000() {
        let time = UNIX_EPOCH + std::time::Duration::from_secs(946_684_801);
        assert_eq!(micros(time).unwrap(), 1_000_000);
        assert_eq!(micros(UNIX_EPOCH).unwrap(), -946_684_800_000_000);
    }
}
