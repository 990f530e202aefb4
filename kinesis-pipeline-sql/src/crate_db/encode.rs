//! Rows as JSON arrays of arguments.

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kinesis_pipeline::Position;
use serde_json::json;

use crate::row::Value;

const DAY_MILLIS: i64 = 86_400_000;

/// A value that the arguments of a statement cannot hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum EncodeValueError {
    #[error("{0} is no finite number: declare the column as text")]
    NotFinite(f64),
    #[error("a time outside of the years that CrateDB knows")]
    Time,
}

/// The rows of a batch, each encoded once for all tries.
#[derive(Debug, Default)]
pub(super) struct EncodedRows {
    bytes: Vec<u8>,
    /// The end of each row in the bytes.
    ends: Vec<usize>,
}

impl EncodedRows {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns a row's arguments, as a JSON array.
    pub(super) fn row(&self, index: usize) -> &[u8] {
        let begin = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[begin..self.ends[index]]
    }

    /// Appends a row; appends nothing after an error.
    pub(super) fn push<'a>(
        &mut self,
        values: impl IntoIterator<Item = &'a Value>,
    ) -> Result<(), EncodeValueError> {
        let begin = self.bytes.len();
        let encoded = self.encode(values);
        match encoded {
            Ok(()) => self.ends.push(self.bytes.len()),
            Err(_) => self.bytes.truncate(begin),
        }
        encoded
    }

    fn encode<'a>(
        &mut self,
        values: impl IntoIterator<Item = &'a Value>,
    ) -> Result<(), EncodeValueError> {
        self.bytes.push(b'[');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.bytes.push(b',');
            }
            self.value(value)?;
        }
        self.bytes.push(b']');
        Ok(())
    }

    fn value(&mut self, value: &Value) -> Result<(), EncodeValueError> {
        let json = match value {
            Value::Null => json!(null),
            Value::Bool(value) => json!(value),
            Value::Int(value) => json!(value),
            Value::Float(value) if value.is_finite() => json!(value),
            Value::Float(value) => return Err(EncodeValueError::NotFinite(*value)),
            Value::Timestamp(time) => json!(millis(*time).ok_or(EncodeValueError::Time)?),
            Value::Date(days) => json!(i64::from(*days) * DAY_MILLIS),
            Value::Decimal(text) => json!(text),
            Value::Array(values) => return self.encode(values),
            Value::Bytes(bytes) => json!(BASE64_STANDARD.encode(bytes)),
            Value::Json(text) => {
                self.bytes.extend_from_slice(text.as_bytes());
                return Ok(());
            }
            Value::Text(text) => {
                // Writes a text without copying it first.
                return serde_json::to_writer(&mut self.bytes, text)
                    .map_err(|_| EncodeValueError::Time);
            }
        };
        self.bytes.extend_from_slice(json.to_string().as_bytes());
        Ok(())
    }
}

fn millis(time: SystemTime) -> Option<i64> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).ok(),
        Err(before) => i64::try_from(before.duration().as_nanos().div_ceil(1_000_000))
            .ok()
            .map(|millis| -millis),
    }
}

/// Returns a position as a text that sorts as positions do: the number of digits stands first, and the index in the
/// aggregate is padded to 20 digits.
pub(super) fn version(position: &Position) -> String {
    let digits = position.sequence_number.as_str().trim_start_matches('0');
    let (count, sub) = (digits.len(), position.sub_sequence_number);
    format!("{count:03}-{digits}-{sub:020}")
}

/// Returns the rows that remain when only the last one of each key is kept, in order.
pub(super) fn last_of_each_key<'a>(keys: impl Iterator<Item = Vec<&'a Value>>) -> Vec<usize> {
    let mut last = HashMap::new();
    for (index, key) in keys.enumerate() {
        // Equal keys have equal debug texts.
        last.insert(format!("{key:?}"), index);
    }
    let mut kept: Vec<_> = last.into_values().collect();
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_kind_of_value_has_its_json() {
        let mut rows = EncodedRows::default();
        let values = [
            Value::Null,
            Value::Bool(true),
            Value::Int(i64::MIN),
            Value::Float(42.42),
            Value::Text("a\"\0\u{1F600}".to_owned()),
            Value::Bytes(vec![0, 255]),
            Value::Timestamp(UNIX_EPOCH + Duration::from_millis(1_500)),
            Value::Timestamp(UNIX_EPOCH - Duration::from_millis(1_500)),
            Value::Json("{\"a\":[1]}".to_owned()),
            Value::Date(-1),
            Value::Decimal("1.50".to_owned()),
            Value::Array(vec![Value::Int(1), Value::Null]),
        ];
        rows.push(&values).unwrap();
        rows.push([]).unwrap();
        let text = std::str::from_utf8(rows.row(0)).unwrap();
        let expected = concat!(
            r#"[null,true,-9223372036854775808,42.42,"a\"\u0000"#,
            "\u{1F600}",
            r#"","AP8=",1500,-1500,{"a":[1]},-86400000,"1.50",[1,null]]"#
        );
        assert_eq!(text, expected);
        assert_eq!((rows.row(1), rows.len()), (&b"[]"[..], 2));
    }

    #[test]
    fn a_row_that_cannot_be_written_leaves_nothing_behind() {
        let mut rows = EncodedRows::default();
        rows.push(&[Value::Int(1)]).unwrap();
        rows.push(&[Value::Int(2), Value::Float(f64::NAN)])
            .unwrap_err();
        rows.push(&[Value::Int(3)]).unwrap();
        assert_eq!((rows.row(0), rows.row(1)), (&b"[1]"[..], &b"[3]"[..]));
    }

    #[test]
    fn the_last_row_of_a_key_is_kept() {
        let values = ["a", "b", "a", "c"].map(|key| Value::Text(key.to_owned()));
        let keys = values.iter().map(|value| vec![value]);
        assert_eq!(last_of_each_key(keys), [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn versions_compare_as_their_positions(a: u128, b: u128, sub_a: u64, sub_b: u64) {
            let at = |number: u128, sub| {
                Position::new("shardId-000000000000".into(), number.into()).at_sub_sequence_number(sub)
            };
            let (one, other) = (at(a, sub_a), at(b, sub_b));
            prop_assert_eq!(version(&one).cmp(&version(&other)), one.cmp(&other));
            let same = at(a, sub_b);
            prop_assert_eq!(version(&one).cmp(&version(&same)), one.cmp(&same));
        }
    }
}
