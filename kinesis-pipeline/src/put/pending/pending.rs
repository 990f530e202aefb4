//! Records that the pipeline has taken responsibility for.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    flush::FlushGroup,
    receipt::{Receipt, Waiter},
};
use crate::{
    put::{
        admission::{budget::Charge, shared::Shared},
        error::{AttemptError, PutError},
    },
    record::{EncodedRecord, PartitionKey},
    service::StoredAt,
    shard::HashKey,
};

/// A user record that the pipeline has accepted and no driver has taken over. Dropping it ends its receipt too.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) record: EncodedRecord,
    pub(crate) entered_at: Instant,
    pub(crate) waiter: Waiter,
    /// The room that it takes. There is nobody who could wait for it: what is in the queue is dropped with the
    /// pipeline.
    pub(crate) charge: Charge,
}

/// A user record that a driver has taken over.
#[derive(Debug)]
pub(crate) struct PendingRecord {
    pub(crate) record: EncodedRecord,
    pub(crate) fate: Completion,
}

/// The completion of a user record: its receipt, flush group and budget charge.
///
/// It ends in exactly one result: dropping it, as a runtime does that shuts down, ends it with
/// [`PutError::Gone`].
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) entered_at: Instant,
    /// The number of attempts, the one in flight included.
    pub(crate) attempts: u32,
    /// An attempt is in flight: its outcome is unknown.
    in_flight: bool,
    /// An earlier attempt may have stored the record.
    may_have_been_stored: bool,
    /// The hash key that places the record; found where records are placed.
    hash_key: HashKey,
    flush_group: Arc<FlushGroup>,
    /// Present until the result is known.
    waiter: Option<Waiter>,
    /// The room that it takes.
    charge: Charge,
}

/// The first user record of a Kinesis record that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct First {
    pub(crate) entered_at: Instant,
    /// The number of attempts so far.
    pub(crate) attempts: u32,
}

impl Queued {
    /// The pipeline cannot take it any more: its receipt ends with an error.
    pub(crate) fn refused(self, shared: &Shared) {
        shared.counters.failed.add(1);
        shared.budget.give_back(self.charge);
    }
}

impl PendingRecord {
    /// A driver takes a record over.
    #[inline]
    pub(crate) fn new(arrived: Queued, flush_group: Arc<FlushGroup>) -> Self {
        Self {
            record: arrived.record,
            fate: Completion {
                entered_at: arrived.entered_at,
                attempts: 0,
                in_flight: false,
                may_have_been_stored: false,
                hash_key: HashKey::MIN,
                flush_group,
                waiter: Some(arrived.waiter),
                charge: arrived.charge,
            },
        }
    }

    /// Gives the record out while it is sent: it has one owner at a time.
    pub(crate) fn lend(&mut self) -> EncodedRecord {
        let nothing = EncodedRecord::new(PartitionKey::known(""), Bytes::new());
        std::mem::replace(&mut self.record, nothing)
    }
}

impl Completion {
    /// The hash key that decides the shard. It means nothing where records are not placed.
    pub(crate) fn hash_key(&self) -> HashKey {
        self.hash_key
    }

    /// Its hash key is found.
    pub(crate) fn place_by(&mut self, hash_key: HashKey) {
        self.hash_key = hash_key;
    }

    /// Returns the facts of the first record of an entry.
    pub(crate) fn first(&self) -> First {
        First {
            entered_at: self.entered_at,
            attempts: self.attempts,
        }
    }

    /// Whether an attempt is in flight.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    /// An attempt begins.
    pub(crate) fn sent(&mut self) {
        self.attempts += 1;
        self.in_flight = true;
    }

    /// The attempt in flight is that of the whole that it was sent in.
    pub(crate) fn was_sent(&mut self, attempts: u32) {
        self.attempts = attempts;
        self.in_flight = true;
    }

    /// The attempt failed; what follows is for the caller to decide.
    pub(crate) fn attempt_failed(&mut self, failure: &AttemptError) {
        self.in_flight = false;
        self.may_have_been_stored |= failure.may_have_been_stored();
    }

    /// The attempt does not count: the request was refused for another record's sake.
    pub(crate) fn attempt_was_not_about_it(&mut self) {
        self.in_flight = false;
        self.attempts -= 1;
    }

    /// The attempt stored the record, perhaps in a shard that does not take its hash key, where readers may drop it.
    pub(crate) fn attempt_landed(&mut self) {
        self.in_flight = false;
        self.may_have_been_stored = true;
    }

    /// Reads what [`stored`](Self::stored) will need, as [`Waiter::peek`] does.
    pub(crate) fn prefetch(&self) -> usize {
        self.waiter.as_ref().map_or(0, Waiter::prefetch)
    }

    /// The record is stored, and counted as such. The room that it took goes over to `freed`.
    pub(crate) fn stored(
        &mut self,
        at: &StoredAt,
        sub_sequence_number: u64,
        now: Instant,
        freed: &mut Charge,
    ) {
        freed.absorb(&mut self.charge);
        self.in_flight = false;
        let Some(waiter) = self.waiter.take().filter(Waiter::is_waited_for) else {
            return;
        };
        let receipt = Receipt {
            sub_sequence_number,
            attempts: self.attempts,
            time_in_buffer: now.duration_since(self.entered_at),
            ..Receipt::new(at.shard_id.clone(), at.sequence_number.clone())
        };
        waiter.send(Ok(receipt));
    }

    /// The service refused the record for good.
    pub(crate) fn rejected(mut self, source: AttemptError) {
        self.fail(|user, shared| PutError::Rejected {
            stream: shared.target.stream.clone(),
            endpoint: Arc::clone(&shared.endpoint),
            attempts: user.attempts,
            may_have_been_stored: user.may_have_been_stored,
            source,
        });
    }

    /// There will be no further attempt.
    pub(crate) fn gave_up(mut self, source: AttemptError) {
        self.fail(|user, shared| PutError::GaveUp {
            stream: shared.target.stream.clone(),
            endpoint: Arc::clone(&shared.endpoint),
            attempts: user.attempts,
            may_have_been_stored: user.may_have_been_stored,
            source,
        });
    }

    /// The record has waited longer than it may.
    pub(crate) fn expired(mut self, now: Instant) {
        self.fail(|user, shared| PutError::Expired {
            stream: shared.target.stream.clone(),
            waited: now.duration_since(user.entered_at),
            attempts: user.attempts,
            may_have_been_stored: user.may_have_been_stored,
        });
    }

    fn fail(&mut self, error: impl FnOnce(&Self, &Shared) -> PutError) {
        let Some(waiter) = self.waiter.take() else {
            return;
        };
        let shared = &self.flush_group.shared;
        shared.counters.failed.add(1);
        self.flush_group.count_failed();
        waiter.send(Err(error(self, shared)));
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.fail(|user, shared| PutError::Gone {
            stream: shared.target.stream.clone(),
            attempts: user.attempts,
            may_have_been_stored: user.may_have_been_stored || user.in_flight,
        });
        if !self.charge.is_nothing() {
            let charge = std::mem::take(&mut self.charge);
            self.flush_group.shared.budget.give_back(charge);
        }
    }
}
