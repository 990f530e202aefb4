//! What the places of stored records and the listing of shards change.

use tokio::time::Instant;

use super::{retry::may_pass, scheduler::State};
use crate::{
    put::{request::entry::Entry, shard_map::shard_map::Landing},
    record::EncodedRecord,
    service::{ServiceError, StoredAt},
    shard::Shard,
};

impl State {
    /// A Kinesis record is stored: where tells whether the shard map is right.
    pub(in crate::put::scheduler) fn on_stored(
        &mut self,
        mut entry: Entry,
        sent: EncodedRecord,
        at: StoredAt,
        now: Instant,
    ) {
        let landing = self.lanes.stored(&entry, &at.shard_id, &self.records);
        if landing == Landing::Right {
            return self.stored(entry, &at, now);
        }
        // It may have to be sent again.
        entry.returned(sent, &mut self.records);
        match landing {
            Landing::Right => {}
            Landing::Unknown if entry.len() == 1 => {
                self.refresh.want(now);
                self.stored(entry, &at, now);
            }
            Landing::Unknown => {
                self.refresh.want(now);
                self.undecided.push((entry, at));
            }
            Landing::Astride => {
                self.refresh.want(now);
                self.put_again(entry, &at, now);
            }
            Landing::Anywhere => {
                tracing::info!(stream = %self.settings.target.stream, "the service distributes the records of this stream");
                let aggregate = self.settings.options.aggregate;
                self.lanes.place_nothing(aggregate, true, &mut self.records);
                self.stored(entry, &at, now);
            }
        }
    }

    fn stored(&mut self, entry: Entry, at: &StoredAt, now: Instant) {
        let counters = &self.settings.counters;
        entry.stored(at, now, &mut self.records, &mut self.freed, counters);
    }

    /// Sends the records of an aggregate again that consumers would drop where it is. If it keeps landing
    /// there, it is left.
    fn put_again(&mut self, entry: Entry, at: &StoredAt, now: Instant) {
        self.settings.counters.astride.add(entry.len());
        let attempts_max = self.settings.options.attempts_max;
        if entry.attempts_max(&self.records) >= attempts_max {
            return self.stored(entry, at, now);
        }
        let users = entry.into_users(&mut self.records);
        for user in &users {
            self.records[user].fate.attempt_landed_astride();
        }
        self.lanes.push_first(users, &self.records);
    }

    /// The stream's shards were listed, or could not be.
    pub(crate) fn on_shards(
        &mut self,
        listed: Result<Vec<Shard>, Box<ServiceError>>,
        now: Instant,
    ) {
        match listed {
            Ok(shards) => self.refresh.read(shards, now),
            Err(error) => self.on_no_shards(Some(&error), now),
        }
        self.change_lanes(now);
        self.give_room_back();
    }

    /// The stream's shards could not be listed; `None`: the listing panicked.
    pub(crate) fn on_no_shards(&mut self, error: Option<&ServiceError>, now: Instant) {
        let passes = error.is_some_and(|error| may_pass(error.class));
        if self.refresh.failed(passes, now) {
            return;
        }
        let error = error.map(tracing::field::display);
        tracing::warn!(
            stream = %self.settings.target.stream,
            error,
            "shards could not be listed: for a minute, records are put one by one, not by shard"
        );
        self.lanes.place_nothing(false, false, &mut self.records);
        self.decide(now);
        self.give_room_back();
    }

    /// Takes a shard map into use that was read.
    pub(in crate::put::scheduler) fn change_lanes(&mut self, now: Instant) {
        let quiet = self.in_flight == 0 && self.halves.is_empty();
        if self.is_ordered() && !quiet {
            return;
        }
        if let Some(shards) = self.refresh.take() {
            self.lanes.place_by(&shards, now, &mut self.records);
            self.decide(now);
        }
    }

    /// Decides about aggregates in shards that the map did not have.
    pub(in crate::put::scheduler) fn decide(&mut self, now: Instant) {
        for (entry, at) in std::mem::take(&mut self.undecided).into_iter().rev() {
            match self.lanes.landing(&entry, &at.shard_id, &self.records) {
                Landing::Astride => self.put_again(entry, &at, now),
                // A shard that is not even listed now was replaced meanwhile: there is no telling.
                Landing::Right | Landing::Unknown | Landing::Anywhere => {
                    self.stored(entry, &at, now);
                }
            }
        }
    }
}
