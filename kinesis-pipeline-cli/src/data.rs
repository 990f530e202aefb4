//! What the bytes of a record are, for people and for JSON.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use kinesis_pipeline::{
    EncodedRecord, KinesisRecord,
    record::{MsgPackValue, PartitionKey, TritonRecord},
};
use serde_json::{Map, Value, json};

/// The extension type and size of a time as go-triton writes it: seconds, then nanoseconds.
const TRITON_TIME_TYPE: i8 = 5;
const TRITON_TIME_BYTES: usize = 12;

/// The bytes of a record as a JSON value: the JSON that they are, else text, else the fields of a
/// `MessagePack` map, else `{"base64": ..}`.
pub(crate) fn json(data: &Bytes) -> Value {
    if let Ok(value) = serde_json::from_slice(data) {
        return value;
    }
    match std::str::from_utf8(data) {
        Ok(text) => Value::from(text),
        Err(_) => msgpack_map(data).unwrap_or_else(|| base64(data)),
    }
}

/// The bytes of a record for people: text as it is, without the newline at its end; else as [`json`] has it.
pub(crate) fn pretty(data: &Bytes) -> String {
    match std::str::from_utf8(data) {
        Ok(text) => text.strip_suffix('\n').unwrap_or(text).to_owned(),
        Err(_) => json(data).to_string(),
    }
}

/// A time in RFC 3339, in UTC.
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

/// JSON has text keys only: others are shown as they would be values.
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
    fn json_text_msgpack_and_bytes_are_told_apart() {
        let shown = |data: &[u8]| json(&Bytes::copy_from_slice(data));
        assert_eq!(shown(br#" {"a": 1} "#), json!({"a": 1}));
        assert_eq!(shown(b"hi"), json!("hi"));
        assert_eq!(shown(b""), json!(""));
        let triton = b"\x82\xa3msg\xa3hi\n\xa2ts\xcb\x41\xd5\x5e\x28\x9f\x0b\x02\x5c";
        assert_eq!(
            shown(triton),
            json!({"msg": "hi\n", "ts": 1_433_969_276.172_019})
        );
        assert_eq!(shown(b"\xff\xfe"), json!({"base64": "//4="}));
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
