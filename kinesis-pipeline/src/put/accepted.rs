//! Records that the pipeline has taken responsibility for.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    AttemptError, PutError, Receipt,
    receipt::{PutResult, Waiter},
    room::Permit,
    settings::Settings,
};
use crate::{record::EncodedRecord, service::StoredAt};

/// A user record that the pipeline has accepted.
///
/// It ends in exactly one result: dropping it, as a runtime does that shuts down, ends it with
/// [`PutError::Gone`].
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) record: EncodedRecord,
    pub(crate) entered_at: Instant,
    /// How often the record was sent, counting the attempt in flight.
    pub(crate) attempts: u32,
    /// Since when no attempt has reached the service; `None` if the last one did.
    pub(crate) unreached_since: Option<Instant>,
    /// An attempt is in flight: its outcome is unknown.
    in_flight: bool,
    /// An earlier attempt may have stored the record.
    may_have_been_stored: bool,
    /// Present until the result is known.
    waiter: Option<Waiter>,
    settings: Arc<Settings>,
    /// Held for its drop: it gives the room back.
    _permit: Permit,
}

impl Accepted {
    pub(crate) fn new(
        record: EncodedRecord,
        entered_at: Instant,
        waiter: Waiter,
        settings: Arc<Settings>,
        permit: Permit,
    ) -> Self {
        Self {
            record,
            entered_at,
            attempts: 0,
            unreached_since: None,
            in_flight: false,
            may_have_been_stored: false,
            waiter: Some(waiter),
            settings,
            _permit: permit,
        }
    }

    /// An attempt begins.
    pub(crate) fn sent(&mut self) {
        self.attempts += 1;
        self.in_flight = true;
    }

    /// The attempt failed; what follows is for the caller to decide.
    pub(crate) fn attempt_failed(&mut self, failure: &AttemptError, now: Instant) {
        self.in_flight = false;
        self.may_have_been_stored |= failure.may_have_been_stored();
        self.unreached_since = failure
            .is_unreached()
            .then(|| self.unreached_since.unwrap_or(now));
    }

    /// The attempt does not count: the request was refused for another record's sake.
    pub(crate) fn attempt_was_not_about_it(&mut self) {
        self.in_flight = false;
        self.attempts -= 1;
    }

    /// The record is stored.
    pub(crate) fn stored(self, at: StoredAt, sub_sequence_number: u64, now: Instant) {
        let receipt = Receipt {
            sub_sequence_number,
            attempts: self.attempts,
            time_in_buffer: now.duration_since(self.entered_at),
            ..Receipt::new(at.shard_id, at.sequence_number)
        };
        self.end(Ok(receipt));
    }

    /// The service refused the record for good.
    pub(crate) fn rejected(self, source: AttemptError) {
        let error = PutError::Rejected {
            stream: self.settings.target.stream.clone(),
            endpoint: Arc::clone(&self.settings.endpoint),
            attempts: self.attempts,
            may_have_been_stored: self.may_have_been_stored,
            source,
        };
        self.end(Err(error));
    }

    /// There will be no further attempt.
    pub(crate) fn gave_up(self, source: AttemptError) {
        let error = PutError::GaveUp {
            stream: self.settings.target.stream.clone(),
            endpoint: Arc::clone(&self.settings.endpoint),
            attempts: self.attempts,
            may_have_been_stored: self.may_have_been_stored,
            source,
        };
        self.end(Err(error));
    }

    fn end(mut self, result: PutResult) {
        if let Some(waiter) = self.waiter.take() {
            // Nobody may be waiting any more: the record was sent all the same.
            let _ = waiter.send(result);
        }
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        let Some(waiter) = self.waiter.take() else {
            return;
        };
        let _ = waiter.send(Err(PutError::Gone {
            stream: self.settings.target.stream.clone(),
            attempts: self.attempts,
            may_have_been_stored: self.may_have_been_stored || self.in_flight,
        }));
    }
}
