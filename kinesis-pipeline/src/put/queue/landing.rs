//! The judgement of whether a stored entry is in a shard that takes it, by the shard map and the known shards.

use super::{queues::ShardQueues, shard_queue::ShardQueue};
use crate::{
    prefetch::{Touched, prefetch},
    put::{
        pending::slab::RecordSlab,
        request::entry::Entry,
        shard_map::{known::Landing, shard_map::Placement},
    },
    service::StoredAt,
    shard::{HashKey, HashKeyRange, ShardId},
};

impl ShardQueues {
    /// Prefetches the memory that [`stored`](Self::stored) will read for these entries.
    pub(in crate::put) fn prefetch_sent(&self, entries: &[Entry]) {
        prefetch(entries.iter().map(|entry| {
            let queue = self.all.get(entry.queue.index());
            let queue = queue.map_or(Touched::NOTHING, ShardQueue::prefetch);
            queue.and(entry.prefetch())
        }));
    }

    /// Notes that a shard has stored an entry, and judges whether it is the right one.
    pub(in crate::put) fn stored(
        &mut self,
        entry: &Entry,
        at: &StoredAt,
        records: &RecordSlab,
    ) -> Landing {
        let shard_id = &at.shard_id;
        let mut is_elsewhere = false;
        if let Some(queue) = self.queue_of(entry.queue) {
            queue.stored(entry);
            if queue.shard_id.as_ref() == Some(shard_id) {
                return Landing::Expected;
            }
            is_elsewhere = queue.shard_id.is_some();
        }
        if let Placement::Auto { keyed } = &mut self.placement {
            let first = entry.first_hash_key(records);
            let is_keyed = !self.known.contradicts(shard_id, first);
            *keyed = if is_keyed { keyed.saturating_add(1) } else { 0 };
        }
        match self.landing(entry, at, records) {
            Landing::Expected if is_elsewhere => Landing::Moved,
            landing => landing,
        }
    }

    /// Judges an entry's shard by the shards that are known now. A record that went alone is always in the right one: the
    /// service places it by its own hash key.
    pub(in crate::put) fn landing(
        &self,
        entry: &Entry,
        at: &StoredAt,
        records: &RecordSlab,
    ) -> Landing {
        match &self.placement {
            Placement::Never | Placement::Auto { .. } => Landing::Expected,
            Placement::Unlisted if entry.len() == 1 => Landing::Expected,
            _ if entry.len() > 1 && self.known.is_older(at) == Some(true) => Landing::UnknownShard,
            Placement::Unlisted | Placement::Awaited | Placement::ByShard(_) => {
                self.known.landing(&at.shard_id, &entry.hash_keys(records))
            }
        }
    }

    /// Whether this shard is known not to take this hash key.
    pub(in crate::put) fn contradicts(&self, shard_id: &ShardId, hash_key: HashKey) -> bool {
        self.known.contradicts(shard_id, hash_key)
    }

    /// Whether the answer to a request, by the first of these aggregates that tells it, is of another stream than the shards
    /// that are known.
    pub(in crate::put) fn are_of_another_stream<'a>(
        &self,
        mut aggregates: impl Iterator<Item = &'a StoredAt>,
    ) -> bool {
        aggregates.find_map(|at| self.known.is_older(at)) == Some(true)
    }

    /// Notes that a listing was of no help with such an answer.
    pub(in crate::put) fn explained_nothing(&mut self) {
        self.known.explained_nothing();
    }

    /// Returns the range of hash keys of a shard, if the shard is known.
    pub(in crate::put) fn range_of(&self, shard_id: &ShardId) -> Option<HashKeyRange> {
        self.known.range_of(shard_id)
    }
}
