//! An aggregate under construction. Each record's bytes are written at once; only its completion is kept.
//!
//! ```text
//!   record ─> push ─> .. ─> sent ─┬─ stored ─> completions get their receipts
//!                                 └─ failed ─> into_records ─> records again
//! ```
//!
//! The first record is kept as it is until the second comes, since a record without others is sent alone.

use bytes::Bytes;
use tokio::time::Instant;

use super::{draft::Drafts, entry::AGGREGATE_KEY};
use crate::{
    prefetch::{Touched, prefetch},
    put::{
        admission::budget::Charge,
        pending::pending::{Completion, PendingRecord},
    },
    record::{Encoded, EncodedRecord, own},
    service::StoredAt,
    shard::HashKey,
    wire::aggregate::{self, Writer},
};

/// The initial capacity of an aggregate. An aggregate after a full one begins with that one's size.
const SMALL: Expected = Expected {
    bytes: 1_024,
    records: 4,
    keys: 0,
};

/// An aggregate under construction: the bytes of its user records, and their completions.
#[derive(Debug)]
pub(in crate::put) struct AggregateBuilder {
    content: Content,
    completions: Vec<Completion>,
    /// The upper bound of the Kinesis record's size, in bytes.
    bytes: usize,
    /// The size of the user records' data and keys ...
    user_bytes: usize,
    /// ... and of the data alone.
    data_bytes: usize,
    /// The number of attempts, the one in flight included.
    attempts: u32,
    expected: Expected,
}

/// The expected size of an aggregate.
#[derive(Clone, Copy, Debug)]
struct Expected {
    bytes: usize,
    records: usize,
    keys: usize,
}

/// The bytes of the records, by state.
#[derive(Debug)]
enum Content {
    /// A finished Kinesis record: a single user record, or an aggregate with its MD5.
    Done(EncodedRecord),
    /// An aggregate that takes more records.
    Open(Writer),
    /// Lent to a request in flight.
    Sent,
}

impl AggregateBuilder {
    /// Makes a builder with its first record, whose completion it takes.
    pub(in crate::put) fn new(record: Encoded<'_>, completion: &mut Completion) -> Self {
        Self::expecting(SMALL, record, completion)
    }

    /// Makes a builder that expects the size of this one, with its first record.
    pub(in crate::put) fn next(&self, record: Encoded<'_>, completion: &mut Completion) -> Self {
        let Content::Open(writer) = &self.content else {
            return Self::new(record, completion);
        };
        let expected = Expected {
            bytes: self.bytes,
            records: self.completions.len(),
            keys: writer.keys(),
        };
        Self::expecting(expected, record, completion)
    }

    fn expecting(expected: Expected, record: Encoded<'_>, completion: &mut Completion) -> Self {
        let mut record = record.into_record();
        own(&mut record.data, false);
        let mut completions = Vec::with_capacity(expected.records);
        completions.push(completion.take());
        Self {
            bytes: record.size_bytes(),
            user_bytes: record.size_bytes(),
            data_bytes: record.data.len(),
            content: Content::Done(record),
            completions,
            attempts: 0,
            expected,
        }
    }

    /// Prefetches the memory that a [`push`](Self::push) of this record will read.
    #[inline]
    pub(in crate::put) fn prefetch(&self, record: Encoded<'_>) -> Touched {
        let completions = self
            .completions
            .last()
            .map_or(0, |completion| completion.attempts as usize);
        let completions = Touched::read(completions);
        match &self.content {
            Content::Open(writer) => completions.and(writer.prefetch(record)),
            Content::Done(_) | Content::Sent => completions,
        }
    }

    /// Adds a record if the aggregate stays within `bytes_max` bytes, and takes its completion. Returns whether it does.
    #[inline]
    pub(in crate::put) fn push(
        &mut self,
        record: Encoded<'_>,
        completion: &mut Completion,
        bytes_max: usize,
    ) -> bool {
        let more = aggregate::encoded_bytes_max(record);
        let bytes = match &self.content {
            Content::Done(first) => {
                let empty = aggregate::empty_bytes() + AGGREGATE_KEY.len();
                empty + aggregate::record_bytes_max(first) + more
            }
            Content::Open(_) => self.bytes + more,
            Content::Sent => return false,
        };
        if bytes > bytes_max {
            return false;
        }
        self.bytes = bytes;
        self.user_bytes += record.size_bytes();
        self.data_bytes += record.data.bytes().len();
        self.completions.push(completion.take());
        match &mut self.content {
            Content::Open(writer) => writer.push_encoded(record),
            Content::Done(first) => {
                let Expected { bytes, keys, .. } = self.expected;
                let mut writer = Writer::expecting(bytes, keys);
                writer.push(first);
                writer.push_encoded(record);
                self.content = Content::Open(writer);
            }
            Content::Sent => {}
        }
        true
    }

    pub(in crate::put) fn len(&self) -> usize {
        self.completions.len()
    }

    /// Returns the upper bound of the Kinesis record's size, in bytes.
    pub(in crate::put) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the size of its user records' data and keys, in bytes.
    pub(in crate::put) fn user_bytes(&self) -> usize {
        self.user_bytes
    }

    /// Returns the size of their data, in bytes.
    pub(super) fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    /// Returns the completion of its first record.
    pub(super) fn first(&self) -> Option<&Completion> {
        self.completions.first()
    }

    /// Returns the time at which its first record was accepted.
    pub(in crate::put) fn since(&self) -> Option<Instant> {
        self.first().map(|first| first.entered_at)
    }

    /// Returns the time at which its youngest record was accepted.
    pub(super) fn youngest_at(&self) -> Option<Instant> {
        self.completions
            .iter()
            .map(|completion| completion.entered_at)
            .max()
    }

    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(super) fn hash_keys(&self) -> impl Iterator<Item = HashKey> {
        self.completions.iter().map(Completion::hash_key)
    }

    /// Begins an attempt: moves the bytes to the drafts of a request. Returns their size.
    pub(super) fn sent(&mut self, drafts: &mut Drafts) -> usize {
        self.attempts += 1;
        match std::mem::replace(&mut self.content, Content::Sent) {
            Content::Open(writer) => {
                let hash_key = self.first().map_or(HashKey::MIN, Completion::hash_key);
                drafts.push_aggregate(writer, hash_key)
            }
            Content::Done(record) => {
                let bytes = record.size_bytes();
                drafts.push(record);
                bytes
            }
            Content::Sent => unreachable!("it is sent again after it has come back"),
        }
    }

    /// Ends an attempt: takes the bytes back.
    pub(super) fn returned(&mut self, sent: EncodedRecord) {
        self.content = Content::Done(sent);
    }

    /// Takes back an attempt whose request was refused because of another record.
    pub(super) fn attempt_was_not_about_it(&mut self) {
        self.attempts -= 1;
    }

    /// Completes all user records as stored. Their budget goes over to `freed`.
    pub(super) fn stored(&mut self, at: &StoredAt, now: Instant, freed: &mut Charge) {
        prefetch(self.completions.iter().map(Completion::prefetch));
        for (index, mut completion) in (0..).zip(std::mem::take(&mut self.completions)) {
            completion.attempts = self.attempts;
            completion.stored(at, index, now, freed);
        }
    }

    /// Splits the aggregate into user records, each with the attempts of the aggregate. Their bytes are copied.
    pub(in crate::put) fn into_records(mut self) -> Vec<PendingRecord> {
        let records = match std::mem::replace(&mut self.content, Content::Sent) {
            Content::Open(writer) => records_of(&writer.finish_with([0; 16])),
            Content::Done(record) if self.completions.len() == 1 => vec![record],
            Content::Done(record) => records_of(&record.data),
            Content::Sent => Vec::new(),
        };
        debug_assert_eq!(
            records.len(),
            self.completions.len(),
            "what was written is read"
        );
        let attempts = self.attempts;
        let completions = std::mem::take(&mut self.completions).into_iter();
        let users = records
            .into_iter()
            .zip(completions)
            .map(|(record, mut completion)| {
                if attempts > 0 {
                    completion.was_sent(attempts);
                }
                PendingRecord { record, completion }
            });
        users.collect()
    }
}

/// Marks the records as in flight if the request was dropped with them: their errors say that they may be stored.
impl Drop for AggregateBuilder {
    fn drop(&mut self) {
        if matches!(self.content, Content::Sent) {
            let attempts = self.attempts;
            self.completions
                .iter_mut()
                .for_each(|completion| completion.was_sent(attempts));
        }
    }
}

fn records_of(aggregate: &Bytes) -> Vec<EncodedRecord> {
    let split = aggregate::split_framed(aggregate);
    let records = split.iter().flatten().map(|record| EncodedRecord {
        data: Bytes::copy_from_slice(&record.data),
        ..record
    });
    records.collect()
}

#[cfg(test)]
mod tests;
