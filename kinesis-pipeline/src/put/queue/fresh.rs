//! Records that are sent as they are, without an order: they wait together, and in their queues only if their shards have
//! no tokens for them.

use tokio::time::Instant;

use super::{
    load::Load,
    queues::{ShardQueues, to_fill},
};
use crate::{
    prefetch::prefetch,
    put::{
        options::Order,
        pending::slab::RecordSlab,
        request::request::{REQUEST_RECORDS_MAX, Request},
        shard_map::shard_map::Placement,
    },
};

impl ShardQueues {
    /// Whether records go to `fresh`, and to their queue only if they have to wait for their shard.
    pub(super) fn takes_fresh(&self) -> bool {
        let options = &self.shared.options;
        self.is_placed() && !options.aggregate && options.order == Order::None
    }

    /// Returns the number of records in `fresh`.
    pub(in crate::put) fn fresh_records(&self) -> usize {
        self.fresh.len()
    }

    /// Adds records of `fresh` to a request, if they are ripe. Records whose shard has no tokens go to its queue.
    pub(in crate::put) fn drain_fresh(
        &mut self,
        request: &mut Request,
        now: Instant,
        flush_now: bool,
        records: &mut RecordSlab,
    ) {
        let options = &self.shared.options;
        if self.fresh_ripe_at(now, flush_now).is_none_or(|at| at > now) {
            return;
        }
        let Placement::ByShard(map) = &self.placement else {
            return;
        };
        let next = self.fresh.iter().take(REQUEST_RECORDS_MAX);
        let next = next.map(|(_, completion)| map.index_of(completion.hash_key()));
        let next: Vec<_> = next.collect();
        prefetch(next.iter().map(|&index| self.all[index].prefetch()));
        let mut next = next.into_iter();
        let mut admitted = Vec::with_capacity(next.len());
        loop {
            // A run of records whose shards have tokens for them.
            let mut waits_for = None;
            for (record, completion) in self.fresh.iter() {
                let bytes = record.size_bytes();
                if !request.fits(bytes) {
                    break;
                }
                let index = next.next();
                let index = index.unwrap_or_else(|| map.index_of(completion.hash_key()));
                let queue = &mut self.all[index];
                if !queue.takes_fresh(bytes, now) {
                    waits_for = Some(index);
                    break;
                }
                self.load -= Load::record(bytes);
                request.claim(bytes);
                admitted.push(queue.id);
            }
            self.fresh.send(&admitted, request);
            admitted.clear();
            // The record behind the run waits for its shard.
            let Some(index) = waits_for else {
                return;
            };
            if let Some(user) = self.fresh.pop() {
                to_fill(&mut self.all, &mut self.filled, index).push(user, options, records);
            }
        }
    }

    /// Returns the time at which the records of `fresh` are ripe.
    pub(super) fn fresh_ripe_at(&self, now: Instant, flush_now: bool) -> Option<Instant> {
        let lingered_at = self.fresh.entered_at(0)? + self.shared.options.linger_max;
        Some(if flush_now { now } else { lingered_at })
    }
}
