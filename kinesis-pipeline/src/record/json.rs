//! JSON on one line, and untyped JSON records.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Codec, DecodeError, EncodeContext, EncodeError, EncodedRecord, Format, KeyError, KinesisRecord,
    PartitionKey,
};

/// The codec `json`, the default: one compact line without a newline, fields in the order of the struct.
///
/// It reads any JSON text of the same shape, white space around it included. Nesting is limited to 128 levels
/// on reading.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl Format for Json {
    const NAME: &'static str = "json";

    fn write<T: Serialize + ?Sized>(value: &T, out: &mut BytesMut) -> Result<(), EncodeError> {
        serde_json::to_writer(out.writer(), value)
            .map_err(|source| EncodeError::new(Self::NAME, source))
    }

    fn read<T: DeserializeOwned>(data: &[u8]) -> Result<T, DecodeError> {
        serde_json::from_slice(data)
            .map_err(|source| DecodeError::new(Self::NAME, data.len(), source))
    }
}

impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    fn encode(value: &T, out: &mut BytesMut) -> Result<(), EncodeError> {
        Self::write(value, out)
    }

    fn decode(data: &Bytes) -> Result<T, DecodeError> {
        Self::read(data)
    }
}

/// An untyped JSON record, under a random partition key, or under the text of a field if the stream's
/// configuration names one.
impl KinesisRecord for Value {
    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        Ok(PartitionKey::random())
    }

    fn partition_key_in(&self, field: &str) -> Result<PartitionKey, KeyError> {
        key_text(self.get(field))
            .and_then(PartitionKey::new)
            .map_err(|error| error.in_field(field))
    }

    fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        Json::write(self, out)
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        Json::read(&stored.data)
    }
}

fn key_text(value: Option<&Value>) -> Result<String, KeyError> {
    match value {
        None | Some(Value::Null) => Err(KeyError::Missing { field: None }),
        Some(Value::Bool(value)) => Ok(value.to_string()),
        Some(Value::Number(value)) => Ok(value.to_string()),
        Some(Value::String(value)) => Ok(value.clone()),
        Some(Value::Array(_)) => Err(not_text("a list")),
        Some(Value::Object(_)) => Err(not_text("an object")),
    }
}

fn not_text(found: &'static str) -> KeyError {
    KeyError::NotText { field: None, found }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};
    use serde_json::json;

    use super::*;
    use crate::clock::from_epoch_millis;

    fn written(value: &impl Serialize) -> BytesMut {
        let mut out = BytesMut::new();
        Json::write(value, &mut out).unwrap();
        out
    }

    #[test]
    fn json_is_one_compact_line_in_the_order_of_the_fields() {
        #[derive(Serialize)]
        struct Reading {
            z: &'static str,
            a: f64,
        }
        let line = written(&Reading { z: "x\ny", a: 1.0 });
        assert_eq!(&line[..], br#"{"z":"x\ny","a":1.0}"#);
    }

    #[test]
    fn white_space_after_the_value_is_read_and_anything_else_is_an_error() {
        assert_eq!(Json::read::<u8>(b" 1\n").unwrap(), 1);
        let error = Json::read::<u8>(b"1 2").unwrap_err();
        assert_eq!((error.codec, error.bytes), ("json", 3));
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_stack_overflow() {
        let deep = "[".repeat(1 << 20);
        assert!(Json::read::<Value>(deep.as_bytes()).is_err());
    }

    #[test]
    fn the_key_of_untyped_json_is_the_text_of_its_field() {
        let record = json!({
            "text": "ab", "int": 1, "float": 1.5, "bool": true,
            "null": null, "list": [1], "map": {}, "empty": "",
        });
        for (field, key) in [
            ("text", "ab"),
            ("int", "1"),
            ("float", "1.5"),
            ("bool", "true"),
        ] {
            assert_eq!(record.partition_key_in(field).unwrap(), key);
        }
        let error_in = |field| record.partition_key_in(field).unwrap_err();
        let field = |name: &str| Some(name.to_owned());
        assert_eq!(
            error_in("null"),
            KeyError::Missing {
                field: field("null")
            }
        );
        assert_eq!(
            error_in("none"),
            KeyError::Missing {
                field: field("none")
            }
        );
        assert_eq!(
            error_in("empty"),
            KeyError::Empty {
                field: field("empty")
            }
        );
        assert!(matches!(error_in("list"), KeyError::NotText { .. }));
        assert!(matches!(error_in("map"), KeyError::NotText { .. }));
    }

    #[test]
    fn without_a_configured_field_the_key_is_random() {
        let record = json!({});
        assert_ne!(
            record.partition_key().unwrap(),
            record.partition_key().unwrap()
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                collection::btree_map(".*", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn json_reads_back_what_it_wrote(record in any_json()) {
            let context = EncodeContext::at(from_epoch_millis(0));
            let stored = EncodedRecord::of(&record, None, &context).unwrap();
            prop_assert_eq!(Value::decode(&stored).unwrap(), record);
        }

        #[test]
        fn json_never_panics_on_any_bytes(data: Vec<u8>) {
            let _ = Json::read::<Value>(&data);
        }
    }
}
