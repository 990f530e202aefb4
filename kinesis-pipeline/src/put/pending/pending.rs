//! The records that the pipeline has accepted, and their completions.

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

/// A user record.
#[derive(Debug)]
pub(in crate::put) struct PendingRecord {
    pub(in crate::put) record: EncodedRecord,
    pub(in crate::put) completion: Completion,
}

/// The completion of a user record: its receipt, flush group and budget charge.
///
/// It gives exactly one result. If it is dropped before that, as by a runtime that shuts down, the result is
/// [`PutError::Gone`].
#[derive(Debug)]
pub(in crate::put) struct Completion {
    pub(in crate::put) entered_at: Instant,
    /// The number of attempts, the one in flight included.
    pub(in crate::put) attempts: u32,
    /// Whether an attempt is in flight, so that its outcome is unknown.
    in_flight: bool,
    /// Whether an earlier attempt may have stored the record.
    may_have_been_stored: bool,
    /// Whether `hash_key` is the record's explicit one.
    is_explicit: bool,
    /// The hash key that decides the shard. That of a partition key is computed only where records are placed by shard.
    hash_key: HashKey,
    /// The flush group; `None` while the record is in the inbox, which fails it if no driver can take it any more.
    flush_group: Option<Arc<FlushGroup>>,
    /// The sender of the result; `None` once it is sent.
    waiter: Option<Waiter>,
    /// The budget that the record takes.
    charge: Charge,
}

/// Facts about the first user record of a Kinesis record that was sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::put) struct First {
    pub(in crate::put) entered_at: Instant,
    /// The number of attempts so far.
    pub(in crate::put) attempts: u32,
}

impl PendingRecord {
    /// Lends the record's bytes to a request. `Entry::returned` brings them back.
    pub(in crate::put) fn lend(&mut self) -> EncodedRecord {
        take_out(&mut self.record)
    }
}

/// Takes out a record's bytes and keys.
pub(in crate::put) fn take_out(record: &mut EncodedRecord) -> EncodedRecord {
    let nothing = EncodedRecord::new(PartitionKey::known(""), Bytes::new());
    std::mem::replace(record, nothing)
}

impl Completion {
    /// Makes the completion of a record with this explicit hash key, that has its budget.
    #[inline]
    pub(in crate::put) fn new(
        entered_at: Instant,
        explicit_hash_key: Option<HashKey>,
        waiter: Waiter,
        charge: Charge,
    ) -> Self {
        Self {
            entered_at,
            attempts: 0,
            in_flight: false,
            may_have_been_stored: false,
            is_explicit: explicit_hash_key.is_some(),
            hash_key: explicit_hash_key.unwrap_or(HashKey::MIN),
            flush_group: None,
            waiter: Some(waiter),
            charge,
        }
    }

    /// Fails a record that no driver can take any more, since the code of one has panicked.
    pub(in crate::put) fn refused(mut self, shared: &Shared) {
        shared.counters.failed.add(1);
        shared.budget.give_back(std::mem::take(&mut self.charge));
    }

    /// Takes the completion out of a record that is written into an aggregate, and leaves one that gives no result.
    ///
    /// It is taken where it is kept, so that it is moved once.
    #[inline]
    pub(in crate::put) fn take(&mut self) -> Self {
        Self {
            flush_group: self.flush_group.take(),
            waiter: self.waiter.take(),
            charge: std::mem::take(&mut self.charge),
            ..*self
        }
    }

    /// Joins the records that the next flush waits for.
    #[inline]
    pub(in crate::put) fn join(&mut self, flush_group: &Arc<FlushGroup>) {
        self.flush_group = Some(Arc::clone(flush_group));
    }

    /// Returns the hash key that decides the shard. It has no meaning where records are not placed by shard.
    pub(in crate::put) fn hash_key(&self) -> HashKey {
        self.hash_key
    }

    /// Returns the record's explicit hash key.
    #[inline]
    pub(in crate::put) fn explicit_hash_key(&self) -> Option<HashKey> {
        self.is_explicit.then_some(self.hash_key)
    }

    /// Sets the hash key that decides the shard of a record without an explicit one.
    pub(in crate::put) fn place_by(&mut self, hash_key: HashKey) {
        debug_assert!(!self.is_explicit, "an explicit hash key stays");
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

    /// Notes the begin of an attempt.
    pub(in crate::put) fn sent(&mut self) {
        self.attempts += 1;
        self.in_flight = true;
    }

    /// Takes over the attempts of the aggregate that the record is part of, the last of which is in flight.
    pub(in crate::put) fn was_sent(&mut self, attempts: u32) {
        self.attempts = attempts;
        self.in_flight = true;
    }

    /// Notes the failure of an attempt. The caller decides about a retry.
    pub(in crate::put) fn attempt_failed(&mut self, failure: &AttemptError) {
        self.in_flight = false;
        self.may_have_been_stored |= failure.may_have_been_stored();
    }

    /// Takes back an attempt whose request was refused because of another record.
    pub(in crate::put) fn attempt_was_not_about_it(&mut self) {
        self.in_flight = false;
        self.attempts -= 1;
    }

    /// Notes an attempt that stored the record, perhaps in a shard that does not take its hash key, where readers may drop
    /// it.
    pub(in crate::put) fn attempt_landed(&mut self) {
        self.in_flight = false;
        self.may_have_been_stored = true;
    }

    /// Prefetches the memory that [`stored`](Self::stored) will read.
    pub(in crate::put) fn prefetch(&self) -> Touched {
        let waiter = self.waiter.as_ref();
        waiter.map_or(Touched::NOTHING, Waiter::prefetch)
    }

    /// Completes a stored record with its receipt. Its budget goes over to `freed`. The caller has counted it.
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

    /// Fails a record that the service refused for good.
    pub(in crate::put) fn rejected(mut self, source: AttemptError) {
        self.fail(|user, shared| PutError::Rejected {
            stream: shared.target.stream.clone(),
            endpoint: Arc::clone(&shared.endpoint),
            attempts: user.attempts,
            may_have_been_stored: user.may_have_been_stored,
            source,
        });
    }

    /// Fails a record that gets no further attempt.
    pub(in crate::put) fn gave_up(mut self, source: AttemptError) {
        self.fail(|user, shared| PutError::GaveUp {
            stream: shared.target.stream.clone(),
            endpoint: Arc::clone(&shared.endpoint),
            attempts: user.attempts,
            may_have_been_stored: user.may_have_been_stored,
            source,
        });
    }

    /// Fails a record whose time to live is over.
    pub(in crate::put) fn expired(mut self, now: Instant) {
        self.fail(|user, shared| PutError::Expired {
            stream: shared.target.stream.clone(),
            waited: now.duration_since(user.entered_at),
            attempts: user.attempts,
            may_have_been_stored: user.may_have_been_stored,
        });
    }

    fn fail(&mut self, error: impl FnOnce(&Self, &Shared) -> PutError) {
        let (Some(waiter), Some(flush_group)) = (self.waiter.take(), &self.flush_group) else {
            return;
        };
        let shared = &flush_group.shared;
        shared.counters.failed.add(1);
        flush_group.count_failed();
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
        if let Some(flush_group) = &self.flush_group
            && !self.charge.is_nothing()
        {
            let charge = std::mem::take(&mut self.charge);
            flush_group.shared.budget.give_back(charge);
        }
    }
}
