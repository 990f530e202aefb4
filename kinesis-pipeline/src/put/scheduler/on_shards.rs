//! The scheduler's reaction to the places of stored records and to a new listing of shards.
//!
//! Only an aggregate can be in a wrong shard: the service places a record that goes alone by the record's own hash key.
//!
//! ```text
//!              ┌─ takes all of its records ─> receipts
//!   aggregate ─┼─ takes some of them ───────> receipts; the others are put again by the next shard map
//!     stored   ├─ was never listed ─────────> kept until a listing has the shard; if none has: all are put again
//!              └─ does not take its first ──> kept until two listings say the same: the service distributes by itself
//! ```

use std::time::Duration;

use tokio::time::Instant;

use super::scheduler::Scheduler;
use crate::{
    put::{
        error::AttemptError,
        options::PutAgain,
        pending::slab::RecordKey,
        request::entry::Entry,
        shard_map::{
            known::Landing,
            refresh::Listing,
            shard_map::{Placement, ShardMap},
        },
    },
    record::EncodedRecord,
    service::{ErrorClass, ServiceError, StoredAt, list_all::Listed},
    shard::{HashKey, Shard, ShardId},
};

/// So many listings have to contradict a landing before the service is taken for one that distributes the records by
/// itself: the first may be out of date.
const AUTO_LISTINGS: u32 = 2;

/// A stream that has not answered for so long may have been made again, with other shards of the same ids. The service
/// takes longer to delete a stream and to create one: what a call answers holds for so long after its begin.
const RESTED_MAX: Duration = Duration::from_secs(5);

/// Stored records whose end depends on the next listing of shards.
///
/// While there are any, a listing is under way.
#[derive(Debug, Default)]
pub(in crate::put::scheduler) struct Unsettled {
    /// Aggregates that are stored where no listing so far tells whether it is right.
    entries: Vec<(Entry, StoredAt)>,
    /// User records that are to be put again by the next shard map.
    strays: Vec<RecordKey>,
    /// A landing that contradicts the listings.
    doubt: Option<Doubt>,
    /// The last time at which the stream may have been another than the one that was listed, until a listing that holds
    /// then: an aggregate is not even right where it is expected.
    suspect_at: Option<Instant>,
}

/// A record that was stored in a shard that does not take its hash key, as the service itself tells.
#[derive(Debug)]
struct Doubt {
    shard_id: ShardId,
    hash_key: HashKey,
    /// The number of listings since then that say the same.
    listings: u32,
}

impl Unsettled {
    pub(in crate::put::scheduler) fn has_records(&self) -> bool {
        !self.entries.is_empty() || !self.strays.is_empty()
    }

    /// Whether no other listing is waited for.
    fn is_answered(&self) -> bool {
        self.entries.is_empty() && self.doubt.is_none()
    }

    fn doubt(&mut self, shard_id: &ShardId, hash_key: HashKey) {
        self.doubt.get_or_insert_with(|| Doubt {
            shard_id: shard_id.clone(),
            hash_key,
            listings: 0,
        });
    }
}

impl Scheduler {
    /// A Kinesis record is stored: where tells whether the shard map is right.
    pub(in crate::put::scheduler) fn on_stored(
        &mut self,
        mut entry: Entry,
        sent: EncodedRecord,
        at: StoredAt,
        now: Instant,
    ) {
        let mut landing = self.queues.stored(&entry, &at.shard_id, &self.records);
        if self.unsettled.suspect_at.is_some() && entry.len() > 1 && self.queues.is_placed() {
            // What is known of the shard may be of a stream that is gone.
            landing = Landing::UnknownShard;
        }
        if landing == Landing::Expected {
            return self.stored(entry, &at, now);
        }
        // What an earlier shard map has sent to a wrong shard says nothing about this one.
        if landing != Landing::WrongShard || self.queues.queue_of(entry.queue).is_some() {
            self.refresh.want(now);
        }
        if landing == Landing::Unkeyed {
            let hash_key = entry.first_hash_key(&self.records);
            self.unsettled.doubt(&at.shard_id, hash_key);
        }
        if landing == Landing::Moved || entry.len() == 1 {
            return self.stored(entry, &at, now);
        }
        entry.returned(sent, &mut self.records);
        entry.landed(&mut self.records);
        match landing {
            Landing::WrongShard => self.divide(entry, &at, now),
            // There is no listing to wait for.
            _ if self.queues.is_unlisted() => self.put_all_again(entry, &at),
            _ => return self.unsettled.entries.push((entry, at)),
        }
        self.release_strays();
    }

    fn stored(&mut self, entry: Entry, at: &StoredAt, now: Instant) {
        let counters = &self.shared.counters;
        entry.stored(at, now, &mut self.records, &mut self.freed, counters);
    }

    /// Ends the records of an aggregate that its shard takes, and puts the others again.
    fn divide(&mut self, entry: Entry, at: &StoredAt, now: Instant) {
        let range = self.queues.range_of(&at.shard_id);
        let is_inside = |key| range.is_some_and(|range| range.contains(key));
        if self.shared.options.put_again == PutAgain::Aggregate {
            return self.put_all_again(entry, at);
        }
        let mut outside = Vec::new();
        for (index, key) in (0..).zip(entry.into_users(&mut self.records)) {
            let user = &self.records[&key];
            if is_inside(user.completion.hash_key()) {
                let data_bytes = user.record.data.len();
                self.shared.counters.count_stored(1, data_bytes);
                let records = &mut self.records;
                records.stored(key, at, index, now, &mut self.freed);
            } else {
                outside.push(key);
            }
        }
        self.put_again(outside, at);
    }

    fn put_all_again(&mut self, entry: Entry, at: &StoredAt) {
        let users = entry.into_users(&mut self.records);
        self.put_again(users, at);
    }

    /// Puts records again that were stored where readers may drop them, if they were not tried enough.
    fn put_again(&mut self, users: Vec<RecordKey>, at: &StoredAt) {
        self.shared.counters.put_again.add(users.len());
        let attempts_max = self.shared.options.attempts_max;
        for key in users {
            let completion = &mut self.records[&key].completion;
            completion.attempt_landed();
            if completion.attempts < attempts_max {
                self.unsettled.strays.push(key);
                continue;
            }
            let shard_id = at.shard_id.clone();
            let failure = AttemptError::WrongShard { shard_id };
            self.records.take(key).completion.gave_up(failure);
        }
    }

    /// Sends records again that landed in a wrong shard, unless the shard map that sent them there is still in use.
    fn release_strays(&mut self) {
        if !(self.queues.is_placed() && self.refresh.is_under_way()) {
            let strays = std::mem::take(&mut self.unsettled.strays);
            self.queues.push_first(strays, &self.records);
        }
    }

    /// Returns the shards to list now, if any are to be listed.
    pub(in crate::put) fn begins_listing(&mut self, now: Instant) -> Option<Listed> {
        if self.queues.lacks_shards() {
            self.refresh.want(now);
        }
        let listed = if self.unsettled.entries.is_empty() {
            Listed::Open
        } else {
            Listed::All
        };
        self.refresh.begin(now).then_some(listed)
    }

    /// A request begins: if no answer holds any more, what is known may be of a stream that is gone.
    pub(in crate::put::scheduler) fn suspect_after_rest(&mut self, now: Instant) {
        if self.answered_from.is_some_and(|at| now >= at + RESTED_MAX) {
            self.unsettled.suspect_at = Some(now);
        }
    }

    /// The stream has answered a call that began at that time.
    pub(in crate::put::scheduler) fn note_answer(&mut self, begun_at: Option<Instant>) {
        self.answered_from = self.answered_from.max(begun_at);
    }

    /// The stream's shards were listed, or could not be.
    pub(in crate::put) fn on_shards(
        &mut self,
        listed: Result<Vec<Shard>, Box<ServiceError>>,
        now: Instant,
    ) {
        match listed {
            Ok(shards) => {
                self.note_answer(self.refresh.began_at());
                self.refresh.read(shards);
            }
            Err(error) => self.listing_failed(Some(&error), now),
        }
        self.change_queues(now);
        self.give_budget_back();
    }

    /// The listing of the stream's shards panicked.
    pub(in crate::put) fn on_no_shards(&mut self, now: Instant) {
        self.listing_failed(None, now);
        self.change_queues(now);
        self.give_budget_back();
    }

    fn listing_failed(&mut self, error: Option<&ServiceError>, now: Instant) {
        let class = error.map_or(ErrorClass::Other, |error| error.class);
        if self.refresh.failed(class, now) || self.queues.is_auto() {
            return;
        }
        let error = error.map(tracing::field::display);
        tracing::warn!(
            stream = %self.shared.target.stream,
            error,
            "shards could not be listed: until they can be, records are put one by one, not by shard"
        );
    }

    /// Takes a shard map into use that was read, or does without. To keep an order, not before all that is in flight
    /// has arrived.
    pub(in crate::put::scheduler) fn change_queues(&mut self, now: Instant) {
        let is_quiet = self.in_flight == 0 && self.halves.is_empty();
        if self.is_ordered() && !is_quiet {
            return;
        }
        while let Some(listing) = self.refresh.take() {
            match listing {
                Listing::Shards(shards) => self.place_by(&shards, now),
                Listing::Failed => self.place_without(now),
            }
        }
    }

    fn place_by(&mut self, shards: &[Shard], now: Instant) {
        if !self.queues.note(shards) {
            return self.refresh.look_later(now);
        }
        if self.is_auto() {
            return self.leave_to_the_service(now);
        }
        let map = ShardMap::of(shards).filter(|_| !self.is_outdated());
        let is_whole = map.is_some();
        if let Some(map) = map {
            self.unsettled.suspect_at = None;
            self.queues.place_by(map, now, &mut self.records);
        }
        self.settle(now);
        if is_whole && self.unsettled.is_answered() {
            self.refresh.settled(now);
        } else {
            self.refresh.failed(ErrorClass::Transient, now);
        }
        self.release_strays();
    }

    /// Whether the listing may tell of a stream that was gone when the last suspect request began.
    fn is_outdated(&self) -> bool {
        let suspect_at = self.unsettled.suspect_at;
        let began_at = self.refresh.began_at();
        suspect_at
            .zip(began_at)
            .is_some_and(|(at, began)| at >= began + RESTED_MAX)
    }

    /// Whether a landing was contradicted by enough listings. One that no longer is was explained by them.
    fn is_auto(&mut self) -> bool {
        let Some(doubt) = &mut self.unsettled.doubt else {
            return false;
        };
        doubt.listings += 1;
        if !self.queues.contradicts(&doubt.shard_id, doubt.hash_key) {
            self.unsettled.doubt = None;
            return false;
        }
        doubt.listings >= AUTO_LISTINGS
    }

    /// The service distributes the records by itself: they are right wherever they are.
    fn leave_to_the_service(&mut self, now: Instant) {
        tracing::info!(stream = %self.shared.target.stream, "the service distributes the records of this stream");
        let auto = Placement::Auto { keyed: 0 };
        self.queues.place_nothing(auto, &mut self.records);
        self.unsettled.suspect_at = None;
        self.settle(now);
        self.unsettled.doubt = None;
        self.refresh.look_later(now);
        self.release_strays();
    }

    /// No listing was of use. Records that go one by one are right wherever they land: all that is unsettled is put
    /// again as such.
    fn place_without(&mut self, now: Instant) {
        if self.queues.is_auto() {
            return self.refresh.look_later(now);
        }
        self.queues
            .place_nothing(Placement::Unlisted, &mut self.records);
        self.settle(now);
        for (entry, at) in std::mem::take(&mut self.unsettled.entries) {
            self.put_all_again(entry, &at);
        }
        self.unsettled.doubt = None;
        self.release_strays();
    }

    /// Decides about aggregates in shards that were not listed before, as far as they are now. While the stream may be
    /// another one, nothing tells.
    fn settle(&mut self, now: Instant) {
        if self.unsettled.suspect_at.is_some() {
            return;
        }
        for (entry, at) in std::mem::take(&mut self.unsettled.entries) {
            match self.queues.landing(&entry, &at.shard_id, &self.records) {
                Landing::Expected | Landing::Moved => self.stored(entry, &at, now),
                Landing::WrongShard => self.divide(entry, &at, now),
                Landing::UnknownShard => self.unsettled.entries.push((entry, at)),
                Landing::Unkeyed => {
                    let hash_key = entry.first_hash_key(&self.records);
                    self.unsettled.doubt(&at.shard_id, hash_key);
                    self.unsettled.entries.push((entry, at));
                }
            }
        }
    }

    /// Returns the time at which the oldest of the unsettled records was accepted.
    pub(in crate::put::scheduler) fn unsettled_since(&self) -> Option<Instant> {
        let entries = self.unsettled.entries.iter();
        let youngest = entries.filter_map(|(entry, _)| entry.youngest_at(&self.records));
        let strays = self.unsettled.strays.iter();
        let strays = strays.map(|stray| self.records[stray].completion.entered_at);
        youngest.chain(strays).min()
    }

    /// Takes the unsettled records that were accepted at `time` or before: an aggregate with its youngest.
    pub(in crate::put::scheduler) fn take_unsettled_until(
        &mut self,
        time: Instant,
    ) -> Vec<RecordKey> {
        let records = &mut self.records;
        let is_old = |key: &mut RecordKey| records[&*key].completion.entered_at <= time;
        let mut older: Vec<_> = self.unsettled.strays.extract_if(.., is_old).collect();
        let is_old = |(entry, _): &mut (Entry, StoredAt)| {
            let youngest = entry.youngest_at(records);
            youngest.is_none_or(|at| at <= time)
        };
        let entries: Vec<_> = self.unsettled.entries.extract_if(.., is_old).collect();
        for (entry, _) in entries {
            for key in entry.into_users(records) {
                records[&key].completion.attempt_landed();
                older.push(key);
            }
        }
        older
    }

    /// Takes the records that wait for a shard map to be sent again.
    pub(in crate::put::scheduler) fn take_strays(&mut self) -> Vec<RecordKey> {
        std::mem::take(&mut self.unsettled.strays)
    }

    /// The stream is gone: one that is made again may have other shards of the same ids.
    pub(in crate::put::scheduler) fn suspect_shards(&mut self, now: Instant) {
        self.unsettled.suspect_at = Some(now);
        if self.queues.is_placed() {
            self.refresh.want(now);
        }
    }

    /// Forgets what is unsettled: its records are stored, but maybe not where they belong.
    pub(in crate::put::scheduler) fn abandon_unsettled(&mut self) {
        let unsettled = std::mem::take(&mut self.unsettled);
        for (entry, _) in unsettled.entries {
            drop(entry.into_users(&mut self.records));
        }
        drop(unsettled.strays);
    }
}
