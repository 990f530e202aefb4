use bytes::BytesMut;
use serde::{Deserialize, Deserializer, Serialize};

use super::{gzip, lenient};
use crate::record::{
    DecodeError, EncodeContext, EncodeError, EncodedRecord, Json, KeyError, KinesisRecord,
    PartitionKey, format::Format as _,
};

/// The largest envelope that is made of a compressed one.
const ENVELOPE_BYTES_MAX: usize = 32 << 20;

const CODEC: &str = "CloudWatch Logs";

/// What CloudWatch Logs puts to a Kinesis or delivery stream: some log lines of one log stream, in gzip.
///
/// As a [`KinesisRecord`] it can be read from a stream and be taken by a transform's function. Firehose can
/// decompress it by itself: that is read too. An envelope of more than 32 MiB is an error.
///
/// ```
/// use kinesis_pipeline::firehose::{CloudWatchLogs, Verdict};
///
/// fn lines(logs: CloudWatchLogs) -> Verdict<String> {
///     if logs.is_control() {
///         return Verdict::Drop; // CloudWatch only asks whether the stream is there
///     }
///     Verdict::KeepAll(logs.log_events.into_iter().map(|line| line.message).collect())
/// }
/// # assert_eq!(lines(CloudWatchLogs::default()), Verdict::KeepAll(vec![]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct CloudWatchLogs {
    /// `DATA_MESSAGE`, or `CONTROL_MESSAGE` when CloudWatch asks whether the stream can be reached.
    pub message_type: String,
    /// The account that the log group belongs to.
    pub owner: String,
    /// The log group.
    pub log_group: String,
    /// The log stream.
    pub log_stream: String,
    /// The filters that let the lines through.
    pub subscription_filters: Vec<String>,
    /// The lines.
    pub log_events: Vec<LogEvent>,
}

/// One line of [`CloudWatchLogs`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct LogEvent {
    /// The line's id.
    #[serde(deserialize_with = "owned_text")]
    pub id: String,
    /// When it was logged, in milliseconds since 1970; 0 if the envelope does not say.
    #[serde(deserialize_with = "millis")]
    pub timestamp: u64,
    /// The line.
    #[serde(deserialize_with = "owned_text")]
    pub message: String,
}

fn owned_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(lenient::text(deserializer)?.into_owned())
}

fn millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(lenient::whole(deserializer)?.unwrap_or_default())
}

impl CloudWatchLogs {
    /// Whether there is nothing to deliver: CloudWatch only asks whether the stream can be reached.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.message_type == "CONTROL_MESSAGE"
    }
}

/// gzip around JSON, under a random partition key.
impl KinesisRecord for CloudWatchLogs {
    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        Ok(PartitionKey::random())
    }

    fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        let mut json = BytesMut::new();
        Json::write(self, &mut json)?;
        out.extend_from_slice(&gzip::compress(&json));
        Ok(())
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        let data = &stored.data;
        if !gzip::is_compressed(data) {
            return Json::read(data);
        }
        let json = gzip::decompress(data, ENVELOPE_BYTES_MAX)
            .map_err(|source| DecodeError::new(CODEC, data.len(), source))?;
        Json::read(&json)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        clock::from_epoch_millis,
        firehose::{Event, InputRecord, Verdict, transform},
    };

    const LINES: &[u8] = br#"{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"g",
        "logStream":"s","subscriptionFilters":["f"],"later":{},"logEvents":[
        {"id":"1","timestamp":1510109208016,"message":"one"},
        {"id":"2","timestamp":1510109208017,"message":"two"}]}"#;
    const CONTROL: &[u8] = br#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs",
        "logGroup":"","logStream":"","subscriptionFilters":[],
        "logEvents":[{"id":"","timestamp":1510109208016,"message":"CWL CONTROL MESSAGE"}]}"#;

    fn lines(logs: CloudWatchLogs) -> Verdict<String> {
        if logs.is_control() {
            return Verdict::Drop;
        }
        Verdict::KeepAll(
            logs.log_events
                .into_iter()
                .map(|line| line.message)
                .collect(),
        )
    }

    #[test]
    fn lines_are_split_and_control_messages_dropped() {
        let event = Event::of(vec![
            InputRecord::new("1", &gzip::compress(LINES)),
            InputRecord::new("2", &gzip::compress(CONTROL)),
            InputRecord::new("3", LINES),
            InputRecord::new("4", &gzip::compress(b"no JSON")),
            InputRecord::new("5", b"\x1f\x8b no gzip"),
        ]);
        let response = transform(event, lines);
        assert_eq!((response.kept(), response.dropped()), (2, 1));
        assert_eq!(response.failures().len(), 2);
        let records = super::super::OutputRecord::parse_all(response.as_json()).unwrap();
        assert_eq!(records[0].bytes().unwrap(), "one\ntwo\n");
    }

    fn any_logs() -> impl Strategy<Value = CloudWatchLogs> {
        let line = (".*", any::<u64>(), ".*").prop_map(|(id, timestamp, message)| LogEvent {
            id,
            timestamp,
            message,
        });
        (".*", vec(".*", 0..3), vec(line, 0..5)).prop_map(|(owner, filters, lines)| {
            CloudWatchLogs {
                owner,
                subscription_filters: filters,
                log_events: lines,
                ..CloudWatchLogs::default()
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_envelope_comes_back(logs in any_logs()) {
            let context = EncodeContext::at(from_epoch_millis(0));
            let stored = EncodedRecord::of(&logs, None, &context).unwrap();
            prop_assert_eq!(CloudWatchLogs::decode(&stored).unwrap(), logs);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(noise: Vec<u8>) {
            let key = PartitionKey::random();
            let _ = CloudWatchLogs::decode(&EncodedRecord::new(key, noise.into()));
        }
    }
}
