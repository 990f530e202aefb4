//! The move of waiting records to the queues of a new shard map.

use tokio::time::Instant;

use super::{pacer::ShardPacer, queues::ShardQueues, shard_queue::ShardQueue};
use crate::{
    put::{
        pending::slab::RecordSlab,
        request::entry::QueueId,
        shard_map::shard_map::{Placement, ShardMap},
    },
    shard::Shard,
};

/// So many Kinesis records in a row that land where their keys belong show that keys place the records after all: with
/// two shards, one service in 65,536 that distributes by itself would do the same.
const KEYED_MAX: u32 = 16;

impl ShardQueues {
    /// Adds the shards of a listing to those that are known. Returns whether records should be placed by them: it keeps
    /// a placement that the service itself makes, unless the shards have changed or records land by their keys.
    pub(in crate::put) fn note(&mut self, shards: &[Shard]) -> bool {
        let has_new = self.known.note(shards);
        match self.placement {
            Placement::Auto { keyed } => has_new || keyed >= KEYED_MAX,
            _ => true,
        }
    }

    /// Places records by these shards from now on. Shards that were known keep their pace; where no limits are enforced
    /// there is none.
    pub(in crate::put) fn place_by(
        &mut self,
        map: ShardMap,
        now: Instant,
        records: &mut RecordSlab,
    ) {
        let is_paced =
            !self.shared.options.ignores_limits && self.shared.target.service.enforces_limits();
        self.map += 1;
        let queues = map.ids().enumerate().map(|(index, shard_id)| {
            let known = self
                .all
                .iter()
                .find(|queue| queue.shard_id.as_ref() == Some(shard_id));
            let pace = known.and_then(|queue| queue.pace.clone());
            let pace = is_paced.then(|| pace.unwrap_or_else(|| ShardPacer::new(now)));
            let id = QueueId::new(self.map, index);
            ShardQueue::new(
                id,
                Some(shard_id.clone()),
                pace,
                self.shared.options.aggregate,
            )
        });
        let queues = queues.collect();
        self.replace(queues, Placement::ByShard(map), records);
    }

    /// Leaves it to the service to find the shard. Records share Kinesis records only if it does not matter
    /// where they land.
    pub(in crate::put) fn place_nothing(&mut self, placement: Placement, records: &mut RecordSlab) {
        let is_auto = matches!(placement, Placement::Auto { .. });
        let aggregate = is_auto && self.shared.options.aggregate;
        self.map += 1;
        let id = QueueId::new(self.map, 0);
        let queue = ShardQueue::new(id, None, None, aggregate);
        self.replace(vec![queue], placement, records);
    }

    /// The order of the records of one key stays: they are all in one queue, before and after.
    fn replace(&mut self, queues: Vec<ShardQueue>, placement: Placement, records: &mut RecordSlab) {
        let users = self.take_waiting(records);
        self.all = queues;
        self.placement = placement;
        self.filled.clear();
        for user in users {
            let hash_key = records[&user].completion.hash_key();
            match self.placement.index_of(hash_key) {
                // It stays before those that were not sent yet.
                Some(index) if records[&user].completion.attempts > 0 => {
                    self.push_sent(index, user);
                }
                _ => {
                    let user = records.take(user);
                    self.push(user, records);
                }
            }
        }
    }
}
