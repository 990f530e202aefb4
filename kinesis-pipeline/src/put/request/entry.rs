//! An entry: one Kinesis record of a request, which is a user record as it is or an aggregate of several.

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

/// The partition key of an aggregate: the shortest, as its explicit hash key decides the shard.
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

/// The user records of an entry, by the way they came into it.
#[derive(Debug)]
enum Users {
    /// One record that never waited for its shard, sent as it is. It is in flight, its bytes are lent to the request.
    Fresh(Completion),
    /// One record of a queue, sent as it is.
    Lone(RecordKey, Option<First>),
    /// Several records of a queue in an aggregate that is written for this attempt.
    Many(Vec<RecordKey>, Option<First>),
    /// An aggregate that was written as its records came.
    Aggregated(Box<AggregateBuilder>),
}

impl QueueId {
    /// Makes the id of the queue with this index in the `map`th shard map.
    pub(in crate::put) fn new(map: u32, index: usize) -> Self {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Self { map, index }
    }

    pub(in crate::put) fn index(self) -> usize {
        self.index as usize
    }
}

impl Entry {
    /// Makes an entry of a record that does not wait for its shard. Its attempt has begun.
    #[inline]
    pub(super) fn fresh(queue: QueueId, completion: Completion, record: &EncodedRecord) -> Self {
        let bytes = narrow(record.size_bytes());
        Self {
            queue,
            users: Users::Fresh(completion),
            bytes,
            charged_bytes: bytes,
            data_bytes: narrow(record.data.len()),
        }
    }

    /// Makes an entry of one record of a queue.
    pub(in crate::put) fn lone(queue: QueueId, user: RecordKey) -> Self {
        let bytes = user.bytes();
        Self::new(queue, Users::Lone(user, None), bytes)
    }

    /// Makes an entry of several records of a queue, of `bytes` bytes at most.
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

    /// Returns the size of the Kinesis record in bytes; until it is built, its upper bound.
    pub(in crate::put) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Returns facts about the first user record, once the entry is sent.
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

    /// Returns the hash keys of the user records. That of the first decides the shard.
    pub(in crate::put) fn hash_keys(&self, records: &RecordSlab) -> Vec<HashKey> {
        let hash_key = |user| records[user].completion.hash_key();
        match &self.users {
            Users::Fresh(completion) => vec![completion.hash_key()],
            Users::Lone(user, _) => vec![hash_key(user)],
            Users::Many(users, _) => users.iter().map(hash_key).collect(),
            Users::Aggregated(builder) => builder.hash_keys().collect(),
        }
    }

    /// Returns the hash key that decides the shard.
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

    /// Begins an attempt: moves or writes the bytes to the drafts of the request.
    pub(super) fn sent(&mut self, records: &mut RecordSlab, drafts: &mut Drafts) {
        match &mut self.users {
            Users::Fresh(_) => unreachable!("its attempt has begun"),
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

    /// Ends an attempt: takes the bytes back.
    pub(in crate::put) fn returned(&mut self, sent: EncodedRecord, records: &mut RecordSlab) {
        match &mut self.users {
            Users::Lone(user, _) => records[user].record = sent,
            Users::Aggregated(builder) => builder.returned(sent),
            Users::Many(..) => {}
            Users::Fresh(_) => self.users.keep(sent, records),
        }
    }

    /// Ends an attempt that stored the entry in a shard that may not take all of its user records.
    pub(in crate::put) fn landed(&mut self, records: &mut RecordSlab) {
        match &mut self.users {
            Users::Fresh(completion) => completion.attempt_landed(),
            Users::Lone(user, _) => records[user].completion.attempt_landed(),
            Users::Many(users, _) => {
                for user in users {
                    records[user].completion.attempt_landed();
                }
            }
            // Its user records have no slots in the slab before `into_users` splits it. Their attempts end then.
            Users::Aggregated(_) => {}
        }
    }

    /// Takes back an attempt whose request was refused because of another record.
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

    /// Returns the number of bytes by which it is smaller than its upper bound, for which tokens were taken.
    pub(in crate::put) fn overcharged_bytes(&self) -> usize {
        self.charged_bytes.saturating_sub(self.bytes) as usize
    }

    /// Returns the keys of the user records, none of them in flight.
    pub(in crate::put) fn into_users(self, records: &mut RecordSlab) -> Vec<RecordKey> {
        match self.users {
            Users::Fresh(_) => unreachable!("its bytes have come back before"),
            Users::Lone(user, _) => vec![user],
            Users::Many(users, _) => users,
            Users::Aggregated(builder) => records.hold_all(builder.into_records()),
        }
    }

    /// Prefetches the memory that [`stored`](Self::stored) will read, for a record that is not in the slab.
    pub(in crate::put) fn prefetch(&self) -> Touched {
        match &self.users {
            Users::Fresh(completion) => completion.prefetch(),
            Users::Lone(..) | Users::Many(..) | Users::Aggregated(_) => Touched::NOTHING,
        }
    }

    /// Takes out the user records, and leaves an entry of none.
    pub(in crate::put) fn take(&mut self) -> Self {
        Self {
            users: std::mem::replace(&mut self.users, Users::NONE),
            ..*self
        }
    }

    /// Completes all user records as stored, and leaves an entry of none. They are counted before their receipts are sent,
    /// so that a put that has its receipt is in the statistics. Their budget goes over to `freed`.
    pub(in crate::put) fn stored(
        &mut self,
        at: &StoredAt,
        now: Instant,
        records: &mut RecordSlab,
        freed: &mut Charge,
        counters: &Counters,
    ) {
        counters.count_stored(self.len(), self.data_bytes as usize);
        // A fresh record is completed where it is: a move of each costs more than the rest.
        if let Users::Fresh(completion) = &mut self.users {
            return completion.stored(at, 0, now, freed);
        }
        match std::mem::replace(&mut self.users, Users::NONE) {
            Users::Fresh(_) => {}
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
    const NONE: Self = Self::Many(Vec::new(), None);

    /// Moves a fresh record with its bytes to the slab, where retried records are.
    fn keep(&mut self, record: EncodedRecord, records: &mut RecordSlab) {
        if let Self::Fresh(completion) = std::mem::replace(self, Self::NONE) {
            let first = completion.first();
            *self = Self::Lone(
                records.hold(PendingRecord { record, completion }),
                Some(first),
            );
        }
    }
}

/// Writes the aggregate of several user records, of `bytes` bytes at most, and begins their attempt. Returns it with
/// the size of their data in bytes.
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

/// Narrows a size. No Kinesis record has 4 GiB.
fn narrow(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Returns the number of records that the next aggregate of at most `bytes_max` bytes takes, and the upper bound of its
/// size. It takes at least one, also if that is larger.
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
