//! The data of records as text for people, and in JSON.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use kinesis_pipeline::{
    EncodedRecord, KinesisRecord,
    record::{MsgPackValue, PartitionKey, TritonRecord},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};

/// The extension type and size of a time as go-triton writes it: seconds, then nanoseconds.
const TRITON_TIME_TYPE: i8 = 5;
const TRITON_TIME_BYTES: usize = 12;

/// The encoding of a record's bytes in a line of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    /// The bytes are JSON text, which is written as it is.
    Json,
    /// The bytes are text, which is written as a string.
    Text,
    /// The bytes are written in base64.
    Base64,
}

/// The bytes of a record in a line of JSON, from which the same bytes can be made again.
#[derive(Debug, Serialize)]
pub(crate) struct InJson<'a> {
    encoding: Encoding,
    data: Text<'a>,
    /// The white space behind JSON text.
    #[serde(skip_serializing_if = "str::is_empty")]
    trailing: &'a str,
    /// The fields, for people, if the bytes are a `MessagePack` map.
    #[serde(skip_serializing_if = "Option::is_none")]
    msgpack: Option<Value>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Text<'a> {
    Raw(&'a RawValue),
    Borrowed(&'a str),
    Owned(String),
}

impl<'a> InJson<'a> {
    pub(crate) fn of(data: &'a Bytes) -> Self {
        let Ok(text) = std::str::from_utf8(data) else {
            return Self {
                encoding: Encoding::Base64,
                data: Text::Owned(STANDARD.encode(data)),
                trailing: "",
                msgpack: msgpack_map(data),
            };
        };
        let json = text.trim_end_matches([' ', '\t', '\r', '\n']);
        match one_line_of_json(json) {
            Some(raw) => Self {
                encoding: Encoding::Json,
                data: Text::Raw(raw),
                trailing: &text[json.len()..],
                msgpack: None,
            },
            None => Self {
                encoding: Encoding::Text,
                data: Text::Borrowed(text),
                trailing: "",
                msgpack: None,
            },
        }
    }
}

/// Returns the text as raw JSON if it is one line without white space around its value; other text cannot be part of a
/// line of JSON as it is.
fn one_line_of_json(text: &str) -> Option<&RawValue> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    let is_whole = raw.get().len() == text.len() && !text.contains(['\n', '\r']);
    is_whole.then_some(raw)
}

/// Returns the bytes of a record for people: text as it is, without the newline at its end; a `MessagePack` map as
/// JSON; else base64.
pub(crate) fn pretty(data: &Bytes) -> String {
    match std::str::from_utf8(data) {
        Ok(text) => text.strip_suffix('\n').unwrap_or(text).to_owned(),
        Err(_) => msgpack_map(data)
            .unwrap_or_else(|| base64(data))
            .to_string(),
    }
}

/// Returns a time in RFC 3339, in UTC.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "unknown".to_owned(), |time| time.to_string())
}

fn base64(data: &[u8]) -> Value {
    json!({ "base64": STANDARD.encode(data) })
}

fn msgpack_map(data: &Bytes) -> Option<Value> {
    let stored = EncodedRecord::new(PartitionKey::random(), data.clone());
    let record = TritonRecord::decode(&stored).ok()?;
    let fields = record.fields();
    let fields = fields.map(|(name, value)| (name.to_owned(), msgpack(value)));
    Some(Value::Object(fields.collect()))
}

fn msgpack(value: &MsgPackValue) -> Value {
    match value {
        MsgPackValue::Nil => Value::Null,
        MsgPackValue::Boolean(value) => Value::from(*value),
        MsgPackValue::Integer(value) => match (value.as_i64(), value.as_u64()) {
            (Some(value), _) => Value::from(value),
            (None, value) => Value::from(value),
        },
        MsgPackValue::F32(value) => Value::from(*value),
        MsgPackValue::F64(value) => Value::from(*value),
        MsgPackValue::String(text) => text
            .as_str()
            .map_or_else(|| base64(text.as_bytes()), Value::from),
        MsgPackValue::Binary(bytes) => base64(bytes),
        MsgPackValue::Array(values) => values.iter().map(msgpack).collect(),
        MsgPackValue::Map(entries) => {
            let fields = entries
                .iter()
                .map(|(key, value)| (key_text(key), msgpack(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        MsgPackValue::Ext(kind, bytes) => {
            triton_time(*kind, bytes).map_or_else(|| base64(bytes), |time| rfc3339(time).into())
        }
    }
}

/// Returns the text of a key. JSON has text keys only: others are written as they would be as values.
fn key_text(key: &MsgPackValue) -> String {
    match msgpack(key) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn triton_time(kind: i8, bytes: &[u8]) -> Option<SystemTime> {
    if kind != TRITON_TIME_TYPE || bytes.len() != TRITON_TIME_BYTES {
        return None;
    }
    let (seconds, nanos) = bytes.split_at(8);
    let seconds = i64::from_be_bytes(seconds.try_into().ok()?);
    let nanos = i32::from_be_bytes(nanos.try_into().ok()?);
    let since_epoch = Duration::new(seconds.try_into().ok()?, nanos.try_into().ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since_epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_goes_out_as_it_came_in_and_the_encoding_is_said() {
        let shown = |data: &[u8]| {
            let data = Bytes::copy_from_slice(data);
            serde_json::to_string(&InJson::of(&data)).unwrap()
        };
        for json in [
            "123456789012345678901234567890",
            "1.10",
            r#"{"b":1,"a":2,"b":3}"#,
            r#"{"a":  [1e999, "\u00e9\ud800"]}"#,
            "null",
            r#""text""#,
        ] {
            let line = format!(r#"{{"encoding":"json","data":{json}}}"#);
            assert_eq!(shown(json.as_bytes()), line);
        }
        let trailing = r#"{"encoding":"json","data":{"a":1},"trailing":" \n"}"#;
        assert_eq!(shown(b"{\"a\":1} \n"), trailing);
        let text = r#"{"encoding":"text","data":"{\n \"a\": 1}"}"#;
        assert_eq!(shown(b"{\n \"a\": 1}"), text);
        assert_eq!(shown(b" 1"), r#"{"encoding":"text","data":" 1"}"#);
        assert_eq!(shown(b"hi"), r#"{"encoding":"text","data":"hi"}"#);
        assert_eq!(shown(b""), r#"{"encoding":"text","data":""}"#);
        let base64 = r#"{"encoding":"base64","data":"//4="}"#;
        assert_eq!(shown(b"\xff\xfe"), base64);
        let text = r#"{"encoding":"json","data":{"base64":"//4="}}"#;
        assert_eq!(shown(br#"{"base64":"//4="}"#), text);
        let msgpack = r#"{"encoding":"base64","data":"gaV2YWx1ZQU=","msgpack":{"value":5}}"#;
        assert_eq!(shown(b"\x81\xa5value\x05"), msgpack);
    }

    #[test]
    fn people_see_text_as_it_is_and_maps_as_json() {
        let shown = |data: &[u8]| pretty(&Bytes::copy_from_slice(data));
        assert_eq!(shown(b"hi"), "hi");
        assert_eq!(shown(b"hi\n"), "hi");
        assert_eq!(shown(br#"{"b":1,  "a":2}"#), r#"{"b":1,  "a":2}"#);
        assert_eq!(shown(b"\x81\xa5value\x05"), r#"{"value":5}"#);
    }

    #[test]
    fn msgpack_values_without_a_json_form_are_shown_all_the_same() {
        let time = [&[0; 7][..], &[1], &[0, 0, 0, 0]].concat();
        let table = [
            (MsgPackValue::Binary(vec![255]), json!({"base64": "/w=="})),
            (MsgPackValue::Ext(5, time), json!("1970-01-01T00:00:01Z")),
            (MsgPackValue::Ext(1, vec![1]), json!({"base64": "AQ=="})),
            (MsgPackValue::F64(f64::NAN), Value::Null),
            (MsgPackValue::from(u64::MAX), json!(u64::MAX)),
            (
                MsgPackValue::Map(vec![(1.into(), 2.into())]),
                json!({"1": 2}),
            ),
        ];
        for (value, shown) in table {
            assert_eq!(msgpack(&value), shown);
        }
    }
}
