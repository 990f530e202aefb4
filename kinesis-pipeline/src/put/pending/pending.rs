//! Records that the pipeline has taken responsibility for.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    flush::FlushGroup,
    receipt::{Receipt, Waiter},
};
use crate::{
    prefetch::Touched,
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
pub(in crate::put) struct Queued {
    pub(in crate::put) record: EncodedRecord,
    pub(in crate::put) entered_at: Instant,
    pub(in crate::put) waiter: Waiter,
    /// The room that it takes. There is nobody who could wait for it: what is in the queue is dropped with the
    /// pipeline.
    pub(in crate::put) charge: Charge,
}

/// A user record that a driver has taken over.
#[derive(Debug)]
pub(in crate::put) struct PendingRecord {
    pub(in crate::put) record: EncodedRecord,
    pub(in crate::put) completion: Completion,
}

/// The completion of a user record: its receipt, flush group and budget charge.
///
/// It ends in exactly one result: dropping it, as a runtime does that shuts down, ends it with
/// [`PutError::Gone`].
#[derive(Debug)]
pub(in crate::put) struct Completion {
    pub(in crate::put) entered_at: Instant,
    /// The number of attempts, the one in flight included.
    pub(in crate::put) attempts: u32,
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
pub(in crate::put) struct First {
    pub(in crate::put) entered_at: Instant,
    /// The number of attempts so far.
    pub(in crate::put) attempts: u32,
}

impl Queued {
    /// The pipeline cannot take it any more: its receipt ends with an error.
    pub(in crate::put) fn refused(self, shared: &Shared) {
        shared.counters.failed.add(1);
        shared.budget.give_back(self.charge);
    }
}

impl PendingRecord {
    /// A driver takes a record over.
    #[inline]
    pub(in crate::put) fn new(arrived: Queued, flush_group: Arc<FlushGroup>) -> Self {
        Self {
            record: arrived.record,
            completion: Completion {
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
    pub(in crate::put) fn lend(&mut self) -> EncodedRecord {
        let nothing = EncodedRecord::new(PartitionKey::known(""), Bytes::new());
        std::mem::replace(&mut self.record, nothing)
    }
}

impl Completion {
    /// The hash key that decides the shard. It means nothing where records are not placed.
    pub(in crate::put) fn hash_key(&self) -> HashKey {
        self.hash_key
    }

    /// Its hash key is found.
    pub(in crate::put) fn place_by(&mut self, hash_key: HashKey) {
        self.hash_key = hash_key;
    }

    /// Returns the facts of the first record of an entry.
    pub(in crate::put) fn first(&self) -> First {
        First {
            entered_at: self.entered_at,
            attempts: self.attempts,
        }
    }

    /// Whether an attempt is in flight.
    pub(in crate::put) fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    /// An attempt begins.
    pub(in crate::put) fn sent(&mut self) {
        self.attempts += 1;
        self.in_flight = true;
    }

    /// The attempt in flight is that of the whole that it was sent in.
    pub(in crate::put) fn was_sent(&mut self, attempts: u32) {
        self.attempts = attempts;
        self.in_flight = true;
    }

    /// The attempt failed; what follows is for the caller to decide.
    pub(in crate::put) fn attempt_failed(&mut self, failure: &AttemptError) {
        self.in_flight = false;
        self.may_have_been_stored |= failure.may_have_been_stored();
    }

    /// The attempt does not count: the request was refused for another record's sake.
    pub(in crate::put) fn attempt_was_not_about_it(&mut self) {
        self.in_flight = false;
        self.attempts -= 1;
    }

    /// The attempt stored the record, perhaps in a shard that does not take its hash key, where readers may drop it.
    pub(in crate::put) fn attempt_landed(&mut self) {
        self.in_flight = false;
        self.may_have_been_stored = true;
    }

    /// Reads what [`stored`](Self::stored) will need.
    pub(in crate::put) fn prefetch(&self) -> Touched {
        let waiter = self.waiter.as_ref();
        waiter.map_or(Touched::NOTHING, Waiter::prefetch)
    }

    /// The record is stored, and counted as such. The room that it took goes over to `freed`.
    pub(in crate::put) fn stored(
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
    pub(in crate::put) fn rejected(mut self, source: AttemptError) {
        self.fail(|user, shared| PutError::Rejected {
            stream: shared.target.stream.clone(),
            endpoint: Arc::clone(&shared.endpoint),
            attempts: user.attempts,
            may_have_been_stored: user.may_have_been_stored,
            source,
        });
    }

    /// There will be no further attempt.
    pub(in crate::put) fn gave_up(mut self, source: AttemptError) {
        self.fail(|user, shared| PutError::GaveUp {
            stream: shared.target.stream.clone(),
            endpoint: Arc::clone(&shared.endpoint),
            attempts: user.attempts,
            may_have_been_stored: user.may_have_been_stored,
            source,
        });
    }

    /// The record has waited longer than it may.
    pub(in crate::put) fn expired(mut self, now: Instant) {
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
