//! One Kinesis record of a request: a user record as it is, or several in an aggregate.

use bytestring::ByteString;
use tokio::time::Instant;

use super::{
    records::{Records, Ticket},
    stored::Stored,
};
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
    first: Ticket,
    rest: Vec<Ticket>,
    /// How large the Kinesis record is; until it is made, how large it is at most.
    pub(crate) bytes: usize,
    /// How large it was thought to be when its shard's pace was charged.
    charged_bytes: usize,
    /// When the first user record was accepted, and how often it was sent, once it is.
    pub(crate) entered_at: Option<Instant>,
    pub(crate) attempts: u32,
}

/// A Kinesis record as far as it is made where the user records are.
#[derive(Debug)]
pub(crate) enum Draft {
    /// A user record, lent for the attempt.
    Lone(EncodedRecord),
    /// An aggregate without its MD5, and the hash key that decides its shard.
    Aggregate(Box<Writer>, HashKey),
}

impl Entry {
    /// A user record as it is.
    pub(crate) fn lone(lane: LaneId, user: Ticket) -> Self {
        let bytes = user.bytes();
        Self::of(lane, user, Vec::new(), bytes)
    }

    /// Several user records in `bytes` bytes at most; one goes as it is.
    pub(crate) fn of(lane: LaneId, first: Ticket, rest: Vec<Ticket>, bytes: usize) -> Self {
        Self {
            lane,
            first,
            rest,
            bytes,
            charged_bytes: bytes,
            entered_at: None,
            attempts: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        1 + self.rest.len()
    }

    pub(crate) fn users(&self) -> impl Iterator<Item = &Ticket> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    pub(crate) fn into_users(self) -> impl DoubleEndedIterator<Item = Ticket> {
        std::iter::once(self.first).chain(self.rest)
    }

    /// The hash key that decides the shard.
    pub(crate) fn hash_key(&self, records: &Records) -> HashKey {
        records[&self.first].hash_key()
    }

    /// An attempt begins. Aggregates are written anew for each: kept, they would double the memory.
    pub(crate) fn sent(&mut self, records: &mut Records) -> Draft {
        let first = &mut records[&self.first];
        self.entered_at = Some(first.entered_at);
        self.attempts = first.attempts + 1;
        if self.rest.is_empty() {
            first.sent();
            return Draft::Lone(first.lend());
        }
        let hash_key = first.hash_key();
        let mut writer = Writer::with_capacity(self.bytes);
        for user in self.users() {
            let user = &mut records[user];
            user.sent();
            writer.push(&user.record);
        }
        self.bytes = writer.finished_bytes() + AGGREGATE_KEY.len();
        Draft::Aggregate(Box::new(writer), hash_key)
    }

    /// The attempt is over: what was lent comes back.
    pub(crate) fn returned(&self, sent: EncodedRecord, records: &mut Records) {
        if self.rest.is_empty() {
            records[&self.first].record = sent;
        }
    }

    /// By how much it was smaller than was thought.
    pub(crate) fn overcharged_bytes(&self) -> usize {
        self.charged_bytes.saturating_sub(self.bytes)
    }

    /// All user records are stored.
    pub(crate) fn stored(
        self,
        at: &StoredAt,
        now: Instant,
        records: &mut Records,
        stored: &mut Stored,
    ) {
        for (index, ticket) in (0..).zip(self.into_users()) {
            let user = &mut records[&ticket];
            stored.count(user);
            user.stored(at, index, now, &mut stored.room);
            records.end(ticket);
        }
    }
}

/// The Kinesis records of a request. The MD5s of its aggregates are computed side by side.
pub(crate) fn finish(drafts: Vec<Draft>) -> Vec<EncodedRecord> {
    let bodies: Vec<_> = drafts.iter().filter_map(Draft::body).collect();
    let mut digests = digest::of_each(&bodies).into_iter();
    let records = drafts.into_iter().map(|draft| match draft {
        Draft::Lone(record) => record,
        Draft::Aggregate(writer, hash_key) => {
            let data = match digests.next() {
                Some(digest) => writer.finish_with(digest),
                None => writer.finish(),
            };
            let mut record = EncodedRecord::new(PartitionKey::stored(AGGREGATE_KEY), data);
            record.explicit_hash_key = Some(hash_key);
            record
        }
    });
    records.collect()
}

impl Draft {
    /// What the MD5 of an aggregate is of.
    fn body(&self) -> Option<&[u8]> {
        match self {
            Self::Lone(_) => None,
            Self::Aggregate(writer, _) => Some(writer.body()),
        }
    }
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
    use bytes::Bytes;
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
