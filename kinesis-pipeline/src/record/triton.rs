//! Untyped records of Triton streams.

use bytes::BytesMut;
use rmpv::Value;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};

use super::{
    DecodeError, EncodeContext, EncodeError, EncodedRecord, Format, KeyError, KinesisRecord,
    MsgPackCompat, PartitionKey,
};

/// An untyped record of a Triton stream: a `MessagePack` map from field names to values. Triton is a Python library
/// with a sibling in Go: see [words](crate::guide::words).
///
/// It reads what py-triton and go-triton write, and writes what both read. The partition key is the text of the
/// field that the stream's configuration names, and random if it names none.
///
/// Serde turns it into JSON and back: `serde_json::to_value(&record)`, `serde_json::from_str::<TritonRecord>(line)`.
///
/// ```
/// use kinesis_pipeline::{KinesisRecord, record::TritonRecord};
///
/// let record = TritonRecord::new().with("user", 7).with("page", "/home");
/// assert_eq!(record.partition_key_in("user")?, "7");
/// assert_eq!(record.get("page").and_then(|page| page.as_str()), Some("/home"));
/// # Ok::<(), kinesis_pipeline::KeyError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TritonRecord {
    /// In the order of the bytes.
    fields: Vec<(String, Value)>,
}

impl TritonRecord {
    /// Makes a record without fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field at the end.
    #[must_use]
    pub fn with(mut self, field: impl Into<String>, value: impl Into<Value>) -> Self {
        self.fields.push((field.into(), value.into()));
        self
    }

    /// Returns the value of a field; the last one if the name stands there twice.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Value> {
        let mut fields = self.fields.iter().rev();
        fields
            .find(|(name, _)| name == field)
            .map(|(_, value)| value)
    }

    /// Returns the fields, in the order in which they are stored.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }
}

impl<N: Into<String>, V: Into<Value>> FromIterator<(N, V)> for TritonRecord {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let fields = fields.into_iter();
        Self {
            fields: fields
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }
}

impl KinesisRecord for TritonRecord {
    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        Ok(PartitionKey::random())
    }

    fn partition_key_in(&self, field: &str) -> Result<PartitionKey, KeyError> {
        key_text(self.get(field))
            .and_then(PartitionKey::new)
            .map_err(|error| error.in_field(field))
    }

    fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        MsgPackCompat::write(self, out)
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        MsgPackCompat::read(&stored.data)
    }
}

fn key_text(value: Option<&Value>) -> Result<String, KeyError> {
    let not_text = |found| Err(KeyError::NotText { field: None, found });
    match value {
        None | Some(Value::Nil) => Err(KeyError::Missing { field: None }),
        Some(Value::Boolean(value)) => Ok(value.to_string()),
        Some(Value::Integer(value)) => Ok(value.to_string()),
        // `Debug` keeps the point of a whole number, as Python does: 1.0.
        Some(Value::F32(value)) => Ok(format!("{value:?}")),
        Some(Value::F64(value)) => Ok(format!("{value:?}")),
        Some(Value::String(value)) => match value.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => not_text("a text that is not UTF-8"),
        },
        Some(Value::Binary(_)) => not_text("bytes"),
        Some(Value::Array(_)) => not_text("a list"),
        Some(Value::Map(_)) => not_text("a map"),
        Some(Value::Ext(..)) => not_text("an extension"),
    }
}

impl Serialize for TritonRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for TritonRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RecordVisitor)
    }
}

struct RecordVisitor;

impl<'de> de::Visitor<'de> for RecordVisitor {
    type Value = TritonRecord;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a map from field names to values")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<TritonRecord, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(TritonRecord { fields })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::{collection, prelude::*};

    use super::*;
    use crate::clock::from_epoch_millis;

    fn stored(data: impl Into<Bytes>) -> EncodedRecord {
        EncodedRecord::new(PartitionKey::random(), data.into())
    }

    fn encoded(record: &TritonRecord) -> EncodedRecord {
        let context = EncodeContext::at(from_epoch_millis(0));
        EncodedRecord::of(record, None, &context).unwrap()
    }

    #[test]
    fn go_and_python_forms_are_read_and_the_old_one_is_written() {
        let long = "a".repeat(40);
        let text = long.as_bytes();
        let old = [b"\x82\xa1t\xda\0\x28", text, b"\xa1b\xa2\xff\xfe"].concat();
        let new = [b"\x82\xa1t\xd9\x28", text, b"\xa1b\xc4\x02\xff\xfe"].concat();
        let binary = Value::Binary(b"\xff\xfe".to_vec());
        let record = TritonRecord::new().with("t", long).with("b", binary);
        assert_eq!(TritonRecord::decode(&stored(old.clone())).unwrap(), record);
        assert_eq!(TritonRecord::decode(&stored(new)).unwrap(), record);
        assert_eq!(encoded(&record).data, old);
    }

    #[test]
    fn the_time_of_go_triton_passes_through_untouched() {
        let data = &b"\x81\xa1t\xc7\x0c\x05\0\0\0\0\x01\x02\x03\x04\0\0\0\x05"[..];
        let record = TritonRecord::decode(&stored(data)).unwrap();
        assert!(matches!(record.get("t"), Some(Value::Ext(5, time)) if time.len() == 12));
        assert_eq!(encoded(&record).data, data);
    }

    #[test]
    fn only_a_map_with_text_keys_is_a_record() {
        for data in [&b"\x01"[..], b"\x91\x01", b"\x81\x01\x01", b"\xa1a", b""] {
            assert!(TritonRecord::decode(&stored(data)).is_err(), "{data:x?}");
        }
    }

    #[test]
    fn the_key_is_the_text_of_the_configured_field() {
        let record = TritonRecord::new()
            .with("text", "ab")
            .with("int", 1)
            .with("float", 1.5)
            .with("whole", 1.0)
            .with("bool", true)
            .with("nil", Value::Nil)
            .with("list", Value::Array(Vec::new()));
        for (field, key) in [
            ("text", "ab"),
            ("int", "1"),
            ("float", "1.5"),
            ("whole", "1.0"),
            ("bool", "true"),
        ] {
            assert_eq!(record.partition_key_in(field).unwrap(), key);
        }
        for field in ["nil", "none"] {
            let error = record.partition_key_in(field).unwrap_err();
            assert!(matches!(error, KeyError::Missing { .. }));
        }
        let error = record.partition_key_in("list").unwrap_err();
        assert!(matches!(
            error,
            KeyError::NotText {
                found: "a list",
                ..
            }
        ));
    }

    #[test]
    fn a_line_of_json_is_a_record_and_back() {
        let line = r#"{"msg":"hi","ts":1433969276.172019}"#;
        let record: TritonRecord = serde_json::from_str(line).unwrap();
        assert_eq!(
            encoded(&record).data,
            &b"\x82\xa3msg\xa2hi\xa2ts\xcb\x41\xd5\x5e\x28\x9f\x0b\x02\x5c"[..]
        );
        assert_eq!(serde_json::to_string(&record).unwrap(), line);
    }

    #[test]
    fn the_last_of_two_fields_of_one_name_counts() {
        let record = TritonRecord::new().with("a", 1).with("a", 2);
        assert_eq!(record.get("a"), Some(&Value::from(2)));
        assert_eq!(record.fields().len(), 2);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>()
                .prop_filter("NaN has no equal", |float| !float.is_nan())
                .prop_map(Value::from),
            ".{0,80}".prop_map(Value::from),
            (0_i8.., any::<Vec<u8>>()).prop_map(|(kind, data)| Value::Ext(kind, data)),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                collection::vec(inner.clone(), 0..17).prop_map(Value::from),
                collection::vec((inner.clone(), inner), 0..17).prop_map(Value::from),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn records_read_back_what_they_wrote(
            fields in collection::vec((".{0,40}", any_value()), 0..17),
        ) {
            let record: TritonRecord = fields.into_iter().collect();
            prop_assert_eq!(TritonRecord::decode(&encoded(&record)).unwrap(), record);
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(data: Vec<u8>) {
            let _ = TritonRecord::decode(&stored(data));
        }
    }
}
