//! Lost shards: those that the service answers not to know.
//!
//! `ResourceNotFoundException` for a shard has four causes: the shard is new and not known everywhere yet, the shard has
//! expired, the stream is gone, or, for a subscription, the consumer is gone. The call is retried like after any other
//! passing fault, and listings find out the cause meanwhile.

use std::sync::Arc;

use super::driver::Driver;
use crate::{
    get::{
        checkpoint::{Checkpoint, CheckpointPlace},
        dispatch::channel::Delivery,
        error::GetError,
        plan::{
            mismatch::{Mismatch, contradiction},
            start::OnTrimmed,
            trimmed::{start_after_gap, warn_of_gap},
        },
        shard_reader::shard_reader::{End, ShardState},
    },
    service::ServiceError,
    shard::{Position, Shard, ShardId, coverage},
};

/// The number of listings without a lost shard after which it counts as expired: a single one may be incomplete, or
/// older than the shard.
const ABSENCES_MAX: u32 = 3;
/// The number of incomplete listings in a row that are ignored. After that new shards are learned from them, since the
/// service has no better ones.
const INCOMPLETE_MAX: u32 = 8;

/// A shard that the service does not know.
#[derive(Debug, Default)]
pub(in crate::get) struct Absence {
    /// The number of whole listings, with younger shards, that lacked it.
    listings: u32,
    /// The position to continue at, if the service knows the shard but refuses that. No call is made until a listing shows
    /// whether the shard is another one of the same id.
    refused: Option<(Position, ServiceError)>,
}

/// Decisions of the driver from a listing.
impl Driver {
    /// Returns the consumer to look for with the next listing, if a shard that it subscribes to is lost.
    pub(super) fn lost_consumer(&self) -> Option<Arc<str>> {
        let is_by_fan_out = |id| self.shards.get(id).is_some_and(ShardState::is_by_fan_out);
        let is_wanted = self.lost.keys().any(is_by_fan_out);
        self.options.fan_out.clone().filter(|_| is_wanted)
    }

    pub(super) fn on_shards(
        &mut self,
        result: Result<Vec<Shard>, ServiceError>,
        is_consumer_gone: bool,
    ) -> Result<(), GetError> {
        let now = self.target.clock.instant();
        let shards = match result {
            Ok(shards) => shards,
            Err(error) => return self.on_unlisted(error),
        };
        self.listing.on_listed(now);
        if is_consumer_gone {
            self.on_consumer_gone()?;
        }
        let is_whole = coverage::missing(&shards, None).is_none();
        if !self.listing.is_believed(is_whole, INCOMPLETE_MAX) {
            return Ok(());
        }
        self.check_first_numbers(&shards)?;
        self.note_first_numbers(&shards);
        for shard in &shards {
            let parents: Vec<_> = shard.parents().cloned().collect();
            self.lineage.discover(&shard.id, &parents);
            self.lineage.set_range(&shard.id, shard.hash_key_range);
            self.options.ranges.learn(&shard.id, shard.hash_key_range);
        }
        self.judge_refused(&shards)?;
        match shards.last() {
            Some(newest) if is_whole => self.on_whole_listing(&shards, &newest.id),
            _ => Ok(()),
        }
    }

    /// Takes the refusal of a position: the shards are listed before it is judged.
    pub(super) fn on_refused(&mut self, position: Position, error: ServiceError) {
        let absence = self.lost.entry(position.shard_id.clone()).or_default();
        absence.refused = Some((position, error));
    }

    /// Continues a shard whose position is refused by the policy, unless it is another shard of the same id.
    fn judge_refused(&mut self, shards: &[Shard]) -> Result<(), GetError> {
        let refused: Vec<_> = self
            .lost
            .extract_if(|_, absence| absence.refused.is_some())
            .filter_map(|(_, absence)| absence.refused)
            .collect();
        for (position, error) in refused {
            let shard_id = position.shard_id.clone();
            if let Ok(index) = shards.binary_search_by(|shard| shard.id.cmp(&shard_id)) {
                self.check_same(&shards[index])?;
            }
            let stream = &self.target.stream;
            let Some(start) = start_after_gap(self.options.on_trimmed) else {
                return Err(GetError::UnknownPosition {
                    stream: stream.clone(),
                    position: Box::new(position),
                    source: Box::new(error),
                });
            };
            self.counters.on_gap();
            warn_of_gap(&self.target, &position, None, self.options.on_trimmed);
            tracing::debug!(%error, "position refused");
            if let Some(state) = self.shards.get_mut(&shard_id) {
                let clock = &self.target.clock;
                state.begin_again(start.into(), clock.instant(), clock.now());
            }
            self.schedule(&shard_id);
        }
        Ok(())
    }

    fn on_unlisted(&mut self, error: ServiceError) -> Result<(), GetError> {
        let (now, jitter) = (self.target.clock.instant(), fastrand::f64());
        let outage_max = self.options.outage_max;
        let may_pass = self.listing.on_error(error.class, now, outage_max, jitter);
        if may_pass {
            return Ok(());
        }
        Err(GetError::service(&self.target.stream, None, error))
    }

    /// Draws conclusions from shards that are not listed.
    fn on_whole_listing(&mut self, shards: &[Shard], newest: &ShardId) -> Result<(), GetError> {
        let find = |id: &ShardId| shards.binary_search_by(|shard| shard.id.cmp(id)).ok();
        self.lineage
            .forget_unlisted(newest, |id| find(id).is_some());
        self.ended.retain(|id, _| find(id).is_some());
        let lineage = &self.lineage;
        self.options.ranges.retain(|id| lineage.has(id));
        self.first_numbers.retain(|id, _| lineage.has(id));
        let lost: Vec<_> = self.lost.keys().cloned().collect();
        for shard_id in lost {
            match find(&shard_id) {
                Some(index) => self.on_lost_but_listed(&shards[index])?,
                None if shard_id < *newest => self.on_absent(&shard_id)?,
                // The shard is younger than the listing.
                None => {}
            }
        }
        Ok(())
    }

    /// Takes the listing of a lost shard: its calls will succeed soon, unless it is another shard of the same id.
    fn on_lost_but_listed(&mut self, shard: &Shard) -> Result<(), GetError> {
        if let Some(absence) = self.lost.get_mut(&shard.id) {
            absence.listings = 0;
        }
        self.check_same(shard)
    }

    /// Fails if the listed shard is another one than is read: the stream was deleted and made again.
    fn check_same(&self, shard: &Shard) -> Result<(), GetError> {
        let Some(state) = self.shards.get(&shard.id) else {
            return Ok(());
        };
        let checkpoint = Checkpoint::new(shard.id.clone(), state.place());
        match contradiction(&checkpoint, std::slice::from_ref(shard)) {
            Some(found) => Err(GetError::mismatch(&self.target.stream, checkpoint, found)),
            None => Ok(()),
        }
    }

    /// Fails if a listed shard begins at another number than in earlier listings: the stream was deleted and made again.
    /// The positions do not tell if nothing was read.
    fn check_first_numbers(&self, shards: &[Shard]) -> Result<(), GetError> {
        let differs = |shard: &&Shard| {
            let known = self.first_numbers.get(&shard.id);
            known.is_some_and(|number| *number != shard.starting_sequence_number)
        };
        let Some(shard) = shards.iter().find(differs) else {
            return Ok(());
        };
        let place = self.shards.get(&shard.id).map(ShardState::place);
        let place = place.unwrap_or(CheckpointPlace::ShardEnd);
        let checkpoint = Checkpoint::new(shard.id.clone(), place);
        let found = Mismatch::StartsAt(shard.starting_sequence_number.clone());
        Err(GetError::mismatch(&self.target.stream, checkpoint, found))
    }

    pub(super) fn note_first_numbers(&mut self, shards: &[Shard]) {
        let numbers = shards
            .iter()
            .map(|shard| (shard.id.clone(), shard.starting_sequence_number.clone()));
        self.first_numbers.extend(numbers);
    }

    fn on_absent(&mut self, shard_id: &ShardId) -> Result<(), GetError> {
        let Some(absence) = self.lost.get_mut(shard_id) else {
            return Ok(());
        };
        absence.listings += 1;
        if absence.listings < ABSENCES_MAX {
            return Ok(());
        }
        self.on_expired(shard_id)
    }

    /// Takes the expiry of a shard before it was read to its end.
    fn on_expired(&mut self, shard_id: &ShardId) -> Result<(), GetError> {
        let Some(state) = self.shards.get(shard_id) else {
            self.lost.remove(shard_id);
            return Ok(());
        };
        if self.options.on_trimmed == OnTrimmed::Fail {
            let checkpoint = Checkpoint::new(shard_id.clone(), state.place());
            return Err(GetError::Trimmed {
                stream: self.target.stream.clone(),
                checkpoint: Box::new(checkpoint),
            });
        }
        self.counters.on_gap();
        warn_of_gap(&self.target, shard_id, None, self.options.on_trimmed);
        self.feed.send(Delivery::ShardEnd {
            shard_id: shard_id.clone(),
            children: Vec::new(),
        });
        self.let_go(shard_id, End::Expired);
        Ok(())
    }

    /// Takes the removal of the consumer: its shards are polled, if that is wanted.
    fn on_consumer_gone(&mut self) -> Result<(), GetError> {
        let (stream, now) = (&self.target.stream, self.target.clock.instant());
        let Some(name) = &self.options.fan_out else {
            return Ok(());
        };
        if !self.options.falls_back {
            let endpoint = self.target.service.endpoint();
            let code = "ResourceNotFoundException";
            let error = ServiceError::answered("SubscribeToShard", endpoint, code, "");
            return Err(GetError::consumer(stream, name, error));
        }
        tracing::warn!(%stream, consumer = %name, "the consumer was removed; polling instead");
        let lost: Vec<_> = self.lost.keys().cloned().collect();
        for shard_id in lost {
            let state = self.shards.get_mut(&shard_id);
            if let Some(state) = state.filter(|state| state.is_by_fan_out()) {
                self.lost.remove(&shard_id);
                state.fall_back(now);
                self.schedule(&shard_id);
            }
        }
        Ok(())
    }
}
