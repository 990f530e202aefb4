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

/// The number of Kinesis records in a row in the shards of their keys after which keys are taken to place records. With
/// two shards, a service that distributes records by itself does the same once in 65,536 times.
const KEYED_MAX: u32 = 16;

impl ShardQueues {
    /// Adds the shards of a listing to the known ones. Returns whether records should be placed by them. A service that
    /// distributes records by itself is left to do so, unless the shards have changed or records land by their keys.
    pub(in crate::put) fn note(&mut self, shards: &[Shard]) -> bool {
        let has_new = self.known.note(shards);
        match self.placement {
            Placement::Auto { keyed } => has_new || keyed >= KEYED_MAX,
            _ => true,
        }
    }

    /// Places records by this shard map from now on. Shards that were in the last map keep their pacers. A service
    /// without limits is not paced.
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

    /// Places records by no map: the service finds the shard. Records share aggregates only if the service distributes
    /// them by itself, since then any shard is right.
    pub(in crate::put) fn place_nothing(&mut self, placement: Placement, records: &mut RecordSlab) {
        let is_auto = matches!(placement, Placement::Auto { .. });
        let aggregate = is_auto && self.shared.options.aggregate;
        self.map += 1;
        let id = QueueId::new(self.map, 0);
        let queue = ShardQueue::new(id, None, None, aggregate);
        self.replace(vec![queue], placement, records);
    }

    /// Replaces all queues and moves the waiting records to the new ones. The order of the records of one key stays: they
    /// are all in one queue, before and after.
    fn replace(&mut self, queues: Vec<ShardQueue>, placement: Placement, records: &mut RecordSlab) {
        let users = self.take_waiting(records);
        self.all = queues;
        self.placement = placement;
        self.filled.clear();
        for user in users {
            let hash_key = records[&user].completion.hash_key();
            match self.placement.index_of(hash_key) {
                // A retried record goes behind the other retried ones, and so before the aggregates of new records.
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
