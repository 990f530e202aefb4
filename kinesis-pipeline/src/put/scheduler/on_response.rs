//! The scheduler's reaction to the end of a request: complete, retry, halve.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    retry::{RetryDecision, decide, outage_max},
    scheduler::Scheduler,
};
use crate::{
    put::{
        error::{AttemptError, Outage},
        pending::{pending::take_out, slab::RecordKey},
        request::{
            entry::{Entry, QueueId},
            send::{Sent, is_worth_halving},
        },
    },
    service::{EntryFailure, ErrorClass, PutRecordsAnswer, StoredAt},
};

/// The outcome of a request, by record.
#[derive(Debug)]
enum Outcomes {
    /// One outcome per record, in the order of the request.
    Each(Vec<Result<StoredAt, EntryFailure>>),
    /// One failure for all of them.
    All(AttemptError),
}

/// Splits the answer to a request of `sent` records.
fn split(sent: usize, outcome: Result<PutRecordsAnswer, AttemptError>) -> Outcomes {
    match outcome {
        Err(failure) => Outcomes::All(failure),
        Ok(answer) if answer.results.len() != sent => Outcomes::All(AttemptError::WrongAnswer {
            sent,
            answered: answer.results.len(),
        }),
        Ok(answer) => Outcomes::Each(answer.results),
    }
}

impl Scheduler {
    /// Takes the end of a request.
    pub(in crate::put) fn on_sent(&mut self, sent: Sent, now: Instant) {
        self.in_flight -= 1;
        self.answered = true;
        // One random number for all: records that failed together are sent again together.
        let jitter = self.rng.f64();
        let Sent {
            mut entries,
            mut records,
            outcome,
            begun_at,
        } = sent;
        let outcomes = split(entries.len(), outcome);
        self.note_outage(&outcomes, now);
        match outcomes {
            Outcomes::Each(outcomes) => {
                self.note_answer(begun_at);
                self.suspect_by_answer(&entries, &outcomes, now);
                self.queues.prefetch_sent(&entries);
                let sent = entries.iter_mut().zip(&mut records);
                for ((entry, record), outcome) in sent.zip(&outcomes) {
                    match outcome {
                        Ok(at) => self.on_stored(entry, record, at, now),
                        Err(failure) => {
                            let mut entry = entry.take();
                            entry.returned(take_out(record), &mut self.records);
                            let failure = AttemptError::Record(Arc::new(failure.clone()));
                            self.on_failed(entry, &failure, jitter, now);
                        }
                    }
                }
            }
            Outcomes::All(failure) => {
                for (entry, record) in entries.iter_mut().zip(records) {
                    entry.returned(record, &mut self.records);
                }
                self.on_all_failed(entries, &failure, jitter, now);
            }
        }
        self.after_answer(now);
    }

    fn after_answer(&mut self, now: Instant) {
        self.end_lost();
        self.change_queues(now);
        self.give_budget_back();
    }

    fn on_all_failed(
        &mut self,
        entries: Vec<Entry>,
        failure: &AttemptError,
        jitter: f64,
        now: Instant,
    ) {
        if is_worth_halving(failure, entries.len()) {
            return self.halve(entries);
        }
        for entry in entries {
            self.on_failed(entry, failure, jitter, now);
        }
        if let Some(outage) = failure.outage() {
            self.give_up_in(outage, failure, now);
        }
    }

    /// Takes the loss of a request: its task panicked or was aborted, and the keys of its records are lost.
    pub(in crate::put) fn on_lost(&mut self, now: Instant) {
        self.in_flight -= 1;
        self.answered = true;
        self.lost = true;
        self.after_answer(now);
    }

    /// Fails the records of lost requests and unblocks their queues, once no other request is in flight. No request is sent
    /// until then: which records were lost is only known when all others have come back.
    fn end_lost(&mut self) {
        if self.lost && self.in_flight == 0 {
            self.lost = false;
            self.queues.unblock();
            drop(self.records.take_in_flight());
        }
    }

    /// Notes whether the service was reached. An outage of another kind counts from now.
    fn note_outage(&mut self, outcomes: &Outcomes, now: Instant) {
        let outage = match outcomes {
            Outcomes::All(failure) => failure.outage(),
            Outcomes::Each(_) => None,
        };
        let before = self.outage.take();
        self.outage = outage.map(|outage| match before {
            Some(before) if before.0 == outage => before,
            _ => (outage, now),
        });
    }

    /// Returns the duration of the current outage.
    fn outage_lasted(&self, now: Instant) -> Duration {
        self.outage
            .map_or(Duration::ZERO, |(_, since)| now.duration_since(since))
    }

    /// Fails all waiting records if the outage has lasted long enough: each would only meet the same error.
    fn give_up_in(&mut self, outage: Outage, failure: &AttemptError, now: Instant) {
        if self.outage_lasted(now) < outage_max(&self.shared.options, outage) {
            return;
        }
        let mut waiting = self.take_strays();
        let records = &mut self.records;
        let halves = self.halves.drain(..).flatten();
        waiting.extend(halves.flat_map(|entry| entry.into_users(records)));
        waiting.extend(self.retry_queue.take_all());
        waiting.extend(self.queues.take_waiting(&mut self.records));
        for user in waiting {
            self.records.take(user).completion.gave_up(failure.clone());
        }
    }

    fn halve(&mut self, mut entries: Vec<Entry>) {
        for entry in &mut entries {
            entry.attempt_was_not_about_it(&mut self.records);
        }
        let second = entries.split_off(entries.len() / 2);
        self.halves.extend([entries, second]);
    }

    fn on_failed(&mut self, entry: Entry, failure: &AttemptError, jitter: f64, now: Instant) {
        let queue = entry.queue;
        let lasted = self.outage_lasted(now);
        let unsent = failure.outage() == Some(Outage::Credentials);
        self.tell_queue(&entry, failure, now);
        if failure.class() == ErrorClass::NotFound {
            self.suspect_shards(now);
        }
        self.shared.counters.count_failure(failure);
        let mut again = Vec::with_capacity(entry.len());
        let mut longest = Duration::ZERO;
        for key in entry.into_users(&mut self.records) {
            let user = &mut self.records[&key].completion;
            let attempts = user.attempts;
            if unsent {
                user.attempt_was_not_about_it();
            } else {
                user.attempt_failed(failure);
            }
            match decide(&self.shared.options, failure, attempts, lasted, jitter) {
                RetryDecision::Again(wait) => {
                    longest = longest.max(wait);
                    again.push(key);
                }
                RetryDecision::GiveUp => self.records.take(key).completion.gave_up(failure.clone()),
                RetryDecision::Reject => {
                    if failure.class() == ErrorClass::Invalid {
                        self.shared.limit.doubt(key.bytes());
                    }
                    self.records.take(key).completion.rejected(failure.clone());
                }
            }
        }
        if let Some(oldest) = again.first() {
            let ttl = self.shared.options.record_ttl;
            let expiry = ttl.map(|ttl| self.records[oldest].completion.entered_at + ttl);
            let due = [Some(now + longest), expiry].into_iter().flatten().min();
            self.send_again(queue, again, due.unwrap_or(now));
        }
    }

    fn tell_queue(&mut self, entry: &Entry, failure: &AttemptError, now: Instant) {
        let Some(queue) = self.queues.queue_of(entry.queue) else {
            return;
        };
        queue.returned(entry);
        if failure.class() == ErrorClass::Throttled
            && let Some(pace) = &mut queue.pace
        {
            pace.throttled(now);
        }
    }

    fn send_again(&mut self, queue: QueueId, users: Vec<RecordKey>, due: Instant) {
        if !self.is_ordered() {
            return self.retry_queue.push(users, due);
        }
        // The records behind them keep their order, so they wait too.
        self.queues.push_first(users, &self.records);
        if let Some(queue) = self.queues.queue_of(queue) {
            queue.block_until(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_about_another_number_of_records_is_an_error_that_may_have_stored_them() {
        let stored = StoredAt::new("s".into(), 1_u128.into());
        let outcomes = split(2, Ok(PutRecordsAnswer::new(vec![Ok(stored)])));
        assert!(
            matches!(&outcomes, Outcomes::All(failure) if failure.may_have_been_stored()),
            "{outcomes:?}"
        );
    }
}
