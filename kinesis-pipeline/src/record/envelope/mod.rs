//! The `_meta` envelope: a first field with a record's event type, the time of its put, and its producer.
//!
//! ```text
//!   {"_meta":{"eventType":"reading.create","timestamp":"2026-11-21T10:00:00.000000Z","producedBy":"demo"},"device":"d7"}
//! ```

mod without_meta;

use std::time::SystemTime;

use bytes::BytesMut;
use jiff::Timestamp;
use serde::{Serialize, Serializer, de::DeserializeOwned};

use super::{DecodeError, EncodeContext, EncodeError, Format};
use without_meta::WithoutMeta;

/// The field of the envelope.
const META: &str = "_meta";

/// The envelope of `event_type` and `produced_by`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventMeta {
    event_type: &'static str,
    #[serde(serialize_with = "rfc3339")]
    timestamp: SystemTime,
    produced_by: &'static str,
}

impl EventMeta {
    /// Returns the envelope of a record that is put now.
    #[must_use]
    pub fn new(
        event_type: &'static str,
        produced_by: &'static str,
        context: &EncodeContext,
    ) -> Self {
        Self {
            event_type,
            timestamp: context.now(),
            produced_by,
        }
    }
}

/// Writes a time in UTC, always with six digits of the second, so that times sort as text.
fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let time = Timestamp::try_from(*time).map_err(serde::ser::Error::custom)?;
    serializer.collect_str(&format_args!("{time:.6}"))
}

/// Appends the record with its envelope in front.
///
/// # Errors
/// The format's, and that of a record that is no object.
pub(super) fn encode_enveloped<F: Format, M: Serialize, R: Serialize>(
    meta: &M,
    record: &R,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    F::write(&Enveloped { meta, record }, out).map_err(|error| match no_object(record) {
        Some(found) => EncodeError::new(F::NAME, NoObject { found }),
        None => error,
    })
}

/// Reads a record, and skips an envelope wherever it stands.
///
/// # Errors
/// The format's.
pub(super) fn decode_enveloped<F: Format, R: DeserializeOwned>(
    data: &[u8],
) -> Result<R, DecodeError> {
    F::read::<WithoutMeta<R>>(data).map(|record| record.0)
}

#[derive(Serialize)]
struct Enveloped<'a, M, R> {
    #[serde(rename = "_meta")]
    meta: &'a M,
    #[serde(flatten)]
    record: &'a R,
}

/// A record that has no fields beside which an envelope could stand.
#[derive(Debug, thiserror::Error)]
#[error(
    "the `_meta` envelope stands beside the fields of an object, and this record is {found}: put it into a struct with a named field, or take the envelope off"
)]
struct NoObject {
    found: &'static str,
}

fn no_object<R: Serialize>(record: &R) -> Option<&'static str> {
    match serde_json::to_value(record).ok()? {
        serde_json::Value::Null => Some("nothing"),
        serde_json::Value::Bool(_) => Some("a bool"),
        serde_json::Value::Number(_) => Some("a number"),
        serde_json::Value::String(_) => Some("a text"),
        serde_json::Value::Array(_) => Some("a list"),
        serde_json::Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, error::Error as _, time::Duration};

    use serde::Deserialize;

    use super::*;
    use crate::{
        clock::from_epoch_millis,
        record::{Json, MsgPack, MsgPackCompat},
    };

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        z: u8,
        a: u8,
    }

    const STRICT: Strict = Strict { z: 1, a: 2 };

    fn written<F: Format>(record: &impl Serialize) -> BytesMut {
        let context = EncodeContext::at(from_epoch_millis(1_433_969_276_172));
        let meta = EventMeta::new("x.create", "demo", &context);
        let mut out = BytesMut::new();
        encode_enveloped::<F, _, _>(&meta, record, &mut out).unwrap();
        out
    }

    fn comes_back<R>(record: &R)
    where
        R: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        let json = written::<Json>(record);
        assert_eq!(&decode_enveloped::<Json, R>(&json).unwrap(), record);
        let msgpack = written::<MsgPack>(record);
        assert_eq!(&decode_enveloped::<MsgPack, R>(&msgpack).unwrap(), record);
        let compat = written::<MsgPackCompat>(record);
        assert_eq!(
            &decode_enveloped::<MsgPackCompat, R>(&compat).unwrap(),
            record
        );
    }

    #[test]
    fn the_envelope_stands_first_and_the_fields_keep_their_order() {
        let line = r#"{"_meta":{"eventType":"x.create","timestamp":"2015-06-10T20:47:56.172000Z","producedBy":"demo"},"z":1,"a":2}"#;
        assert_eq!(written::<Json>(&STRICT), line);
    }

    #[test]
    fn the_timestamp_has_six_digits_even_for_a_whole_second() {
        #[derive(Serialize)]
        struct At(#[serde(serialize_with = "rfc3339")] SystemTime);
        let text = |time| serde_json::to_string(&At(time)).unwrap();
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(text(epoch), r#""1970-01-01T00:00:00.000000Z""#);
        let nanos = epoch + Duration::from_nanos(1_999);
        assert_eq!(text(nanos), r#""1970-01-01T00:00:00.000001Z""#);
    }

    #[test]
    fn every_kind_of_object_comes_back_without_its_envelope() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Wrapper<T>(T);
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        enum Event {
            Unit,
            Newtype(u8),
            Tuple(u8, String),
            Struct { field: u8 },
        }
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "type", deny_unknown_fields)]
        enum Tagged {
            A { field: u8 },
        }
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Flat {
            own: u8,
            #[serde(flatten)]
            rest: BTreeMap<String, u8>,
        }
        comes_back(&STRICT);
        comes_back(&Wrapper(Wrapper(STRICT)));
        comes_back(&Wrapper(BTreeMap::from([("a".to_owned(), 1_u8)])));
        comes_back(&BTreeMap::from([(1_u32, 1_u8), (2, 3)]));
        comes_back(&Event::Unit);
        comes_back(&Event::Newtype(1));
        comes_back(&Event::Tuple(1, "b".into()));
        comes_back(&Event::Struct { field: 1 });
        comes_back(&Tagged::A { field: 1 });
        let rest = BTreeMap::from([("more".to_owned(), 2)]);
        comes_back(&Flat { own: 1, rest });
    }

    #[test]
    fn a_record_is_read_without_an_envelope_and_with_one_anywhere() {
        #[derive(Debug, PartialEq, Deserialize)]
        enum Event {
            Made(u8),
        }
        let strict = |json: &str| decode_enveloped::<Json, Strict>(json.as_bytes());
        assert_eq!(strict(r#"{"z":1,"a":2}"#).unwrap(), STRICT);
        assert_eq!(strict(r#"{"z":1,"_meta":[{}],"a":2}"#).unwrap(), STRICT);
        assert_eq!(strict(r#"{"z":1,"a":2,"_meta":null}"#).unwrap(), STRICT);
        assert!(strict(r#"{"z":1,"a":2,"_mate":null}"#).is_err());
        let event = |json: &str| decode_enveloped::<Json, Event>(json.as_bytes());
        assert_eq!(event(r#"{"Made":1,"_meta":{}}"#).unwrap(), Event::Made(1));
        assert!(event(r#"{"Made":1,"Sold":2}"#).is_err());
    }

    #[test]
    fn a_record_that_is_no_object_gives_an_error_that_says_so() {
        let mut out = BytesMut::new();
        let error = encode_enveloped::<Json, _, _>(&(), &[1, 2], &mut out).unwrap_err();
        let cause = error.source().unwrap().to_string();
        assert!(cause.contains("this record is a list"), "{cause}");
    }
}
