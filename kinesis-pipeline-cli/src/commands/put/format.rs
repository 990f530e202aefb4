use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use clap::ValueEnum;
use kinesis_pipeline::{
    Codec, EncodeError, EncodedRecord, KinesisRecord, PartitionKey,
    record::{EncodeContext, MsgPack, TritonRecord},
};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{
    from_json,
    line::{Line, Refusal},
    lines::Text,
};

/// The format of a line, and the record that is put for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Any line; puts its bytes without the newline.
    #[default]
    Lines,
    /// A JSON value; puts its text. Blank lines are left out.
    Json,
    /// A JSON object; puts a MessagePack map of its fields. Blank lines are left out.
    Msgpack,
    /// A line of `get -o json`; puts the record that it shows. Blank lines are left out.
    #[value(skip)]
    Got,
    /// A text; puts Triton's MessagePack map: `msg`, the line with its newline, and `ts`, the time in seconds.
    Triton,
}

/// The source of partition keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Keying {
    Random,
    Fixed(PartitionKey),
    /// The field of this name; random keys for lines, which have no fields.
    Field(String),
}

impl Keying {
    fn of_record(&self, record: &impl KinesisRecord) -> Result<PartitionKey, Refusal> {
        match self {
            Self::Random => Ok(PartitionKey::random()),
            Self::Fixed(key) => Ok(key.clone()),
            Self::Field(field) => Ok(record.partition_key_in(field)?),
        }
    }
}

impl Format {
    /// Returns the record that is put for a line; `None` for a blank line of JSON.
    pub(super) fn record(self, text: Text, keying: &Keying, now: SystemTime) -> Option<Line> {
        let record = match text.bytes {
            None => Err(EncodeError::new("lines", "the line has more than 16 MiB").into()),
            Some(bytes) if self.leaves_out(&bytes) => return None,
            Some(bytes) => self.encoded(&bytes, keying, now),
        };
        Some(Line {
            number: text.number,
            record,
        })
    }

    fn leaves_out(self, bytes: &Bytes) -> bool {
        matches!(self, Self::Json | Self::Got | Self::Msgpack) && bytes.trim_ascii().is_empty()
    }

    fn encoded(
        self,
        bytes: &Bytes,
        keying: &Keying,
        now: SystemTime,
    ) -> Result<EncodedRecord, Refusal> {
        match self {
            Self::Lines => {
                let key = keying.of_record(bytes)?;
                let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
                Ok(EncodedRecord::new(key, bytes.slice_ref(line)))
            }
            Self::Json => json(bytes, keying),
            Self::Got => from_json::record(bytes),
            Self::Msgpack => msgpack(bytes, keying),
            Self::Triton => triton(bytes, keying, now),
        }
    }
}

/// Returns a record with the text as it is, so that numbers that no float can hold stay exact.
fn json(bytes: &Bytes, keying: &Keying) -> Result<EncodedRecord, Refusal> {
    let text = bytes.trim_ascii();
    let key = if let Keying::Field(_) = keying {
        let value: Value = serde_json::from_slice(text).map_err(not_json)?;
        keying.of_record(&value)?
    } else {
        serde_json::from_slice::<IgnoredAny>(text).map_err(not_json)?;
        keying.of_record(bytes)?
    };
    Ok(EncodedRecord::new(key, bytes.slice_ref(text)))
}

#[expect(clippy::needless_pass_by_value, reason = "the form of `map_err`")]
pub(super) fn not_json(error: serde_json::Error) -> Refusal {
    let words = error.to_string();
    // The error is reported with the line of the input, so the parser's own line, which is always 1, is removed.
    let words = words.replace(" at line 1 column ", " at column ");
    let wanted = if error.is_data() {
        "this JSON does not fit"
    } else {
        "not JSON"
    };
    EncodeError::new("json", format!("{wanted}: {words}")).into()
}

fn msgpack(bytes: &Bytes, keying: &Keying) -> Result<EncodedRecord, Refusal> {
    let record: TritonRecord = serde_json::from_slice(bytes).map_err(not_json)?;
    let mut data = BytesMut::new();
    MsgPack::encode(&record, &mut data)?;
    Ok(EncodedRecord::new(
        keying.of_record(&record)?,
        data.freeze(),
    ))
}

fn triton(bytes: &Bytes, keying: &Keying, now: SystemTime) -> Result<EncodedRecord, Refusal> {
    let not_text = |_| EncodeError::new("triton", "not text in UTF-8, which this format needs");
    let text = std::str::from_utf8(bytes).map_err(not_text)?;
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since_epoch.map_or(0.0, |since| since.as_secs_f64());
    let record = TritonRecord::new().with("msg", text).with("ts", seconds);
    let mut data = BytesMut::new();
    record.encode(&EncodeContext::at(now), &mut data)?;
    Ok(EncodedRecord::new(
        keying.of_record(&record)?,
        data.freeze(),
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn put(format: Format, text: &'static str, keying: &Keying) -> Option<Line> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_micros(1_433_969_276_172_019);
        let bytes = Some(Bytes::from(text));
        format.record(Text { number: 7, bytes }, keying, now)
    }

    fn record(format: Format, text: &'static str, keying: &Keying) -> EncodedRecord {
        put(format, text, keying).unwrap().record.unwrap()
    }

    #[test]
    fn a_line_is_put_without_its_newline_under_a_random_key() {
        let first = record(Format::Lines, "hi\n", &Keying::Random);
        assert_eq!(first.data, "hi");
        let second = record(Format::Lines, "hi\n", &Keying::Random);
        assert_ne!(first.partition_key, second.partition_key);
        assert_eq!(record(Format::Lines, "\n", &Keying::Random).data, "");
        assert_eq!(
            record(Format::Lines, "x\r\n\n", &Keying::Random).data,
            "x\r\n"
        );
    }

    #[test]
    fn json_is_put_as_it_is_under_the_text_of_its_field() {
        let keying = Keying::Field("id".to_owned());
        let text = " {\"id\": 1.50, \"big\": 123456789012345678901234567890}\n";
        let put = record(Format::Json, text, &keying);
        assert_eq!(put.partition_key, "1.5");
        assert_eq!(put.data, text.trim());
    }

    #[test]
    fn msgpack_is_a_map_of_the_objects_fields_in_their_order() {
        let keying = Keying::Field("value".to_owned());
        let put = record(Format::Msgpack, r#"{"value":5,"a":null}"#, &keying);
        assert_eq!(&put.data[..], b"\x82\xa5value\x05\xa1a\xc0");
        assert_eq!(put.partition_key, "5");
    }

    #[test]
    fn triton_writes_what_py_triton_writes() {
        let put = record(Format::Triton, "hi\n", &Keying::Random);
        let expected = b"\x82\xa3msg\xa3hi\n\xa2ts\xcb\x41\xd5\x5e\x28\x9f\x0b\x02\x5c";
        assert_eq!(&put.data[..], expected);
    }

    #[test]
    fn one_key_for_all_comes_before_the_records_own() {
        let fixed = Keying::Fixed(PartitionKey::new("k").unwrap());
        for format in [Format::Lines, Format::Json, Format::Msgpack, Format::Triton] {
            assert_eq!(record(format, "{\"a\":1}", &fixed).partition_key, "k");
        }
    }

    #[test]
    fn blank_lines_of_json_are_left_out() {
        assert!(put(Format::Json, " \n", &Keying::Random).is_none());
        assert!(put(Format::Msgpack, "\r\n", &Keying::Random).is_none());
        assert!(put(Format::Triton, "\n", &Keying::Random).is_some());
    }

    #[test]
    fn what_is_no_record_is_refused_with_its_number() {
        let field = Keying::Field("id".to_owned());
        let refused = |format, text, keying| {
            let line = put(format, text, keying).unwrap();
            assert_eq!(line.number, 7);
            line.record.unwrap_err()
        };
        let random = &Keying::Random;
        assert!(matches!(
            refused(Format::Json, "{", random),
            Refusal::Format(_)
        ));
        assert!(matches!(
            refused(Format::Json, "1 2", random),
            Refusal::Format(_)
        ));
        assert!(matches!(
            refused(Format::Msgpack, "[1]", random),
            Refusal::Format(_)
        ));
        assert!(matches!(
            refused(Format::Json, "{}", &field),
            Refusal::Key(_)
        ));
        assert!(matches!(
            refused(Format::Msgpack, "{}", &field),
            Refusal::Key(_)
        ));
        let long = Text {
            number: 7,
            bytes: None,
        };
        let line = Format::Lines.record(long, random, SystemTime::UNIX_EPOCH);
        assert!(line.unwrap().record.is_err());
    }
}
