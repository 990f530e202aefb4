//! Both CBOR forms: `application/x-amz-cbor-1.1` of the Java SDKs, and Smithy RPC v2.
//!
//! They differ in times alone. Both tag them with 1; the Java SDKs count whole milliseconds under that tag, the
//! newer protocol counts seconds in a double. Text and bytes may come in chunks, as Jackson writes long text.

use std::cell::Cell;

use ciborium::tag::{Captured, Required};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, de::DeserializeOwned};

use super::{
    mismatch,
    values::{Timestamp, millis_of_seconds, seconds_of_millis},
};
use crate::local::api_error::ApiError;

/// The tag of a time counted from the Unix epoch.
const TAG_TIME: u64 = 1;
/// An empty map: the meaning of a request without a body.
const EMPTY_MAP: &[u8] = &[0xA0];

/// The unit of a number under the tag of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeUnit {
    /// `application/x-amz-cbor-1.1`.
    Milliseconds,
    /// RPC v2.
    Seconds,
}

thread_local! {
    /// The unit of the body that this thread reads or writes right now: serde carries no context down to a value.
    static TIME_UNIT: Cell<TimeUnit> = const { Cell::new(TimeUnit::Seconds) };
}

/// Runs `work`, which must not await, with this unit.
fn in_unit<T>(unit: TimeUnit, work: impl FnOnce() -> T) -> T {
    let before = TIME_UNIT.replace(unit);
    let result = work();
    TIME_UNIT.set(before);
    result
}

/// Reads the members of a request: one CBOR map, or nothing at all.
pub(super) fn read<T: DeserializeOwned>(unit: TimeUnit, body: &[u8]) -> Result<T, ApiError> {
    let body = if body.is_empty() { EMPTY_MAP } else { body };
    if !is_map(body) {
        return Err(ApiError::serialization("The body is not a CBOR map"));
    }
    in_unit(unit, || ciborium::from_reader(body))
        .map_err(|error| ApiError::serialization(words(&error)))
}

/// Writes the members of an answer.
pub(super) fn write<T: Serialize>(unit: TimeUnit, response: &T) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    in_unit(unit, || ciborium::into_writer(response, &mut body))
        .map_err(|error| ApiError::internal_failure(format!("The answer has no CBOR: {error}")))?;
    Ok(body)
}

/// Whether the item is of major type 5. Derived types would take an array for their members, in order.
fn is_map(body: &[u8]) -> bool {
    body.first().is_some_and(|byte| byte >> 5 == 5)
}

/// Describes the mistake and its place, without the value that was found: it may be part of a record.
fn words(error: &ciborium::de::Error<std::io::Error>) -> String {
    use ciborium::de::Error;
    match error {
        Error::Io(_) => "The CBOR ends too early".to_owned(),
        Error::Syntax(at) => format!("The body is not CBOR, at byte {at}"),
        Error::Semantic(at, message) => mismatch::words(message).unwrap_or_else(|| {
            let at = at.map(|at| format!(", at byte {at}")).unwrap_or_default();
            format!("A member has a value of the wrong type{at}")
        }),
        Error::RecursionLimitExceeded => "The CBOR is nested too deep".to_owned(),
    }
}

/// Writes a time in the unit of the body that is being written.
pub(super) fn write_time<S: Serializer>(time: Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    match TIME_UNIT.get() {
        TimeUnit::Milliseconds => Required::<_, TAG_TIME>(time.millis()).serialize(serializer),
        TimeUnit::Seconds => {
            Required::<_, TAG_TIME>(seconds_of_millis(time.millis())).serialize(serializer)
        }
    }
}

/// Reads a time in the unit of the body that is being read; its tag may be missing.
pub(super) fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let Captured(tag, number) = Captured::<Number>::deserialize(deserializer)?;
    if tag.is_some_and(|tag| tag != TAG_TIME) {
        return Err(de::Error::custom("a tag that is not that of times"));
    }
    let seconds = match TIME_UNIT.get() {
        TimeUnit::Milliseconds => number.0 / 1000.0,
        TimeUnit::Seconds => number.0,
    };
    Ok(Timestamp::from_millis(millis_of_seconds(seconds)))
}

/// An integer or a float. Times lose nothing as doubles: milliseconds fit in 53 bits.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

#[expect(clippy::cast_precision_loss, reason = "milliseconds fit in 53 bits")]
impl de::Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
        Ok(Number(number as f64))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Number, E> {
        Ok(Number(number as f64))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Number, E> {
        Ok(Number(number))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::local::protocol::values::Blob;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Members {
        #[serde(skip_serializing_if = "Option::is_none")]
        time: Option<Timestamp>,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Blob>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    }

    fn only_time(millis: u64) -> Members {
        Members {
            time: Some(Timestamp::from_millis(millis)),
            data: None,
            name: None,
        }
    }

    #[test]
    fn the_java_sdks_count_milliseconds_under_tag_1() {
        let body = b"\xA1\x64Time\xC1\x1B\x00\x00\x01\x8C\xC2\x51\xF4\x00";
        let members: Members = read(TimeUnit::Milliseconds, body).unwrap();
        assert_eq!(members, only_time(0x018C_C251_F400));
        assert_eq!(write(TimeUnit::Milliseconds, &members).unwrap(), body);
    }

    #[test]
    fn rpc_v2_counts_seconds_under_tag_1() {
        let body = b"\xA1\x64Time\xC1\xFB\x3F\xF8\x00\x00\x00\x00\x00\x00";
        let members: Members = read(TimeUnit::Seconds, body).unwrap();
        assert_eq!(members, only_time(1_500));
        let whole_seconds = b"\xBF\x64Time\xC1\x02\xFF";
        let members: Members = read(TimeUnit::Seconds, whole_seconds).unwrap();
        assert_eq!(members, only_time(2_000));
    }

    #[test]
    fn text_and_bytes_may_come_in_chunks() {
        let body = b"\xBF\x64Name\x7F\x61a\x62bc\xFF\x64Data\x5F\x41\x01\x42\x02\x03\xFF\xFF";
        let members: Members = read(TimeUnit::Milliseconds, body).unwrap();
        assert_eq!(members.name.as_deref(), Some("abc"));
        assert_eq!(members.data, Some(Blob(vec![1, 2, 3].into())));
    }

    #[test]
    fn a_wrong_type_is_told_in_the_services_words() {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "PascalCase")]
        #[expect(dead_code, reason = "only read")]
        struct Numbers {
            limit: Option<i64>,
            all: Option<Vec<String>>,
        }
        let message = |body: &[u8]| {
            let error = read::<Numbers>(TimeUnit::Milliseconds, body).unwrap_err();
            error.message
        };
        assert_eq!(
            message(b"\xA1\x65Limit\x65three"),
            "class java.lang.String can not be converted to an Integer"
        );
        assert_eq!(
            message(b"\xA1\x65Limit\xF5"),
            "class java.lang.Boolean can not be converted to an Integer"
        );
        assert_eq!(message(b"\xA1\x63All\x05"), "Expected list or null");
        let time = read::<Members>(TimeUnit::Seconds, b"\xA1\x64Time\x63now").unwrap_err();
        assert_eq!(
            time.message,
            "class java.lang.String can not be converted to milliseconds since epoch"
        );
    }

    #[test]
    fn only_a_map_is_a_request_and_no_body_is_an_empty_one() {
        let empty: Members = read(TimeUnit::Seconds, b"").unwrap();
        assert_eq!(empty.time, None);
        for body in [
            &b"\x80"[..],
            b"\x81\x01",
            b"\xF6",
            b"\x61a",
            b"\xA1",
            b"\xBF\x64Name",
        ] {
            let error = read::<Members>(TimeUnit::Seconds, body).unwrap_err();
            assert_eq!(error.code, "SerializationException");
        }
    }

    proptest! {
        #[test]
        fn members_survive_both_forms(
            millis in proptest::option::of(0_u64..253_402_300_799_999),
            data: Option<Vec<u8>>,
            name: Option<String>,
        ) {
            let members = Members {
                time: millis.map(Timestamp::from_millis),
                data: data.map(|bytes| Blob(bytes.into())),
                name,
            };
            for unit in [TimeUnit::Milliseconds, TimeUnit::Seconds] {
                let body = write(unit, &members).unwrap();
                prop_assert_eq!(&read::<Members>(unit, &body).unwrap(), &members);
            }
        }

        #[test]
        fn no_body_makes_reading_panic(body: Vec<u8>) {
            let _ = read::<Members>(TimeUnit::Seconds, &body);
        }
    }
}
