use std::io::{self, Write};

use bytes::Bytes;
use kinesis_pipeline::{EncodedRecord, Record};
use serde::Serialize;

use super::{Format, Template};
use crate::{
    data::{self, InJson},
    output,
};

/// The way in which records are printed.
#[derive(Clone, Debug)]
pub(super) enum Printer {
    As(Format),
    By(Template),
}

impl Printer {
    /// Prints a record with this data: its own, or data that was unpacked from it.
    pub(super) fn print(
        &self,
        out: &mut impl Write,
        record: &Record<EncodedRecord>,
        data: &Bytes,
    ) -> io::Result<()> {
        match self {
            Self::By(template) => template.write(out, record, data),
            Self::As(Format::Raw) => out.write_all(data),
            Self::As(Format::Lines) => {
                out.write_all(data.strip_suffix(b"\n").unwrap_or(data))?;
                out.write_all(b"\n")
            }
            Self::As(Format::Json) => output::json_line(out, &Line::of(record, data)),
            Self::As(Format::Pretty) => pretty(out, record, data),
        }
    }
}

fn pretty(out: &mut impl Write, record: &Record<EncodedRecord>, data: &Bytes) -> io::Result<()> {
    let position = record.position();
    writeln!(
        out,
        "<Record {} {}> {} {}\n{}",
        position.shard_id,
        position.sequence_number,
        data::rfc3339(record.arrived_at),
        record.partition_key.as_str(),
        data::pretty(data)
    )
}

/// A record as one line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    shard_id: &'a str,
    sequence_number: &'a str,
    sub_sequence_number: u64,
    partition_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    explicit_hash_key: Option<String>,
    arrived_at: String,
    #[serde(flatten)]
    data: InJson<'a>,
}

impl<'a> Line<'a> {
    fn of(record: &'a Record<EncodedRecord>, data: &'a Bytes) -> Self {
        let position = record.position();
        Self {
            shard_id: position.shard_id.as_str(),
            sequence_number: position.sequence_number.as_str(),
            sub_sequence_number: position.sub_sequence_number,
            partition_key: record.partition_key.as_str(),
            explicit_hash_key: record.explicit_hash_key.map(|key| key.to_string()),
            arrived_at: data::rfc3339(record.arrived_at),
            data: InJson::of(data),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use kinesis_pipeline::{HashKey, PartitionKey, Position};

    use super::*;

    fn printed(format: Format, data: &'static [u8]) -> String {
        let key = PartitionKey::new("k").unwrap();
        let position = Position::new("shardId-000000000001".into(), "4955".parse().unwrap());
        let arrived_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_433_969_276_172);
        let encoded = EncodedRecord::new(key.clone(), Bytes::from_static(data));
        let mut out = Vec::new();
        let mut record = Record::new(encoded, key, position, arrived_at);
        if data == b"placed" {
            record.explicit_hash_key = Some(HashKey::new(7));
        }
        let data = record.data.data.clone();
        Printer::As(format).print(&mut out, &record, &data).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn pretty_is_tritons_demo_with_time_and_key() {
        let text = printed(Format::Pretty, b"hi");
        assert_eq!(
            text,
            "<Record shardId-000000000001 4955> 2015-06-10T20:47:56.172Z k\nhi\n"
        );
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = printed(Format::Json, b"{\"a\": 1.10}");
        let line = concat!(
            r#"{"shard_id":"shardId-000000000001","sequence_number":"4955","#,
            r#""sub_sequence_number":0,"partition_key":"k","#,
            r#""arrived_at":"2015-06-10T20:47:56.172Z","encoding":"json","data":{"a": 1.10}}"#,
            "\n"
        );
        assert_eq!(text, line);
        let placed = printed(Format::Json, b"placed");
        assert!(placed.contains(r#""explicit_hash_key":"7","#), "{placed}");
    }

    #[test]
    fn lines_are_the_data_each_in_a_line() {
        assert_eq!(printed(Format::Lines, b"a"), "a\n");
        assert_eq!(printed(Format::Lines, b"a\n"), "a\n");
        assert_eq!(printed(Format::Lines, b"a\n\n"), "a\n\n");
    }

    #[test]
    fn raw_is_the_bytes_alone() {
        assert_eq!(printed(Format::Raw, b"a\nb"), "a\nb");
    }
}
