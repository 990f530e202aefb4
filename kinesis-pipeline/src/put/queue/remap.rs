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

/// So many Kinesis records in a row that land where their keys belong show that keys place the records after all: with
/// two shards, one service in 65,536 that distributes by itself would do the same.
const KEYED_MAX: u32 = 16;

impl Lanes {
    /// Adds the shards of a listing to those that are known. Returns whether records should be placed by them: it keeps
    /// a placement that the service itself makes, unless the shards have changed or records land by their keys.
    pub(crate) fn note(&mut self, shards: &[Shard]) -> bool {
        let has_new = self.known.note(shards);
        match self.placement {
            Placement::Auto { keyed } => has_new || keyed >= KEYED_MAX,
            _ => true,
        }
    }

    /// Places records by these shards from now on. Shards that were known keep their pace; where no limits are enforced
    /// there is none.
    pub(crate) fn place_by(&mut self, map: ShardMap, now: Instant, records: &mut Records) {
        let is_paced =
            !self.settings.options.ignores_limits && self.settings.target.service.enforces_limits();
        self.map += 1;
        let lanes = map.ids().enumerate().map(|(index, shard_id)| {
            let known = self
                .all
                .iter()
                .find(|lane| lane.shard_id.as_ref() == Some(shard_id));
            let pace = known.and_then(|lane| lane.pace.clone());
            let pace = is_paced.then(|| pace.unwrap_or_else(|| Pace::new(now)));
            let id = LaneId::new(self.map, index);
            Lane::new(
                id,
                Some(shard_id.clone()),
                pace,
                self.settings.options.aggregate,
            )
        });
        let lanes = lanes.collect();
        self.replace(lanes, Placement::ByShard(map), records);
    }

    /// Leaves it to the service to find the shard. Records share Kinesis records only if it does not matter
    /// where they land.
    pub(crate) fn place_nothing(&mut self, placement: Placement, records: &mut Records) {
        let is_auto = matches!(placement, Placement::Auto { .. });
        let aggregate = is_auto && self.settings.options.aggregate;
        self.map += 1;
        let id = LaneId::new(self.map, 0);
        let lane = Lane::new(id, None, None, aggregate);
        self.replace(vec![lane], placement, records);
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
