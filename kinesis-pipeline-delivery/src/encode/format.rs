use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::{Bytes, BytesMut};
use kinesis_pipeline::{Codec, record::MsgPackCompat};
use serde::{Serialize, de::IgnoredAny};
use serde_json::Value;

/// The framing of records in an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// A record per line. A JSON record with new lines inside is put on one line; other text stays as it is. The
    /// default.
    #[default]
    Lines,
    /// Records back to back with nothing between, as Firehose writes them.
    Concat,
    /// Triton's archive: MessagePack maps back to back, in Snappy's framing format. Records of MessagePack stay as
    /// they are; JSON objects are written in the form that py-triton reads; anything else fails.
    Tri,
}

/// A record that the format cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("the record is neither a MessagePack map nor a JSON object")]
pub(crate) struct FormatError;

impl Format {
    /// Returns the file extension of the format.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Lines => ".jsonl",
            Self::Concat => "",
            Self::Tri => ".tri",
        }
    }

    /// Appends a record to an object.
    pub(crate) fn frame(self, data: &[u8], out: &mut BytesMut) -> Result<(), FormatError> {
        match self {
            Self::Lines => push_line(data, out),
            Self::Concat => out.extend_from_slice(data),
            Self::Tri => push_map(data, out)?,
        }
        Ok(())
    }
}

fn push_line(data: &[u8], out: &mut BytesMut) {
    let data = data.strip_suffix(b"\n").unwrap_or(data);
    let has_breaks = data.contains(&b'\n');
    if has_breaks && serde_json::from_slice::<IgnoredAny>(data).is_ok() {
        // In JSON a raw line break can only stand outside of strings.
        out.extend(data.iter().filter(|byte| !matches!(byte, b'\n' | b'\r')));
    } else {
        out.extend_from_slice(data);
    }
    out.extend_from_slice(b"\n");
}

fn push_map(data: &[u8], out: &mut BytesMut) -> Result<(), FormatError> {
    // A transform may have appended a new line.
    let without_end = data.strip_suffix(b"\n").unwrap_or(data);
    for data in [data, without_end] {
        if is_msgpack_map(data) {
            out.extend_from_slice(data);
            return Ok(());
        }
    }
    let value: Value = serde_json::from_slice(data).map_err(|_| FormatError)?;
    if !value.is_object() {
        return Err(FormatError);
    }
    MsgPackCompat::encode(&value, out).map_err(|_| FormatError)
}

/// Whether the bytes are one MessagePack map and nothing else.
fn is_msgpack_map(data: &[u8]) -> bool {
    if !matches!(data.first(), Some(0x80..=0x8f | 0xde | 0xdf)) {
        return false;
    }
    let mut rest = data;
    rmp_serde::from_read::<_, IgnoredAny>(&mut rest).is_ok() && rest.is_empty()
}

/// A failed record as Firehose writes it under the error prefix.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FailedLine<'a> {
    attempts_made: u32,
    arrival_timestamp: u128,
    error_code: &'a str,
    error_message: &'a str,
    attempt_ending_timestamp: u128,
    raw_data: String,
    sequence_number: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    subsequence_number: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Returns a failed record as a line of JSON. The time of the attempt is the record's arrival, so that a second run
/// writes the same bytes.
pub(crate) fn failed_line(
    data: &Bytes,
    position: &kinesis_pipeline::Position,
    arrived_at: SystemTime,
    code: &str,
    message: &str,
) -> Vec<u8> {
    let since = arrived_at.duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.unwrap_or(Duration::ZERO).as_millis();
    let line = FailedLine {
        attempts_made: 1,
        arrival_timestamp: millis,
        error_code: code,
        error_message: message,
        attempt_ending_timestamp: millis,
        raw_data: BASE64.encode(data),
        sequence_number: position.sequence_number.as_str(),
        subsequence_number: position.sub_sequence_number,
    };
    let mut out = serde_json::to_vec(&line).expect("texts and numbers have a JSON text");
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(format: Format, records: &[&[u8]]) -> Vec<u8> {
        let mut out = BytesMut::new();
        for record in records {
            format.frame(record, &mut out).unwrap();
        }
        out.to_vec()
    }

    #[test]
    fn lines_end_once_and_json_stays_on_one() {
        let records: &[&[u8]] = &[
            b"{\"a\":1}",
            b"text\n",
            b"{\n \"a\": \"x\\ny\"\r\n}",
            b"no\njson",
        ];
        let lines = b"{\"a\":1}\ntext\n{ \"a\": \"x\\ny\"}\nno\njson\n";
        assert_eq!(frame(Format::Lines, records), lines);
    }

    #[test]
    fn concat_puts_nothing_between_records() {
        assert_eq!(frame(Format::Concat, &[b"a", b"", b"b\n"]), b"ab\n");
    }

    #[test]
    fn maps_stay_and_json_becomes_what_py_triton_wrote() {
        let hi_mom = b"\x81\xa5value\xa6hi mom";
        assert_eq!(frame(Format::Tri, &[hi_mom]), hi_mom);
        assert_eq!(frame(Format::Tri, &[b"{\"value\":\"hi mom\"}"]), hi_mom);
        let long = format!("{{\"v\":\"{}\"}}", "a".repeat(32));
        assert!(frame(Format::Tri, &[long.as_bytes()]).starts_with(b"\x81\xa1v\xda\x00\x20"));
        for bad in [
            &b"\x81\xa1v"[..],
            b"[1]",
            b"\x93\x01\x02\x03",
            b"\x81\xa1v\x01\x01",
            b"",
        ] {
            assert!(
                Format::Tri.frame(bad, &mut BytesMut::new()).is_err(),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_failed_record_has_firehoses_fields() {
        let position = kinesis_pipeline::Position::new("s".into(), 7_u128.into());
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_495_072_949_453);
        let line = failed_line(&"hi".into(), &position, at, "Lambda.FunctionError", "no");
        let value: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["arrivalTimestamp"], 1_495_072_949_453_u64);
        assert_eq!(
            (&value["rawData"], &value["attemptsMade"]),
            (&"aGk=".into(), &1.into())
        );
        assert_eq!(value["errorCode"], "Lambda.FunctionError");
        assert!(line.ends_with(b"}\n"));
    }
}
