//! JSON records that keep integers of any length, which a JSON library would round.

use bytes::BytesMut;
use kinesis_pipeline::{
    DecodeError, EncodeError, EncodedRecord, KeyError, KinesisRecord, PartitionKey,
    record::{Direction, EncodeContext},
};
use serde::{
    Deserialize, Serialize, Serializer,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// The deepest nesting of objects and lists that is read.
const DEPTH_MAX: usize = 128;

/// A value of JSON.
#[derive(Debug)]
pub(super) enum Document {
    Object(Vec<(String, Document)>),
    List(Vec<Document>),
    /// A text, a truth value, null or a number with a fraction.
    Plain(Value),
    Integer(i128),
    /// An integer that is longer than 128 bits, as it came.
    Raw(Box<RawValue>),
}

impl Document {
    /// Whether the field's value is this text, or is a number, truth value or null that is written as this text.
    pub(super) fn has(&self, field: &str, text: &str) -> bool {
        let Self::Object(fields) = self else {
            return false;
        };
        // The last field of a name counts, as for columns.
        let found = fields.iter().rev().find(|(name, _)| name == field);
        let written = match found.map(|(_, value)| value) {
            Some(Self::Plain(Value::String(found))) => return found == text,
            Some(Self::Plain(found)) => found.to_string(),
            Some(Self::Integer(found)) => found.to_string(),
            _ => return false,
        };
        written == text
    }

    /// Reads a value at this depth of objects and lists.
    fn read(json: &RawValue, depth: usize) -> Result<Self, serde_json::Error> {
        if depth > DEPTH_MAX {
            let told = format!("objects and lists are nested deeper than {DEPTH_MAX}");
            return Err(serde::de::Error::custom(told));
        }
        let text = json.get();
        match text.as_bytes().first() {
            Some(b'{') => {
                let Fields(fields) = serde_json::from_str(text)?;
                let fields = fields.into_iter();
                let fields = fields.map(|(name, value)| Ok((name, Self::read(value, depth + 1)?)));
                fields.collect::<Result<_, _>>().map(Self::Object)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                let items = items.into_iter().map(|item| Self::read(item, depth + 1));
                items.collect::<Result<_, _>>().map(Self::List)
            }
            Some(b'-' | b'0'..=b'9') if !text.contains(['.', 'e', 'E']) => {
                // Longer integers are kept as they are: JSON columns can hold them.
                let integer = text.parse().map(Self::Integer);
                Ok(integer.unwrap_or_else(|_| Self::Raw(json.to_owned())))
            }
            _ => serde_json::from_str(text).map(Self::Plain),
        }
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(name, value)| (name, value)))
            }
            Self::List(items) => serializer.collect_seq(items),
            Self::Plain(value) => value.serialize(serializer),
            Self::Integer(integer) => serializer.serialize_i128(*integer),
            Self::Raw(json) => json.serialize(serializer),
        }
    }
}

impl KinesisRecord for Document {
    const DIRECTION: Direction = Direction::GetOnly;

    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        Err(KeyError::missing())
    }

    fn encode(&self, _: &EncodeContext, _: &mut BytesMut) -> Result<(), EncodeError> {
        Err(EncodeError::new("json", "these records are only read"))
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        let json = serde_json::from_slice::<&RawValue>(&stored.data);
        json.and_then(|json| Self::read(json, 0))
            .map_err(|error| DecodeError::new("json", stored.data.len(), error))
    }
}

/// The fields of an object in their order, also those that come twice.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(json: &str) -> Result<Document, DecodeError> {
        let data = json.to_owned().into();
        Document::decode(&EncodedRecord::new(PartitionKey::random(), data))
    }

    #[test]
    fn a_document_is_written_as_it_came() {
        for json in [
            r#"{"b":1,"a":{"id":"x","deep":{"n":null}},"list":[1,{"a":99999999999999999999}]}"#,
            "12345678901234567890",
            "-170141183460469231731687303715884105728",
            "999999999999999999999999999999999999999999999999",
            "0.1",
            r#""text""#,
            "true",
            "{}",
        ] {
            let written = serde_json::to_string(&document(json).unwrap()).unwrap();
            assert_eq!(written, json);
        }
    }

    #[test]
    fn other_bytes_and_endless_nesting_are_refused() {
        for json in ["", "hi", "{\"a\":1", "{} {}", "{\"a\":01}", "01"] {
            assert!(document(json).is_err(), "{json}");
        }
        for (begin, end) in [("{\"a\":", "}"), ("[", "]")] {
            let nested = |depth| format!("{}1{}", begin.repeat(depth), end.repeat(depth));
            assert!(document(&nested(128)).is_ok());
            let error = document(&nested(100_000)).unwrap_err();
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.contains("nested deeper than 128"), "{cause}");
        }
    }

    #[test]
    fn a_field_is_compared_by_its_text() {
        let found = document(r#"{"op":"insert","op":"delete","n":7,"gone":true,"o":{}}"#).unwrap();
        for (field, text) in [("op", "delete"), ("n", "7"), ("gone", "true")] {
            assert!(found.has(field, text), "{field}");
        }
        for (field, text) in [("op", "insert"), ("n", "8"), ("o", "{}"), ("absent", "")] {
            assert!(!found.has(field, text), "{field}");
        }
        assert!(!document("7").unwrap().has("op", "7"));
    }
}
