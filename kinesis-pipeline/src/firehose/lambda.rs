//! The event that Lambda sends for the records of a Kinesis stream, and the answer that names the failed record.
//!
//! ```text
//!  JSON ── KinesisEvent (borrows) ── records ── base64 ── aggregates split ── decode ── your function
//!                                                                                           │
//!  {"batchItemFailures":[{"itemIdentifier": the first that failed}]} ◄── BatchAnswer ◄──────┘
//! ```
//!
//! The event source mapping must have `ReportBatchItemFailures` set. Otherwise Lambda treats any answer as a success.

use std::{borrow::Cow, time::SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{EventError, FailureReason, base64, failure::BoxError, lenient, record::caught};
use crate::{
    clock,
    get::Record,
    record::{EncodedRecord, KinesisRecord, PartitionKey},
    shard::{Position, SequenceNumber, ShardId},
    wire::aggregate,
};

/// The event that Lambda sends for records of a Kinesis stream. It borrows from the JSON text that it was read from.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct KinesisEvent<'a> {
    /// The records as they are in the stream: an [aggregate](crate::guide::words) is one record.
    #[serde(borrow, rename = "Records")]
    pub records: Vec<KinesisEventRecord<'a>>,
}

/// One record of a [`KinesisEvent`], as it is in the stream.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct KinesisEventRecord<'a> {
    #[serde(borrow)]
    kinesis: Payload<'a>,
    /// The event's id: `<shard id>:<sequence number>`.
    #[serde(
        borrow,
        default,
        rename = "eventID",
        deserialize_with = "lenient::text"
    )]
    event_id: Cow<'a, str>,
    #[serde(
        borrow,
        default,
        rename = "eventSourceARN",
        deserialize_with = "lenient::text"
    )]
    event_source_arn: Cow<'a, str>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    partition_key: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::required_text")]
    sequence_number: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    data: Cow<'a, str>,
    #[serde(
        rename = "approximateArrivalTimestamp",
        default,
        deserialize_with = "millis_of_seconds",
        serialize_with = "seconds_of_millis"
    )]
    arrived_at_millis: u64,
}

fn millis_of_seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let seconds = lenient::Field::deserialize(deserializer)?;
    Ok(seconds.seconds_as_millis().unwrap_or_default())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this age are far below 2^52"
)]
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands the field over so"
)]
fn seconds_of_millis<S: serde::Serializer>(millis: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(*millis as f64 / 1_000.0)
}

impl KinesisEventRecord<'_> {
    /// Makes a record as Lambda sends it, for tests of your function.
    #[must_use]
    pub fn new(position: &Position, arrived_at: SystemTime, record: &EncodedRecord) -> Self {
        let sequence_number = position.sequence_number.as_str();
        Self {
            kinesis: Payload {
                partition_key: record.partition_key.as_str().to_owned().into(),
                sequence_number: sequence_number.to_owned().into(),
                data: base64_simd::STANDARD.encode_to_string(&record.data).into(),
                arrived_at_millis: clock::epoch_millis(arrived_at),
            },
            event_id: format!("{}:{sequence_number}", position.shard_id).into(),
            event_source_arn: Cow::Borrowed(""),
        }
    }

    /// Returns the sequence number as text.
    #[must_use]
    pub fn sequence_number(&self) -> &str {
        &self.kinesis.sequence_number
    }

    /// Returns the shard, from the event's id; empty if the id does not have it.
    #[must_use]
    pub fn shard_id(&self) -> ShardId {
        let shard_id = self.event_id.split_once(':').map_or("", |(shard, _)| shard);
        shard_id.into()
    }

    /// Returns the ARN of the stream.
    #[must_use]
    pub fn stream_arn(&self) -> &str {
        &self.event_source_arn
    }

    /// Returns the record's bytes as they are in the stream, decoded from base64.
    ///
    /// # Errors
    /// [`FailureReason::NotBase64`].
    pub fn bytes(&self) -> Result<Bytes, FailureReason> {
        base64::decode(self.kinesis.data.as_bytes())
    }

    /// Returns the user records: those of an aggregate of the Kinesis Producer Library, or else the record itself.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn user_records(&self) -> Result<Vec<EncodedRecord>, FailureReason> {
        let data = self.bytes()?;
        if let Some(aggregate) = aggregate::split(&data) {
            return Ok(aggregate.iter().collect());
        }
        let key = PartitionKey::stored(&*self.kinesis.partition_key);
        Ok(vec![EncodedRecord::new(key, data)])
    }

    /// Calls the function with the user records in their order, until one fails.
    fn process<R: KinesisRecord>(
        &self,
        function: &mut impl FnMut(Record<R>) -> Result<(), BoxError>,
    ) -> Result<(), FailureReason> {
        let sequence_number = SequenceNumber::try_from(self.sequence_number().to_owned())
            .map_err(FailureReason::function)?;
        let position = Position::new(self.shard_id(), sequence_number);
        let arrived_at = clock::from_epoch_millis(self.kinesis.arrived_at_millis);
        for (index, encoded) in self.user_records()?.into_iter().enumerate() {
            let position = position.clone().at_sub_sequence_number(index as u64);
            let data = encoded.to_record()?;
            let mut record = Record::new(data, encoded.partition_key, position, arrived_at);
            record.explicit_hash_key = encoded.explicit_hash_key;
            function(record).map_err(FailureReason::function)?;
        }
        Ok(())
    }
}

impl<'a> KinesisEvent<'a> {
    /// Reads the JSON text of an event. Unknown fields are ignored. A record without a sequence number is an error,
    /// because its failure could not be reported.
    ///
    /// # Errors
    /// The text is not JSON, has no list of records, or a record has no sequence number.
    pub fn parse(json: &'a [u8]) -> Result<Self, EventError> {
        serde_json::from_slice(json)
            .map_err(|source| EventError::new("Lambda for a Kinesis stream", json, source.into()))
    }

    /// Makes an event with these records, for tests of your function.
    #[must_use]
    pub fn of(records: Vec<KinesisEventRecord<'a>>) -> Self {
        Self { records }
    }

    /// Returns the event as JSON text.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        lenient::written(self)
    }

    /// Calls the function with every user record in the stream's order. Aggregates are split. Stops at the first record
    /// that fails by an error or a panic, or that cannot be decoded.
    ///
    /// Lambda sends the records again from the failed one on. A failed record of an aggregate brings back the whole
    /// aggregate, with records that were done: delivery is at least once.
    ///
    /// ```
    /// use kinesis_pipeline::{Record, firehose::lambda::KinesisEvent};
    ///
    /// let json = br#"{"Records":[{"kinesis":{"sequenceNumber":"7","data":"aGk="}}]}"#;
    /// let answer = KinesisEvent::parse(json)?.process(|record: Record<String>| match &*record.data {
    ///     "hi" => Err("we are not on such terms"),
    ///     _ => Ok(()),
    /// });
    /// assert_eq!(answer.to_json(), br#"{"batchItemFailures":[{"itemIdentifier":"7"}]}"#);
    /// # Ok::<(), kinesis_pipeline::firehose::EventError>(())
    /// ```
    pub fn process<R: KinesisRecord, E: Into<BoxError>>(
        &self,
        mut function: impl FnMut(Record<R>) -> Result<(), E>,
    ) -> BatchAnswer {
        let mut function = |record| function(record).map_err(Into::into);
        for record in &self.records {
            if let Err(reason) = caught(|| record.process(&mut function)) {
                return BatchAnswer::failed(record.sequence_number(), reason);
            }
        }
        BatchAnswer::done()
    }
}

/// The response to a batch of a stream: all records are done, or the first one that failed.
#[derive(Debug)]
#[must_use = "Lambda waits for it"]
pub struct BatchAnswer {
    failed: Option<(String, FailureReason)>,
}

impl BatchAnswer {
    /// Returns the response that all records are done.
    pub fn done() -> Self {
        Self { failed: None }
    }

    /// Returns the response that the record with this sequence number failed. The next batch begins with it.
    fn failed(sequence_number: &str, reason: FailureReason) -> Self {
        tracing::warn!(sequence_number, %reason, "a record failed: the batch comes again from there");
        tracing::debug!(sequence_number, ?reason, "the record that failed");
        Self {
            failed: Some((sequence_number.to_owned(), reason)),
        }
    }

    /// Returns the sequence number of the failed record, and the reason.
    #[must_use]
    pub fn failure(&self) -> Option<(&str, &FailureReason)> {
        let (sequence_number, reason) = self.failed.as_ref()?;
        Some((sequence_number, reason))
    }

    /// Returns the response as JSON text.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        lenient::written(self)
    }
}

impl Serialize for BatchAnswer {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer<'a> {
            batch_item_failures: Vec<Item<'a>>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Item<'a> {
            item_identifier: &'a str,
        }
        let item = |(item_identifier, _): &'_ (String, FailureReason)| item_identifier.clone();
        let identifier = self.failed.as_ref().map(item);
        let answer = Answer {
            batch_item_failures: identifier
                .iter()
                .map(|item_identifier| Item { item_identifier })
                .collect(),
        };
        answer.serialize(serializer)
    }
}

#[cfg(test)]
#[path = "lambda_tests.rs"]
mod tests;
