//! One Kinesis record of a request: a user record as it is, or several in an aggregate.

use bytes::Bytes;
use bytestring::ByteString;
use tokio::time::Instant;

use super::{accepted::Accepted, room::Held, stats::Counters};
use crate::{
    digest,
    record::{EncodedRecord, PartitionKey},
    service::StoredAt,
    shard::HashKey,
    wire::aggregate::{self, Writer},
};

/// The partition key of an aggregate: its explicit hash key decides the shard, so the shortest will do.
const AGGREGATE_KEY: ByteString = ByteString::from_static("a");

/// Which lane an entry came from. Lanes are numbered anew with each shard map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaneId {
    pub(crate) map: u64,
    pub(crate) index: usize,
}

/// The user records of one Kinesis record, at least one.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) lane: LaneId,
    first: Accepted,
    rest: Vec<Accepted>,
    /// How large the Kinesis record is; until it is made, how large it is at most.
    pub(crate) bytes: usize,
    /// How large it was thought to be when its shard's pace was charged.
    charged_bytes: usize,
}

impl Entry {
    /// A user record as it is.
    pub(crate) fn lone(lane: LaneId, user: Accepted) -> Self {
        Self {
            lane,
            bytes: user.record.size_bytes(),
            charged_bytes: user.record.size_bytes(),
            first: user,
            rest: Vec::new(),
        }
    }

    /// Several user records in `bytes` bytes at most; one goes as it is.
    pub(crate) fn of(lane: LaneId, first: Accepted, rest: Vec<Accepted>, bytes: usize) -> Self {
        if rest.is_empty() {
            return Self::lone(lane, first);
        }
        Self {
            lane,
            first,
            rest,
            bytes,
            charged_bytes: bytes,
        }
    }

    pub(crate) fn len(&self) -> usize {
        1 + self.rest.len()
    }

    pub(crate) fn users(&self) -> impl Iterator<Item = &Accepted> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    pub(crate) fn users_mut(&mut self) -> impl Iterator<Item = &mut Accepted> {
        std::iter::once(&mut self.first).chain(&mut self.rest)
    }

    pub(crate) fn into_users(self) -> impl DoubleEndedIterator<Item = Accepted> {
        std::iter::once(self.first).chain(self.rest)
    }

    /// The hash key that decides the shard.
    pub(crate) fn hash_key(&self) -> HashKey {
        self.first.hash_key()
    }

    /// What is in an aggregate, without its MD5; `None` for a user record that goes as it is.
    fn aggregate(&self) -> Option<Writer> {
        if self.rest.is_empty() {
            return None;
        }
        let mut writer = Writer::with_capacity(self.bytes);
        for user in self.users() {
            writer.push(&user.record);
        }
        Some(writer)
    }

    fn wire_record(&mut self, aggregate: Option<Bytes>) -> EncodedRecord {
        let Some(data) = aggregate else {
            return self.first.record.clone();
        };
        let mut record = EncodedRecord::new(PartitionKey::stored(AGGREGATE_KEY), data);
        record.explicit_hash_key = Some(self.hash_key());
        self.bytes = record.size_bytes();
        record
    }

    /// By how much it was smaller than was thought.
    pub(crate) fn overcharged_bytes(&self) -> usize {
        self.charged_bytes.saturating_sub(self.bytes)
    }

    /// All user records are stored. The room that they took goes over to `freed`.
    pub(crate) fn stored(
        mut self,
        at: &StoredAt,
        now: Instant,
        freed: &mut Held,
        counters: &Counters,
    ) {
        counters.stored.add(self.len());
        counters
            .stored_bytes
            .add(self.users().map(|user| user.record.data.len()).sum());
        for (index, user) in (0..).zip(self.users_mut()) {
            user.stored(at, index, now, freed);
        }
    }
}

/// The Kinesis records of a request. Aggregates are written anew for each attempt: kept, they would double the
/// memory. Their MD5s are computed side by side.
pub(crate) fn wire_records(entries: &mut [Entry]) -> Vec<EncodedRecord> {
    let aggregates: Vec<_> = entries.iter().map(Entry::aggregate).collect();
    let bodies: Vec<_> = aggregates.iter().flatten().map(Writer::body).collect();
    let mut digests = digest::of_each(&bodies).into_iter();
    let records = entries
        .iter_mut()
        .zip(aggregates)
        .map(|(entry, aggregate)| {
            let digest = aggregate.as_ref().and_then(|_| digests.next());
            let data = aggregate
                .zip(digest)
                .map(|(writer, digest)| writer.finish_with(digest));
            entry.wire_record(data)
        });
    records.collect()
}

/// How many of these records make up the next aggregate of at most `bytes_max` bytes, and how large it is at
/// most. A record that does not fit goes alone.
pub(crate) fn aggregate_size<'a>(
    records: impl Iterator<Item = &'a EncodedRecord>,
    bytes_max: usize,
) -> (usize, usize) {
    let (mut count, mut bytes) = (0, aggregate::empty_bytes() + AGGREGATE_KEY.len());
    for record in records {
        let more = aggregate::record_bytes_max(record);
        if count > 0 && bytes + more > bytes_max {
            break;
        }
        count += 1;
        bytes += more;
    }
    (count, bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sized(data_bytes: usize) -> EncodedRecord {
        EncodedRecord::new(
            PartitionKey::stored("key"),
            Bytes::from(vec![0; data_bytes]),
        )
    }

    #[test]
    fn a_record_that_does_not_fit_starts_the_next_aggregate_and_a_large_one_goes_alone() {
        let records = [sized(600), sized(600), sized(2_000), sized(1)];
        assert_eq!(aggregate_size(records.iter(), 1_000).0, 1);
        assert_eq!(aggregate_size(records[2..].iter(), 1_000).0, 1);
        assert_eq!(aggregate_size(records.iter(), 10_000).0, 4);
    }

    proptest! {
        #[test]
        fn aggregates_are_as_large_as_said_at_most(
            sizes in prop::collection::vec(0_usize..400, 2..200),
        ) {
            let records: Vec<_> = sizes.into_iter().map(sized).collect();
            let (count, bytes) = aggregate_size(records.iter(), 10_000);
            prop_assume!(count > 1);
            let mut writer = Writer::new();
            for record in &records[..count] {
                writer.push(record);
            }
            prop_assert!(writer.finish().len() < bytes && bytes <= 10_000);
        }
    }
}
