//! One Kinesis record of a request: a user record as it is, or several in an aggregate.

use tokio::time::Instant;

use super::{
    accepted::Accepted,
    pack::Pack,
    records::{Records, Ticket},
    room::Held,
    stats::Counters,
};
use crate::{
    digest,
    record::{EncodedRecord, PartitionKey},
    service::StoredAt,
    shard::HashKey,
    wire::aggregate::{self, Writer},
};

/// The partition key of an aggregate: its explicit hash key decides the shard, so the shortest will do.
pub(crate) const AGGREGATE_KEY: PartitionKey = PartitionKey::known("a");

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
    users: Users,
    /// How large the Kinesis record is; until it is made, how large it is at most.
    pub(crate) bytes: usize,
    /// How many bytes of data its user records have, once it is sent.
    data_bytes: usize,
    /// How large it was thought to be when its shard's pace was charged.
    charged_bytes: usize,
    /// When the first user record was accepted, and how often it was sent, once it is.
    pub(crate) entered_at: Option<Instant>,
    pub(crate) attempts: u32,
}

/// Where the user records are.
#[derive(Debug)]
enum Users {
    /// One that goes as it is, and never waited for its shard.
    Fresh(Accepted),
    /// One that goes as it is.
    Lone(Ticket),
    /// Several that are written for this attempt.
    Many(Vec<Ticket>),
    /// Written as they came.
    Packed(Box<Pack>),
}

/// A Kinesis record as far as it is made where the user records are.
#[derive(Debug)]
pub(crate) enum Draft {
    /// It is made, or a user record that goes as it is: lent for the attempt.
    Done(EncodedRecord),
    /// An aggregate without its MD5, and the hash key that decides its shard.
    Aggregate(Box<Writer>, HashKey),
}

impl Entry {
    /// A user record as it is that nothing holds up.
    pub(crate) fn fresh(lane: LaneId, user: Accepted) -> Self {
        let bytes = user.record.size_bytes();
        Self::new(lane, Users::Fresh(user), bytes)
    }

    /// A user record as it is.
    pub(crate) fn lone(lane: LaneId, user: Ticket) -> Self {
        let bytes = user.bytes();
        Self::new(lane, Users::Lone(user), bytes)
    }

    /// Several user records in `bytes` bytes at most.
    pub(crate) fn many(lane: LaneId, users: Vec<Ticket>, bytes: usize) -> Self {
        Self::new(lane, Users::Many(users), bytes)
    }

    pub(crate) fn packed(lane: LaneId, pack: Box<Pack>) -> Self {
        let bytes = pack.bytes();
        Self::new(lane, Users::Packed(pack), bytes)
    }

    fn new(lane: LaneId, users: Users, bytes: usize) -> Self {
        Self {
            lane,
            users,
            bytes,
            charged_bytes: bytes,
            data_bytes: 0,
            entered_at: None,
            attempts: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.users {
            Users::Fresh(_) | Users::Lone(_) => 1,
            Users::Many(users) => users.len(),
            Users::Packed(pack) => pack.len(),
        }
    }

    /// The points of the key space of the user records; that of the first decides the shard.
    pub(crate) fn hash_keys(&self, records: &Records) -> Vec<HashKey> {
        let hash_key = |user| records[user].fate.hash_key();
        match &self.users {
            Users::Fresh(user) => vec![user.fate.hash_key()],
            Users::Lone(user) => vec![hash_key(user)],
            Users::Many(users) => users.iter().map(hash_key).collect(),
            Users::Packed(pack) => pack.hash_keys().collect(),
        }
    }

    /// How often one of the user records was sent at most.
    pub(crate) fn attempts_max(&self, records: &Records) -> u32 {
        let attempts = |user| records[user].fate.attempts;
        match &self.users {
            Users::Fresh(user) => user.fate.attempts,
            Users::Lone(user) => attempts(user),
            Users::Many(users) => users.iter().map(attempts).max().unwrap_or(0),
            Users::Packed(pack) => pack.attempts(),
        }
    }

    /// An attempt begins.
    pub(crate) fn sent(&mut self, records: &mut Records) -> Draft {
        let draft;
        (draft, self.data_bytes) = match &mut self.users {
            Users::Fresh(user) => sent_alone(user),
            Users::Lone(user) => sent_alone(&mut records[user]),
            Users::Many(users) => sent_together(users, self.bytes, records),
            Users::Packed(pack) => (pack.sent(), pack.data_bytes()),
        };
        self.bytes = draft.bytes();
        let first = match &self.users {
            Users::Fresh(user) => Some(&user.fate),
            Users::Lone(user) => Some(&records[user].fate),
            Users::Many(users) => users.first().map(|user| &records[user].fate),
            Users::Packed(pack) => pack.first(),
        };
        self.entered_at = first.map(|first| first.entered_at);
        self.attempts = match &self.users {
            Users::Packed(pack) => pack.attempts(),
            Users::Fresh(_) | Users::Lone(_) | Users::Many(_) => first.map_or(1, |it| it.attempts),
        };
        draft
    }

    /// The attempt is over: what was sent comes back.
    pub(crate) fn returned(&mut self, sent: EncodedRecord, records: &mut Records) {
        match &mut self.users {
            Users::Fresh(user) => user.record = sent,
            Users::Lone(user) => records[user].record = sent,
            Users::Many(_) => {}
            Users::Packed(pack) => pack.returned(sent),
        }
    }

    /// The attempt does not count: the request was refused for another record's sake.
    pub(crate) fn attempt_was_not_about_it(&mut self, records: &mut Records) {
        match &mut self.users {
            Users::Fresh(user) => user.fate.attempt_was_not_about_it(),
            Users::Lone(user) => records[user].fate.attempt_was_not_about_it(),
            Users::Many(users) => {
                for user in users {
                    records[user].fate.attempt_was_not_about_it();
                }
            }
            Users::Packed(pack) => pack.attempt_was_not_about_it(),
        }
    }

    /// By how much it was smaller than was thought.
    pub(crate) fn overcharged_bytes(&self) -> usize {
        self.charged_bytes.saturating_sub(self.bytes)
    }

    /// The user records one by one.
    pub(crate) fn into_users(self, records: &mut Records) -> Vec<Ticket> {
        match self.users {
            Users::Fresh(user) => vec![records.hold(user)],
            Users::Lone(user) => vec![user],
            Users::Many(users) => users,
            Users::Packed(pack) => records.hold_all(pack.unpack()),
        }
    }

    /// All user records are stored. They are counted before anybody is told, and the room that they took goes over
    /// to `freed`.
    pub(crate) fn stored(
        self,
        at: &StoredAt,
        now: Instant,
        records: &mut Records,
        freed: &mut Held,
        counters: &Counters,
    ) {
        counters.count_stored(self.len(), self.data_bytes);
        match self.users {
            Users::Fresh(mut user) => user.fate.stored(at, 0, now, freed),
            Users::Lone(user) => records.stored(user, at, 0, now, freed),
            Users::Many(users) => {
                for (index, user) in (0..).zip(users) {
                    records.stored(user, at, index, now, freed);
                }
            }
            Users::Packed(mut pack) => pack.stored(at, now, freed),
        }
    }
}

/// The attempt of a record that goes as it is begins. Returns its draft, and how many bytes of data it has.
fn sent_alone(user: &mut Accepted) -> (Draft, usize) {
    user.fate.sent();
    let data_bytes = user.record.data.len();
    (Draft::Done(user.lend()), data_bytes)
}

/// The same for several records that share a Kinesis record of `bytes` bytes at most.
fn sent_together(users: &[Ticket], bytes: usize, records: &mut Records) -> (Draft, usize) {
    let mut writer = Writer::with_capacity(bytes);
    let mut data_bytes = 0;
    for user in users {
        let user = &mut records[user];
        user.fate.sent();
        writer.push(&user.record);
        data_bytes += user.record.data.len();
    }
    let first = users.first().map(|user| records[user].fate.hash_key());
    let hash_key = first.unwrap_or(HashKey::MIN);
    (Draft::Aggregate(Box::new(writer), hash_key), data_bytes)
}

/// The Kinesis records of a request. The MD5s of its aggregates are computed side by side.
pub(crate) fn finish(drafts: Vec<Draft>) -> Vec<EncodedRecord> {
    let bodies: Vec<_> = drafts.iter().filter_map(Draft::body).collect();
    let mut digests = digest::of_each(&bodies).into_iter();
    let records = drafts.into_iter().map(|draft| match draft {
        Draft::Done(record) => record,
        Draft::Aggregate(writer, hash_key) => {
            let data = match digests.next() {
                Some(digest) => writer.finish_with(digest),
                None => writer.finish(),
            };
            let mut record = EncodedRecord::new(AGGREGATE_KEY, data);
            record.explicit_hash_key = Some(hash_key);
            record
        }
    });
    records.collect()
}

impl Draft {
    /// How large the Kinesis record is.
    fn bytes(&self) -> usize {
        match self {
            Self::Done(record) => record.size_bytes(),
            Self::Aggregate(writer, _) => writer.finished_bytes() + AGGREGATE_KEY.len(),
        }
    }

    /// What the MD5 of an aggregate is of.
    fn body(&self) -> Option<&[u8]> {
        match self {
            Self::Done(_) => None,
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
