use bytes::BytesMut;
use serde::{Deserialize, Deserializer, Serialize};

use super::{gzip, lenient};
use crate::record::{
    DecodeError, EncodeContext, EncodeError, EncodedRecord, Json, KeyError, KinesisRecord,
    PartitionKey, format::Format as _,
};

/// The limit of a decompressed envelope, in bytes.
const ENVELOPE_BYTES_MAX: usize = 32 << 20;

const CODEC: &str = "CloudWatch Logs";

/// An envelope of CloudWatch Logs, which it puts to a Kinesis or delivery stream: some lines of one log stream, in
/// gzip.
///
/// As a [`KinesisRecord`] it can be read from a stream, or be the argument of a transform's function. Firehose may have
/// decompressed it already: that is read too. An envelope of more than 32 MiB is an error.
///
/// One record may have several envelopes, as gzip members or JSON documents one after the other. Their lines are joined
/// to one list, without those of control messages. A field in which they differ is empty. [`read_all`](Self::read_all)
/// returns them one by one.
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
    /// `DATA_MESSAGE`, or `CONTROL_MESSAGE` when CloudWatch checks that the stream can be reached.
    #[serde(deserialize_with = "owned_text")]
    pub message_type: String,
    /// The account that the log group belongs to.
    #[serde(deserialize_with = "owned_text")]
    pub owner: String,
    /// The log group.
    #[serde(deserialize_with = "owned_text")]
    pub log_group: String,
    /// The log stream.
    #[serde(deserialize_with = "owned_text")]
    pub log_stream: String,
    /// The subscription filters that the lines passed.
    #[serde(deserialize_with = "list")]
    pub subscription_filters: Vec<String>,
    /// The lines.
    #[serde(deserialize_with = "list")]
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
    /// The time of the line, in milliseconds since 1970; 0 if the envelope does not have it.
    #[serde(deserialize_with = "millis")]
    pub timestamp: u64,
    /// The line.
    #[serde(deserialize_with = "owned_text")]
    pub message: String,
}

fn owned_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(lenient::text(deserializer)?.into_owned())
}

/// Reads a list; empty for a null.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(lenient::whole(deserializer)?.unwrap_or_default())
}

impl CloudWatchLogs {
    /// Whether this is a control message: CloudWatch checks that the stream can be reached, and there is nothing to
    /// deliver.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.message_type == "CONTROL_MESSAGE"
    }

    /// Returns the envelopes in these bytes, in their order: gzip members, or JSON documents. There is at least one.
    ///
    /// # Errors
    /// [`DecodeError`]: the data is not gzip or JSON of this form, or has more than 32 MiB in all.
    pub fn read_all(data: &[u8]) -> Result<Vec<Self>, DecodeError> {
        if !gzip::is_compressed(data) {
            return documents(data);
        }
        let json = gzip::decompress(data, ENVELOPE_BYTES_MAX)
            .map_err(|source| DecodeError::new(CODEC, data.len(), source))?;
        documents(&json)
    }

    /// Joins this envelope with the next one.
    fn join(mut self, other: Self) -> Self {
        match (self.is_control(), other.is_control()) {
            (_, true) => return self,
            (true, false) => return other,
            (false, false) => {}
        }
        let keep_if_same = |text: &mut String, other: &str| {
            if text != other {
                text.clear();
            }
        };
        keep_if_same(&mut self.message_type, &other.message_type);
        keep_if_same(&mut self.owner, &other.owner);
        keep_if_same(&mut self.log_group, &other.log_group);
        keep_if_same(&mut self.log_stream, &other.log_stream);
        if self.subscription_filters != other.subscription_filters {
            self.subscription_filters.clear();
        }
        self.log_events.extend(other.log_events);
        self
    }
}

/// Returns the JSON documents in the text, in their order. There is at least one.
fn documents(json: &[u8]) -> Result<Vec<CloudWatchLogs>, DecodeError> {
    let documents = serde_json::Deserializer::from_slice(json).into_iter();
    let documents: Result<Vec<_>, _> = documents.collect();
    match documents {
        Ok(documents) if !documents.is_empty() => Ok(documents),
        Ok(_) => Err(DecodeError::new(CODEC, json.len(), "there is no envelope")),
        Err(source) => Err(DecodeError::new(CODEC, json.len(), source)),
    }
}

/// An encoding as gzip around JSON, with a random partition key.
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
        let mut envelopes = Self::read_all(&stored.data)?.into_iter();
        let first = envelopes.next().unwrap_or_default();
        Ok(envelopes.fold(first, Self::join))
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

    fn decoded(data: impl Into<bytes::Bytes>) -> CloudWatchLogs {
        let stored = EncodedRecord::new(PartitionKey::random(), data.into());
        CloudWatchLogs::decode(&stored).unwrap()
    }

    fn messages(logs: &CloudWatchLogs) -> Vec<&str> {
        let lines = logs.log_events.iter();
        lines.map(|line| line.message.as_str()).collect()
    }

    #[test]
    fn envelopes_side_by_side_are_read_one_after_the_other() {
        let (one, control) = (gzip::compress(LINES), gzip::compress(CONTROL));
        let texts = [
            [&one[..], &one].concat(),
            [&control[..], &one, &control, &one].concat(),
            gzip::compress(&[LINES, b"\n", LINES].concat()),
            [LINES, LINES].concat(),
            [LINES, b" \r\n", CONTROL, LINES, b"\n"].concat(),
        ];
        for data in texts {
            let logs = decoded(data);
            assert_eq!(messages(&logs), ["one", "two", "one", "two"]);
            assert_eq!(
                (logs.log_group.as_str(), logs.log_stream.as_str()),
                ("g", "s")
            );
            assert_eq!(logs.subscription_filters, ["f"]);
            assert!(!logs.is_control());
        }
        assert!(decoded([CONTROL, CONTROL].concat()).is_control());
    }

    #[test]
    fn a_field_in_which_envelopes_differ_is_empty_and_read_all_keeps_them_apart() {
        let other = br#"{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"g",
            "logStream":"t","subscriptionFilters":["e"],"logEvents":[{"message":"three"}]}"#;
        let both = [LINES, other].concat();
        let logs = decoded(both.clone());
        assert_eq!(messages(&logs), ["one", "two", "three"]);
        let names = [
            &logs.message_type,
            &logs.owner,
            &logs.log_group,
            &logs.log_stream,
        ];
        assert_eq!(names, ["DATA_MESSAGE", "123456789012", "g", ""]);
        assert!(logs.subscription_filters.is_empty());
        let apart = CloudWatchLogs::read_all(&both).unwrap();
        let streams: Vec<_> = apart.iter().map(|logs| &logs.log_stream).collect();
        assert_eq!(streams, ["s", "t"]);
    }

    #[test]
    fn lists_and_texts_that_are_null_are_empty() {
        let logs = decoded(
            br#"{"messageType":"DATA_MESSAGE","owner":null,"logGroup":null,"logStream":null,
            "subscriptionFilters":null,"logEvents":null}"#
                .to_vec(),
        );
        let empty = CloudWatchLogs {
            message_type: "DATA_MESSAGE".into(),
            ..CloudWatchLogs::default()
        };
        assert_eq!(logs, empty);
    }

    #[test]
    fn a_record_whose_second_envelope_is_broken_is_an_error_as_is_none() {
        for data in [
            &[LINES, b"{"].concat()[..],
            &[LINES, b"x"].concat(),
            b"",
            b" ",
        ] {
            assert!(CloudWatchLogs::read_all(data).is_err());
        }
        let cut = [gzip::compress(LINES), b"\x1f\x8b".to_vec()].concat();
        assert!(CloudWatchLogs::read_all(&cut).is_err());
        assert!(CloudWatchLogs::read_all(&gzip::compress(b"")).is_err());
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
