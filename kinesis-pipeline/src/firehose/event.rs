mod read;

use std::{borrow::Cow, time::SystemTime};

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Serialize, Serializer, de::DeserializeOwned};

use super::{
    FailureReason, RESPONSE_BYTES_MAX,
    base64::{self, Blocks},
    failure::BoxError,
    id::{Id, OwnId},
    lenient, output,
};
use crate::{
    clock,
    record::{EncodedRecord, Json, KinesisRecord, PartitionKey, format::Format as _},
    shard::{SequenceNumber, ShardId},
};

/// The event that Firehose sends to a transform function. It borrows from the JSON text that it was read from.
///
/// Unknown fields are ignored. A field that is missing or of another type counts as empty, except the list of records
/// and a record's id: without them no answer is possible. A record without data fails.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Event<'a> {
    /// The id of this invocation.
    pub invocation_id: Cow<'a, str>,
    /// The ARN of the delivery stream.
    pub delivery_stream_arn: Cow<'a, str>,
    /// The ARN of the Kinesis stream that the records come from, if they come from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_kinesis_stream_arn: Option<Cow<'a, str>>,
    /// The region of the delivery stream.
    pub region: Cow<'a, str>,
    /// The records.
    pub records: Vec<InputRecord<'a>>,
}

/// The error for a text that is not an event.
#[derive(Debug, thiserror::Error)]
#[error("these {bytes} bytes are not an event of {kind}")]
#[non_exhaustive]
pub struct EventError {
    /// The length of the text, in bytes.
    pub bytes: usize,
    /// The expected kind of event, such as `a Firehose transform`.
    pub kind: &'static str,
    source: BoxError,
}

impl EventError {
    pub(super) fn new(kind: &'static str, json: &[u8], source: BoxError) -> Self {
        Self {
            bytes: json.len(),
            kind,
            source,
        }
    }
}

impl<'a> Event<'a> {
    /// Reads the JSON text of an event.
    ///
    /// # Errors
    /// The text is not JSON, has no list of records, a record has no id, or the ids are so long that they do not fit in
    /// a response.
    ///
    /// ```
    /// use kinesis_pipeline::firehose::Event;
    ///
    /// let json = br#"{"records":[{"recordId":"1","data":"aGk="}]}"#;
    /// assert_eq!(Event::parse(json)?.records[0].text().unwrap(), "hi");
    /// # Ok::<(), kinesis_pipeline::firehose::EventError>(())
    /// ```
    pub fn parse(json: &'a [u8]) -> Result<Self, EventError> {
        let error = |source| EventError::new("a Firehose transform", json, source);
        let event = Self::scan(json).map_err(|malformed| error(malformed.into()))?;
        if event.least_response_bytes() > RESPONSE_BYTES_MAX {
            return Err(error(
                "its ids alone are more than a response can hold".into(),
            ));
        }
        Ok(event)
    }

    fn least_response_bytes(&self) -> usize {
        let answers = self.records.iter().map(InputRecord::id);
        answers.map(output::least_bytes).sum::<usize>() + output::FRAME_BYTES
    }

    /// Makes an event with these records, as Firehose sends it, for tests of your function.
    #[must_use]
    pub fn of(records: Vec<InputRecord<'a>>) -> Self {
        Self {
            records,
            ..Self::default()
        }
    }

    /// Returns the event as JSON text.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        lenient::written(self)
    }
}

/// One record of an [`Event`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InputRecord<'a> {
    record_id: OwnId<'a>,
    approximate_arrival_timestamp: Option<u64>,
    /// The data in base64; `None` if it is missing or not a text.
    #[serde(serialize_with = "as_text")]
    data: Option<Cow<'a, [u8]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kinesis_record_metadata: Option<Box<KinesisMetadata<'a>>>,
}

#[expect(clippy::ref_option, reason = "serde hands the field over so")]
fn as_text<S: Serializer>(data: &Option<Cow<'_, [u8]>>, serializer: S) -> Result<S::Ok, S::Error> {
    data.as_deref().and_then(text_of).serialize(serializer)
}

/// Returns the data as text. It was text in JSON, so its bytes are UTF-8.
fn text_of(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

impl<'a> InputRecord<'a> {
    /// Makes a record with these bytes, for tests of your function.
    #[must_use]
    pub fn new(record_id: impl Into<Cow<'a, str>>, data: &[u8]) -> Self {
        Self {
            record_id: OwnId::new(record_id.into()),
            approximate_arrival_timestamp: None,
            data: Some(base64::encoded(data).into()),
            kinesis_record_metadata: None,
        }
    }

    /// Returns the same record with this arrival time, cut to milliseconds.
    #[must_use]
    pub fn at(mut self, arrived_at: SystemTime) -> Self {
        self.approximate_arrival_timestamp = Some(clock::epoch_millis(arrived_at));
        self
    }

    /// Returns the same record as one from a Kinesis stream.
    #[must_use]
    pub fn from_kinesis(mut self, metadata: KinesisMetadata<'a>) -> Self {
        self.kinesis_record_metadata = Some(Box::new(metadata));
        self
    }

    /// Returns the id. The answer repeats it.
    #[must_use]
    pub fn record_id(&self) -> &str {
        self.id().as_str()
    }

    pub(super) fn id(&self) -> Id<'_> {
        self.record_id.as_id()
    }

    /// Returns the time at which Firehose received the record; `None` if the event does not have it.
    #[must_use]
    pub fn arrived_at(&self) -> Option<SystemTime> {
        self.approximate_arrival_timestamp
            .map(clock::from_epoch_millis)
    }

    /// Returns the record's position in its Kinesis stream, if it comes from one.
    #[must_use]
    pub fn kinesis(&self) -> Option<&KinesisMetadata<'a>> {
        self.kinesis_record_metadata.as_deref()
    }

    /// Returns the data in base64, as the event has it; `None` if there is none.
    #[must_use]
    pub fn base64(&self) -> Option<&str> {
        self.data_base64().and_then(text_of)
    }

    pub(super) fn data_base64(&self) -> Option<&[u8]> {
        self.data.as_deref()
    }

    /// Returns the record's bytes, decoded from base64.
    ///
    /// # Errors
    /// [`FailureReason::NoData`] and [`FailureReason::NotBase64`].
    pub fn bytes(&self) -> Result<Bytes, FailureReason> {
        base64::decode(self.data_base64().ok_or(FailureReason::NoData)?)
    }

    /// Returns the bytes as text.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and [`FailureReason::NotText`].
    pub fn text(&self) -> Result<String, FailureReason> {
        match String::from_utf8(self.bytes()?.into()) {
            Ok(text) => Ok(text),
            Err(error) => Err(FailureReason::NotText {
                source: error.utf8_error(),
            }),
        }
    }

    /// Returns the bytes as JSON of any type that serde can read.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and [`FailureReason::Decode`].
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, FailureReason> {
        Ok(Json::read(&self.bytes()?)?)
    }

    /// Decodes the record as your type.
    ///
    /// Its partition key is that of the Kinesis stream, or empty if the record does not come from one.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and [`FailureReason::Decode`].
    pub fn decode<R: KinesisRecord>(&self) -> Result<R, FailureReason> {
        self.decode_bytes(self.bytes()?)
    }

    /// Decodes as [`decode`](Self::decode) does. The record may share its memory with others.
    pub(super) fn decode_in<R: KinesisRecord>(
        &self,
        blocks: &mut Blocks,
    ) -> Result<R, FailureReason> {
        self.decode_bytes(blocks.decode(self.data_base64().ok_or(FailureReason::NoData)?)?)
    }

    fn decode_bytes<R: KinesisRecord>(&self, data: Bytes) -> Result<R, FailureReason> {
        let key = self.kinesis().and_then(KinesisMetadata::partition_key);
        let key = key.map_or_else(ByteString::new, ByteString::from);
        let stored = EncodedRecord::new(PartitionKey::stored(key), data);
        Ok(stored.into_record()?)
    }
}

/// The position of a record in its Kinesis stream, as far as the event has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct KinesisMetadata<'a> {
    shard_id: Option<Cow<'a, str>>,
    partition_key: Option<Cow<'a, str>>,
    approximate_arrival_timestamp: Option<u64>,
    sequence_number: Option<Cow<'a, str>>,
    #[serde(serialize_with = "number_or_empty")]
    subsequence_number: Option<u64>,
}

/// Writes the number. For a record without an aggregate Firehose writes an empty text.
#[expect(clippy::ref_option, reason = "serde hands the field over so")]
fn number_or_empty<S: Serializer>(number: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => serializer.serialize_u64(*number),
        None => serializer.serialize_str(""),
    }
}

impl<'a> KinesisMetadata<'a> {
    /// Makes the metadata of a record with this key, for tests of your function.
    #[must_use]
    pub fn under(partition_key: impl Into<Cow<'a, str>>) -> Self {
        Self {
            partition_key: Some(partition_key.into()),
            ..Self::default()
        }
    }

    /// Returns the shard.
    #[must_use]
    pub fn shard_id(&self) -> Option<ShardId> {
        self.shard_id.as_deref().map(ShardId::from)
    }

    /// Returns the partition key.
    #[must_use]
    pub fn partition_key(&self) -> Option<&str> {
        self.partition_key.as_deref()
    }

    /// Returns the time at which Kinesis received the record.
    #[must_use]
    pub fn arrived_at(&self) -> Option<SystemTime> {
        self.approximate_arrival_timestamp
            .map(clock::from_epoch_millis)
    }

    /// Returns the sequence number; `None` if it is missing or invalid.
    #[must_use]
    pub fn sequence_number(&self) -> Option<SequenceNumber> {
        self.sequence_number.as_deref()?.parse().ok()
    }

    /// Returns the index of the record in its aggregate.
    #[must_use]
    pub fn sub_sequence_number(&self) -> Option<u64> {
        self.subsequence_number
    }
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
