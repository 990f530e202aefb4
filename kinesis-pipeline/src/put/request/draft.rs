//! The Kinesis records of a request, as far as they are made where the user records are.

use bytes::Bytes;

use super::entry::AGGREGATE_KEY;
use crate::{digest, record::EncodedRecord, shard::HashKey, wire::aggregate::Writer};

/// The Kinesis records that a request will send, one for each of its entries.
#[derive(Debug, Default)]
pub(in crate::put) struct Drafts {
    /// Those that are made, or are user records that go as they are; an empty one where an aggregate will be.
    records: Vec<EncodedRecord>,
    aggregates: Vec<Unsealed>,
}

/// An aggregate without its MD5.
#[derive(Debug)]
struct Unsealed {
    /// The index of its Kinesis record.
    index: usize,
    writer: Writer,
    /// Decides its shard.
    hash_key: HashKey,
}

impl Drafts {
    /// So many more will come.
    pub(super) fn reserve(&mut self, entries: usize) {
        self.records.reserve(entries);
    }

    /// The next one is made: lent for the attempt.
    pub(super) fn push(&mut self, record: EncodedRecord) {
        self.records.push(record);
    }

    /// The next one is an aggregate with this hash key. Returns how large it is.
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

    /// The Kinesis records. The MD5s of the aggregates are computed side by side.
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
