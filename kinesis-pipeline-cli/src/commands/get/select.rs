//! The selection of records, and the unpacking of their data.

use bytes::Bytes;
use clap::Args;
use kinesis_pipeline::{
    EncodedRecord, KinesisRecord as _, Record,
    firehose::{CloudWatchLogs, endpoint},
};
use regex::bytes::Regex;

/// The magic bytes of gzip.
const GZIP: &[u8] = &[0x1f, 0x8b];

#[derive(Args, Debug, Default)]
pub(super) struct Select {
    /// Only records whose data match this regular expression; with several, all of them.
    #[arg(long, value_name = "REGEX", help_heading = "Which records")]
    grep: Vec<Regex>,
    /// No records whose data match this regular expression; may be given more than once.
    #[arg(long, value_name = "REGEX", help_heading = "Which records")]
    exclude: Vec<Regex>,
    /// Only records with this partition key; may be given more than once.
    #[arg(long, value_name = "KEY", help_heading = "Which records")]
    key: Vec<String>,
    /// Unpack data in gzip; other data are left as they are.
    #[arg(long, help_heading = "Which records")]
    gunzip: bool,
    /// Print each log line of records that CloudWatch Logs has put, as a record of its own. Other records are left as
    /// they are.
    #[arg(long, help_heading = "Which records")]
    cloudwatch_logs: bool,
}

impl Select {
    /// Returns the pieces of a record's data that are printed, each with the record's key and position: none, its own
    /// data, or the unpacked data.
    pub(super) fn data(&self, record: &Record<EncodedRecord>) -> Vec<Bytes> {
        let is_key = |key: &String| *key == *record.partition_key;
        if !self.key.is_empty() && !self.key.iter().any(is_key) {
            return Vec::new();
        }
        let mut data = self.unpacked(&record.data);
        data.retain(|data| {
            let matches = |regex: &Regex| regex.is_match(data);
            self.grep.iter().all(matches) && !self.exclude.iter().any(matches)
        });
        data
    }

    fn unpacked(&self, record: &EncodedRecord) -> Vec<Bytes> {
        if self.cloudwatch_logs
            && let Some(lines) = log_lines(record)
        {
            return lines;
        }
        if (self.gunzip || self.cloudwatch_logs)
            && record.data.starts_with(GZIP)
            && let Ok(data) = endpoint::decompress(&record.data)
        {
            return vec![data.into()];
        }
        vec![record.data.clone()]
    }
}

/// Returns the lines of an envelope of CloudWatch Logs; none for a control message, which only checks that the stream
/// is there.
fn log_lines(record: &EncodedRecord) -> Option<Vec<Bytes>> {
    let logs = CloudWatchLogs::decode(record).ok()?;
    match logs.message_type.as_str() {
        "CONTROL_MESSAGE" => Some(Vec::new()),
        "DATA_MESSAGE" => {
            let lines = logs.log_events.into_iter();
            Some(lines.map(|line| line.message.into()).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, time::SystemTime};

    use flate2::{Compression, write::GzEncoder};
    use kinesis_pipeline::{PartitionKey, Position};

    use super::*;

    fn record(key: &str, data: &[u8]) -> Record<EncodedRecord> {
        let key = PartitionKey::new(key).unwrap();
        let position = Position::new("shardId-000000000000".into(), "1".parse().unwrap());
        let encoded = EncodedRecord::new(key.clone(), Bytes::copy_from_slice(data));
        Record::new(encoded, key, position, SystemTime::UNIX_EPOCH)
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn regex(text: &str) -> Vec<Regex> {
        vec![Regex::new(text).unwrap()]
    }

    #[test]
    fn what_matches_and_is_not_excluded_is_printed_also_in_bytes_that_are_no_text() {
        let select = Select {
            grep: regex("err.r"),
            exclude: regex("debug"),
            ..Select::default()
        };
        let table: [(&[u8], usize); 4] = [
            (b"an error", 1),
            (b"\xff error \xfe", 1),
            (b"all is well", 0),
            (b"debug: error", 0),
        ];
        for (data, count) in table {
            assert_eq!(select.data(&record("k", data)).len(), count);
        }
    }

    #[test]
    fn one_of_the_keys_is_enough() {
        let key = ["a", "b"].map(str::to_owned).to_vec();
        let select = Select {
            key,
            ..Select::default()
        };
        let count = |key| select.data(&record(key, b"x")).len();
        assert_eq!((count("a"), count("b"), count("c")), (1, 1, 0));
    }

    #[test]
    fn gzip_is_unpacked_before_it_is_searched_and_what_is_none_stays() {
        let select = Select {
            gunzip: true,
            grep: regex("needle"),
            ..Select::default()
        };
        let unpacked = select.data(&record("k", &gzip(b"a needle")));
        assert_eq!(unpacked, ["a needle"]);
        assert_eq!(select.data(&record("k", b"needle")), ["needle"]);
        let broken = [GZIP, b" needle"].concat();
        assert_eq!(select.data(&record("k", &broken)), [broken]);
        assert!(select.data(&record("k", &gzip(b"hay"))).is_empty());
    }

    #[test]
    fn log_lines_are_records_of_their_own_and_control_messages_none() {
        let select = Select {
            cloudwatch_logs: true,
            ..Select::default()
        };
        let data = br#"{"messageType":"DATA_MESSAGE","logGroup":"g","logStream":"s","logEvents":[
            {"id":"1","timestamp":1,"message":"one"},{"id":"2","timestamp":2,"message":"two"}]}"#;
        assert_eq!(select.data(&record("k", &gzip(data))), ["one", "two"]);
        let control = br#"{"messageType":"CONTROL_MESSAGE","logEvents":[{"message":"x"}]}"#;
        assert!(select.data(&record("k", &gzip(control))).is_empty());
        assert_eq!(select.data(&record("k", &gzip(b"{}"))), ["{}"]);
        assert_eq!(select.data(&record("k", b"text")), ["text"]);
    }
}
