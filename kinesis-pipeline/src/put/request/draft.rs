//! The Kinesis records of a request before the MD5s of its aggregates are computed.
//!
//! The driver makes the drafts, since it holds the user records; the task that sends the request finishes them. So the
//! MD5s cost the driver no time.

use bytes::Bytes;

use super::entry::AGGREGATE_KEY;
use crate::{digest, record::EncodedRecord, shard::HashKey, wire::aggregate::Writer};

/// The Kinesis records of a request, one for each of its entries.
#[derive(Debug, Default)]
pub(in crate::put) struct Drafts {
    /// The finished records, with an empty one in the place of each aggregate.
    records: Vec<EncodedRecord>,
    aggregates: Vec<Unsealed>,
}

/// An aggregate without its MD5.
#[derive(Debug)]
struct Unsealed {
    /// The index of its Kinesis record.
    index: usize,
    writer: Writer,
    /// The hash key that decides its shard.
    hash_key: HashKey,
}

impl Drafts {
    /// Reserves space for more records.
    pub(super) fn reserve(&mut self, entries: usize) {
        self.records.reserve(entries);
    }

    /// Adds a finished record.
    pub(super) fn push(&mut self, record: EncodedRecord) {
        self.records.push(record);
    }

    /// Adds finished records.
    pub(super) fn extend(&mut self, records: impl Iterator<Item = EncodedRecord>) {
        self.records.extend(records);
    }

    /// Returns the last records.
    pub(super) fn last(&self, count: usize) -> &[EncodedRecord] {
        &self.records[self.records.len() - count..]
    }

    /// Adds an aggregate with this hash key. Returns the size of its Kinesis record.
    pub(super) fn push_aggregate(&mut self, writer: Writer, hash_key: HashKey) -> usize {
        let bytes = writer.finished_bytes() + AGGREGATE_KEY.len();
        self.aggregates.push(Unsealed {
            index: self.records.len(),
            writer,
            hash_key,
        });
        self.records
            .push(EncodedRecord::new(AGGREGATE_KEY, Bytes::new()));
        bytes
    }

    /// Returns the finished Kinesis records. The MD5s of all aggregates are computed side by side (SIMD).
    pub(in crate::put) fn finish(self) -> Vec<EncodedRecord> {
        let Self {
            mut records,
            aggregates,
        } = self;
        let bodies: Vec<_> = aggregates.iter().map(|it| it.writer.body()).collect();
        let digests = digest::of_each(&bodies);
        for (aggregate, digest) in aggregates.into_iter().zip(digests) {
            let record = &mut records[aggregate.index];
            record.data = aggregate.writer.finish_with(digest);
            record.explicit_hash_key = Some(aggregate.hash_key);
        }
        records
    }
}
