use std::io::{self, Write};

use kinesis_pipeline::{EncodedRecord, Record};
use serde::Serialize;
use serde_json::Value;

use super::Format;
use crate::{data, output};

/// Prints one record.
pub(super) fn record(
    out: &mut impl Write,
    format: Format,
    record: &Record<EncodedRecord>,
) -> io::Result<()> {
    let bytes = &record.data.data;
    let position = record.position();
    match format {
        Format::Raw => out.write_all(bytes),
        Format::Json => output::json_line(out, &Line::of(record)),
        Format::Pretty => writeln!(
            out,
            "<Record {} {}>\n{}",
            position.shard_id,
            position.sequence_number,
            data::pretty(bytes)
        ),
    }
}

/// A record as one line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    shard_id: &'a str,
    sequence_number: &'a str,
    sub_sequence_number: u64,
    partition_key: &'a str,
    arrived_at: String,
    data: Value,
}

impl<'a> Line<'a> {
    fn of(record: &'a Record<EncodedRecord>) -> Self {
        let position = record.position();
        Self {
            shard_id: position.shard_id.as_str(),
            sequence_number: position.sequence_number.as_str(),
            sub_sequence_number: position.sub_sequence_number,
            partition_key: record.partition_key.as_str(),
            arrived_at: data::rfc3339(record.arrived_at),
            data: data::json(&record.data.data),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use bytes::Bytes;
    use kinesis_pipeline::{PartitionKey, Position};

    use super::*;

    fn printed(format: Format, data: &'static [u8]) -> String {
        let key = PartitionKey::new("k").unwrap();
        let position = Position::new("shardId-000000000001".into(), "4955".parse().unwrap());
        let arrived_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_433_969_276_172);
        let encoded = EncodedRecord::new(key.clone(), Bytes::from_static(data));
        let mut out = Vec::new();
        record(
            &mut out,
            format,
            &Record::new(encoded, key, position, arrived_at),
        )
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn pretty_is_tritons_demo() {
        let text = printed(Format::Pretty, b"hi");
        assert_eq!(text, "<Record shardId-000000000001 4955>\nhi\n");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = printed(Format::Json, b"{\n \"a\": 1 }");
        let line = concat!(
            r#"{"shard_id":"shardId-000000000001","sequence_number":"4955","#,
            r#""sub_sequence_number":0,"partition_key":"k","#,
            r#""arrived_at":"2015-06-10T20:47:56.172Z","data":{"a":1}}"#,
            "\n"
        );
        assert_eq!(text, line);
    }

    #[test]
    fn raw_is_the_bytes_alone() {
        assert_eq!(printed(Format::Raw, b"a\nb"), "a\nb");
    }
}
