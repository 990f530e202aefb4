//! One Kinesis record of a request: a user record as it is, or several in an aggregate.

use tokio::time::Instant;

use super::{aggregate::AggregateBuilder, draft::Drafts};
use crate::{
    prefetch::Touched,
    put::{
        admission::{budget::Charge, stats::Counters},
        pending::{
            pending::{Completion, First, PendingRecord},
            slab::{RecordKey, RecordSlab},
        },
    },
    record::{EncodedRecord, PartitionKey},
    service::StoredAt,
    shard::HashKey,
    wire::aggregate::{self, Writer},
};

/// The partition key of an aggregate: its explicit hash key decides the shard, so the shortest will do.
pub(super) const AGGREGATE_KEY: PartitionKey = PartitionKey::known("a");

/// The queue that an entry came from. Queues are numbered anew with each shard map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::put) struct QueueId {
    pub(in crate::put) map: u32,
    index: u32,
}

/// The user records of one Kinesis record, at least one.
#[derive(Debug)]
pub(in crate::put) struct Entry {
    pub(in crate::put) queue: QueueId,
    users: Users,
    /// The size of the Kinesis record in bytes; until it is built, its upper bound.
    bytes: u32,
    /// The size of its user records' data in bytes, once it is sent.
    data_bytes: u32,
    /// The size that was charged to its shard's token bucket.
    charged_bytes: u32,
}

/// The user records, by the way that they came.
#[derive(Debug)]
enum Users {
    /// One that never waited for its shard, and goes as it is. It is in flight, its bytes are lent.
    Fresh(Completion),
    /// One that goes as it is.
    Lone(RecordKey, Option<First>),
    /// Several that are written for this attempt.
    Many(Vec<RecordKey>, Option<First>),
    /// Written as they came.
    Aggregated(Box<AggregateBuilder>),
}

impl QueueId {
    /// There are as many queues as shards.
    pub(in crate::put) fn new(map: u32, index: usize) -> Self {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Self { map, index }
    }

    pub(in crate::put) fn index(self) -> usize {
        self.index as usize
    }
}

impl Entry {
    /// A user record as it is that nothing holds up: its attempt begins.
    pub(super) fn fresh(queue: QueueId, user: PendingRecord, drafts: &mut Drafts) -> Self {
        let PendingRecord {
            record,
            mut completion,
        } = user;
        completion.sent();
        let (bytes, data_bytes) = (record.size_bytes(), record.data.len());
        drafts.push(record);
        let mut entry = Self::new(queue, Users::Fresh(completion), bytes);
        entry.data_bytes = narrow(data_bytes);
        entry
    }

    /// A user record as it is.
    pub(in crate::put) fn lone(queue: QueueId, user: RecordKey) -> Self {
        let bytes = user.bytes();
        Self::new(queue, Users::Lone(user, None), bytes)
    }

    /// Several user records in `bytes` bytes at most.
    pub(in crate::put) fn many(queue: QueueId, users: Vec<RecordKey>, bytes: usize) -> Self {
        Self::new(queue, Users::Many(users, None), bytes)
    }

    pub(in crate::put) fn aggregated(queue: QueueId, builder: Box<AggregateBuilder>) -> Self {
        let bytes = builder.bytes();
        Self::new(queue, Users::Aggregated(builder), bytes)
    }

    fn new(queue: QueueId, users: Users, bytes: usize) -> Self {
        Self {
            queue,
            users,
            bytes: narrow(bytes),
            charged_bytes: narrow(bytes),
            data_bytes: 0,
        }
    }

    /// The size of the Kinesis record in bytes; until it is built, its upper bound.
    pub(in crate::put) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// The first user record, once it is sent.
    pub(super) fn first(&self) -> Option<First> {
        match &self.users {
            Users::Fresh(completion) => Some(completion.first()),
            Users::Lone(_, first) | Users::Many(_, first) => *first,
            Users::Aggregated(builder) => Some(First {
                entered_at: builder.since()?,
                attempts: builder.attempts(),
            }),
        }
    }

    pub(in crate::put) fn len(&self) -> usize {
        match &self.users {
            Users::Fresh(_) | Users::Lone(..) => 1,
            Users::Many(users, _) => users.len(),
            Users::Aggregated(builder) => builder.len(),
        }
    }

    /// The points of the key space of the user records; that of the first decides the shard.
    pub(in crate::put) fn hash_keys(&self, records: &RecordSlab) -> Vec<HashKey> {
        let hash_key = |user| records[user].completion.hash_key();
        match &self.users {
            Users::Fresh(completion) => vec![completion.hash_key()],
            Users::Lone(user, _) => vec![hash_key(user)],
            Users::Many(users, _) => users.iter().map(hash_key).collect(),
            Users::Aggregated(builder) => builder.hash_keys().collect(),
        }
    }

    /// The hash key that decides the shard.
    pub(in crate::put) fn first_hash_key(&self, records: &RecordSlab) -> HashKey {
        let first = match &self.users {
            Users::Fresh(completion) => Some(completion.hash_key()),
            Users::Lone(user, _) => Some(records[user].completion.hash_key()),
            Users::Many(users, _) => users
                .first()
                .map(|user| records[user].completion.hash_key()),
            Users::Aggregated(builder) => builder.first().map(Completion::hash_key),
        };
        first.unwrap_or(HashKey::MIN)
    }

    /// Returns the time at which the youngest of the user records was accepted. None of them is in flight.
    pub(in crate::put) fn youngest_at(&self, records: &RecordSlab) -> Option<Instant> {
        let entered_at = |user| records[user].completion.entered_at;
        match &self.users {
            Users::Fresh(completion) => Some(completion.entered_at),
            Users::Lone(user, _) => Some(entered_at(user)),
            Users::Many(users, _) => users.iter().map(entered_at).max(),
            Users::Aggregated(builder) => builder.youngest_at(),
        }
    }

    /// An attempt begins: what it sends becomes the next of the drafts.
    pub(super) fn sent(&mut self, records: &mut RecordSlab, drafts: &mut Drafts) {
        match &mut self.users {
            Users::Fresh(_) => unreachable!("it is sent when it is made"),
            Users::Lone(user, first) => {
                let user = &mut records[user];
                user.completion.sent();
                *first = Some(user.completion.first());
                self.data_bytes = narrow(user.record.data.len());
                drafts.push(user.lend());
            }
            Users::Many(users, first) => {
                let (together, data_bytes) = sent_together(users, self.bytes, records);
                *first = users.first().map(|user| records[user].completion.first());
                let hash_key = users
                    .first()
                    .map(|user| records[user].completion.hash_key());
                let hash_key = hash_key.unwrap_or(HashKey::MIN);
                self.data_bytes = narrow(data_bytes);
                self.bytes = narrow(drafts.push_aggregate(together, hash_key));
            }
            Users::Aggregated(builder) => {
                self.data_bytes = narrow(builder.data_bytes());
                self.bytes = narrow(builder.sent(drafts));
            }
        }
    }

    /// The attempt is over: what was sent comes back.
    pub(in crate::put) fn returned(&mut self, sent: EncodedRecord, records: &mut RecordSlab) {
        match &mut self.users {
            Users::Lone(user, _) => records[user].record = sent,
            Users::Aggregated(builder) => builder.returned(sent),
            Users::Many(..) => {}
            Users::Fresh(_) => self.users.keep(sent, records),
        }
    }

    /// The attempt is over: a shard has stored it that may not take all of its user records.
    pub(in crate::put) fn landed(&mut self, records: &mut RecordSlab) {
        match &mut self.users {
            Users::Fresh(completion) => completion.attempt_landed(),
            Users::Lone(user, _) => records[user].completion.attempt_landed(),
            Users::Many(users, _) => {
                for user in users {
                    records[user].completion.attempt_landed();
                }
            }
            // Its attempt ends when it is unpacked: until then its user records have no places.
            Users::Aggregated(_) => {}
        }
    }

    /// The attempt does not count: the request was refused for another record's sake.
    pub(in crate::put) fn attempt_was_not_about_it(&mut self, records: &mut RecordSlab) {
        match &mut self.users {
            Users::Fresh(completion) => completion.attempt_was_not_about_it(),
            Users::Lone(user, _) => records[user].completion.attempt_was_not_about_it(),
            Users::Many(users, _) => {
                for user in users {
                    records[user].completion.attempt_was_not_about_it();
                }
            }
            Users::Aggregated(builder) => builder.attempt_was_not_about_it(),
        }
    }

    /// By how much it was smaller than was thought.
    pub(in crate::put) fn overcharged_bytes(&self) -> usize {
        self.charged_bytes.saturating_sub(self.bytes) as usize
    }

    /// The user records one by one, none of them in flight.
    pub(in crate::put) fn into_users(self, records: &mut RecordSlab) -> Vec<RecordKey> {
        match self.users {
            Users::Fresh(_) => unreachable!("its bytes have come back before"),
            Users::Lone(user, _) => vec![user],
            Users::Many(users, _) => users,
            Users::Aggregated(builder) => records.hold_all(builder.into_records()),
        }
    }

    /// Reads what [`stored`](Self::stored) will need of a record alone.
    pub(in crate::put) fn prefetch(&self) -> Touched {
        match &self.users {
            Users::Fresh(completion) => completion.prefetch(),
            Users::Lone(..) | Users::Many(..) | Users::Aggregated(_) => Touched::NOTHING,
        }
    }

    /// All user records are stored. They are counted before anybody is told, and the room that they took goes over
    /// to `freed`.
    pub(in crate::put) fn stored(
        self,
        at: &StoredAt,
        now: Instant,
        records: &mut RecordSlab,
        freed: &mut Charge,
        counters: &Counters,
    ) {
        counters.count_stored(self.len(), self.data_bytes as usize);
        match self.users {
            Users::Fresh(mut completion) => completion.stored(at, 0, now, freed),
            Users::Lone(user, _) => records.stored(user, at, 0, now, freed),
            Users::Many(users, _) => {
                for (index, user) in (0..).zip(users) {
                    records.stored(user, at, index, now, freed);
                }
            }
            Users::Aggregated(mut builder) => builder.stored(at, now, freed),
        }
    }
}

impl Users {
    /// The bytes of a fresh one come back: from now on it has a place like any other that was sent.
    fn keep(&mut self, record: EncodedRecord, records: &mut RecordSlab) {
        if let Self::Fresh(completion) = std::mem::replace(self, Self::Many(Vec::new(), None)) {
            let first = completion.first();
            *self = Self::Lone(
                records.hold(PendingRecord { record, completion }),
                Some(first),
            );
        }
    }
}

/// Writes the aggregate of several user records, of `bytes` bytes at most, whose attempt begins. Returns it with how
/// many bytes of data they have.
fn sent_together(users: &[RecordKey], bytes: u32, records: &mut RecordSlab) -> (Writer, usize) {
    let mut writer = Writer::with_capacity(bytes as usize);
    let mut data_bytes = 0;
    for user in users {
        let user = &mut records[user];
        user.completion.sent();
        writer.push(&user.record);
        data_bytes += user.record.data.len();
    }
    (writer, data_bytes)
}

/// No Kinesis record has 4 GiB.
fn narrow(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Returns how many of these records make up the next aggregate of at most `bytes_max` bytes, and how large it is at
/// most. A record that does not fit goes alone.
pub(in crate::put) fn aggregate_size<'a>(
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
