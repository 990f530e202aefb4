//! The scheduler's reaction to the shard that stored a record, and to a new listing of shards.
//!
//! Only an aggregate can be in a wrong shard: the service places a record that goes alone by its own hash key.
//!
//! ```text
//!              ┌─ takes all of its records ─> receipts
//!   aggregate ─┼─ takes some of them ───────> receipts; the others are put again by the next shard map
//!     stored   ├─ was never listed ─────────> kept until a listing has the shard; if none has: all are put again
//!              └─ does not take its first ──> kept until two listings say the same: the service distributes by itself
//! ```

use tokio::time::Instant;

use super::scheduler::Scheduler;
use crate::{
    put::{
        error::AttemptError,
        options::PutAgain,
        pending::{pending::take_out, slab::RecordKey},
        request::entry::Entry,
        shard_map::{
            known::Landing,
            refresh::Listing,
            shard_map::{Placement, ShardMap},
        },
    },
    record::EncodedRecord,
    service::{ErrorClass, ServiceError, StoredAt, list_all::Listed},
    shard::{HashKey, Shard},
};

/// The number of listings that have to contradict a record's shard before the service is taken for one that distributes
/// records by itself: the first listing may be out of date.
const AUTO_LISTINGS: u32 = 2;

/// Stored records whose completion depends on the next listing of shards.
///
/// Invariant: while there are any, a listing is under way.
#[derive(Debug, Default)]
pub(in crate::put::scheduler) struct Unsettled {
    /// Aggregates in shards whose ranges no listing so far has told.
    entries: Vec<(Entry, StoredAt)>,
    /// User records in wrong shards, which are put again with the next shard map.
    strays: Vec<RecordKey>,
    /// A record in a shard that, by the listings, does not take it.
    doubt: Option<Doubt>,
    /// The last time at which the stream may have been another one than was listed; `None` once a later listing is in
    /// use. Meanwhile an aggregate may be wrong even in the expected shard.
    pub(in crate::put::scheduler) suspect_at: Option<Instant>,
}

/// A record in a shard that does not take its hash key, by the service's own listing.
#[derive(Debug)]
struct Doubt {
    at: StoredAt,
    hash_key: HashKey,
    /// The number of listings since then that contradict it too.
    listings: u32,
}

impl Unsettled {
    pub(in crate::put::scheduler) fn has_records(&self) -> bool {
        !self.entries.is_empty() || !self.strays.is_empty()
    }

    /// Whether no further listing is needed.
    fn is_answered(&self) -> bool {
        self.entries.is_empty() && self.doubt.is_none()
    }

    fn doubt(&mut self, at: &StoredAt, hash_key: HashKey) {
        self.doubt.get_or_insert_with(|| Doubt {
            at: at.clone(),
            hash_key,
            listings: 0,
        });
    }
}

impl Scheduler {
    /// Takes a stored Kinesis record: completes its user records, or keeps those in a doubtful shard. A wrong shard asks
    /// for a listing.
    pub(in crate::put::scheduler) fn on_stored(
        &mut self,
        entry: &mut Entry,
        sent: &mut EncodedRecord,
        at: &StoredAt,
        now: Instant,
    ) {
        let mut landing = self.queues.stored(entry, at, &self.records);
        if self.unsettled.suspect_at.is_some() && entry.len() > 1 && self.queues.is_placed() {
            // The known range may be that of a shard of a deleted stream.
            landing = Landing::UnknownShard;
        }
        if landing == Landing::Expected {
            return self.stored(entry, at, now);
        }
        // A record that was sent by an earlier shard map says nothing about the current one.
        if landing != Landing::WrongShard || self.queues.queue_of(entry.queue).is_some() {
            self.refresh.want(now);
        }
        if landing == Landing::Unkeyed {
            let hash_key = entry.first_hash_key(&self.records);
            self.unsettled.doubt(at, hash_key);
        }
        if landing == Landing::Moved || entry.len() == 1 {
            return self.stored(entry, at, now);
        }
        let mut entry = entry.take();
        entry.returned(take_out(sent), &mut self.records);
        entry.landed(&mut self.records);
        match landing {
            Landing::WrongShard => self.divide(entry, at, now),
            // The shards could not be listed, so there is no listing to wait for.
            _ if self.queues.is_unlisted() => self.put_all_again(entry, at),
            _ => return self.unsettled.entries.push((entry, at.clone())),
        }
        self.release_strays();
    }

    fn stored(&mut self, entry: &mut Entry, at: &StoredAt, now: Instant) {
        let counters = &self.shared.counters;
        entry.stored(at, now, &mut self.records, &mut self.freed, counters);
    }

    /// Completes the records of an aggregate that its shard takes, and puts the others again.
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

    /// Puts records again that are in a wrong shard, where readers may drop them. Fails those without attempts left.
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

    /// Moves strays back to the queues, unless the shard map that sent them to a wrong shard is still in use.
    fn release_strays(&mut self) {
        if !(self.queues.is_placed() && self.refresh.is_under_way()) {
            let strays = std::mem::take(&mut self.unsettled.strays);
            self.queues.push_first(strays, &self.records);
        }
    }

    /// Returns the kind of listing to make now, if one is due.
    pub(in crate::put) fn begins_listing(&mut self, now: Instant) -> Option<Listed> {
        if self.queues.lacks_shards() {
            self.refresh.want(now);
        }
        let listed = if self.unsettled.is_answered() {
            Listed::Open
        } else {
            Listed::All
        };
        self.refresh.begin(now).then_some(listed)
    }

    /// Takes the end of a listing.
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

    /// Takes the end of a listing whose task panicked.
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

    /// Takes a new listing into use, or goes on without one. With an order, not before all requests in flight have ended:
    /// two shards could otherwise get records of one key at the same time.
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
        if self.is_auto(shards) {
            return self.leave_to_the_service(now);
        }
        let map = ShardMap::of(shards).filter(|_| !self.is_outdated());
        let is_whole = map.is_some();
        if let Some(map) = map {
            self.unsettled.suspect_at = None;
            self.queues.place_by(map, now, &mut self.records);
        }
        self.settle(now);
        let doubted = self.unsettled.doubt.iter().map(|doubt| &doubt.at);
        let mut unsettled = self
            .unsettled
            .entries
            .iter()
            .map(|(_, at)| at)
            .chain(doubted);
        if is_whole && unsettled.any(|at| self.queues.are_of_another_stream([at].into_iter())) {
            self.queues.explained_nothing();
        }
        if is_whole && self.unsettled.is_answered() {
            self.refresh.settled(now);
        } else {
            self.refresh.failed(ErrorClass::Transient, now);
        }
        self.release_strays();
    }

    /// Whether enough listings contradict the shard of a record. A doubt that a listing explains is dropped. A listing that
    /// lacks the shard, or has that of an earlier stream, tells nothing.
    fn is_auto(&mut self, listed: &[Shard]) -> bool {
        let Some(doubt) = &mut self.unsettled.doubt else {
            return false;
        };
        let shard_id = &doubt.at.shard_id;
        if !self.queues.contradicts(shard_id, doubt.hash_key) {
            self.unsettled.doubt = None;
            return false;
        }
        let is_listed = listed.iter().any(|shard| shard.id == *shard_id);
        let tells = is_listed && !self.queues.are_of_another_stream([&doubt.at].into_iter());
        doubt.listings += u32::from(tells);
        doubt.listings >= AUTO_LISTINGS
    }

    /// Leaves the placement to a service that distributes records by itself: any shard is right.
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

    /// Goes on without a shard map, since no listing was of use. Records that go one by one are always in the right shard,
    /// so all unsettled ones are put again that way.
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

    /// Decides about unsettled aggregates whose shards are listed now. Not while the stream may be another one.
    fn settle(&mut self, now: Instant) {
        if self.unsettled.suspect_at.is_some() {
            return;
        }
        for (mut entry, at) in std::mem::take(&mut self.unsettled.entries) {
            match self.queues.landing(&entry, &at, &self.records) {
                Landing::Expected | Landing::Moved => self.stored(&mut entry, &at, now),
                Landing::WrongShard => self.divide(entry, &at, now),
                Landing::UnknownShard => self.unsettled.entries.push((entry, at)),
                Landing::Unkeyed => {
                    let hash_key = entry.first_hash_key(&self.records);
                    self.unsettled.doubt(&at, hash_key);
                    self.unsettled.entries.push((entry, at));
                }
            }
        }
    }

    /// Returns the least time of acceptance among the unsettled records, where that of an aggregate is its youngest
    /// record's.
    pub(in crate::put::scheduler) fn unsettled_since(&self) -> Option<Instant> {
        let entries = self.unsettled.entries.iter();
        let youngest = entries.filter_map(|(entry, _)| entry.youngest_at(&self.records));
        let strays = self.unsettled.strays.iter();
        let strays = strays.map(|stray| self.records[stray].completion.entered_at);
        youngest.chain(strays).min()
    }

    /// Takes the unsettled records that were accepted at `time` or before. An aggregate is taken as a whole, once its
    /// youngest record is that old.
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

    /// Takes the strays, which wait for a shard map.
    pub(in crate::put::scheduler) fn take_strays(&mut self) -> Vec<RecordKey> {
        std::mem::take(&mut self.unsettled.strays)
    }

    /// Forgets the unsettled records. They are stored, but maybe in wrong shards.
    pub(in crate::put::scheduler) fn abandon_unsettled(&mut self) {
        let unsettled = std::mem::take(&mut self.unsettled);
        for (entry, _) in unsettled.entries {
            drop(entry.into_users(&mut self.records));
        }
        drop(unsettled.strays);
    }
}
