//! What another shard map changes.

use tokio::time::Instant;

use super::{
    pacer::Pace,
    queues::{Lanes, to_fill},
    shard_queue::Lane,
};
use crate::{
    put::{
        pending::slab::Records,
        request::entry::LaneId,
        shard_map::shard_map::{Placement, ShardMap},
    },
    shard::Shard,
};

impl Lanes {
    /// Places records by these shards from now on. Shards that were known keep their pace.
    pub(crate) fn place_by(&mut self, shards: &[Shard], now: Instant, records: &mut Records) {
        let Some(map) = ShardMap::of(shards) else {
            return self.place_nothing(false, false, records);
        };
        self.map += 1;
        let lanes = map.ids().enumerate().map(|(index, shard_id)| {
            let known = self
                .all
                .iter()
                .find(|lane| lane.shard_id.as_ref() == Some(shard_id));
            let pace = known.and_then(|lane| lane.pace.clone());
            let pace = pace.unwrap_or_else(|| Pace::new(now));
            let id = LaneId::new(self.map, index);
            Lane::new(
                id,
                Some(shard_id.clone()),
                Some(pace),
                self.settings.options.aggregate,
            )
        });
        let lanes = lanes.collect();
        self.replace(lanes, Placement::ByShard(map), records);
    }

    /// Leaves it to the service to find the shard. Records share Kinesis records only if it does not matter
    /// where they land.
    pub(crate) fn place_nothing(&mut self, aggregate: bool, for_good: bool, records: &mut Records) {
        self.map += 1;
        let id = LaneId::new(self.map, 0);
        self.replace(
            vec![Lane::new(id, None, None, aggregate)],
            Placement::Off { for_good },
            records,
        );
    }

    /// The order of the records of one key stays: they are all in one lane, before and after.
    fn replace(&mut self, lanes: Vec<Lane>, placement: Placement, records: &mut Records) {
        let users = self.take_waiting(records);
        self.all = lanes;
        self.placement = placement;
        self.filled.clear();
        for user in users {
            let hash_key = records[&user].fate.hash_key();
            match self.placement.index_of(hash_key) {
                // It stays before those that were not sent yet.
                Some(index) if records[&user].fate.attempts > 0 => {
                    self.records += 1;
                    self.bytes += user.bytes();
                    to_fill(&mut self.all, &mut self.filled, index).push_sent(user);
                }
                _ => {
                    let user = records.take(user);
                    self.push(user, records);
                }
            }
        }
    }
}
