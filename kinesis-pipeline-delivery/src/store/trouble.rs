use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::StoreFault;

/// The present failure of a store, as seen by the call that has failed the longest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreTrouble {
    /// The key of that call's object.
    pub key: String,
    /// The kind of its last failure.
    pub fault: StoreFault,
    /// The store's last error.
    pub error: String,
    /// The time since its first failure.
    pub failing_for: Duration,
    /// Its failed tries.
    pub attempts: u32,
    /// The number of calls that fail now.
    pub calls: usize,
}

/// The calls that fail at this moment. Calls that succeed leave no entry.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    /// The number of the last entry. Numbers grow, so that the first entry has failed the longest.
    next: u64,
    failing: BTreeMap<u64, FailingCall>,
}

#[derive(Debug)]
struct FailingCall {
    key: String,
    fault: StoreFault,
    error: String,
    since: Instant,
    attempts: u32,
}

impl Troubles {
    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the present failure; `None` while no call fails.
    pub(crate) fn now(&self, now: Instant) -> Option<StoreTrouble> {
        let calls = self.lock();
        let (_, call) = calls.failing.first_key_value()?;
        Some(StoreTrouble {
            key: call.key.clone(),
            fault: call.fault,
            error: call.error.clone(),
            failing_for: now.saturating_duration_since(call.since),
            attempts: call.attempts,
            calls: calls.failing.len(),
        })
    }
}

/// The entry of one failing call, removed when the call ends or is dropped.
#[derive(Debug)]
pub(super) struct TroubleNote {
    troubles: Arc<Troubles>,
    number: Option<u64>,
}

impl TroubleNote {
    /// Makes an entry for a call that has not failed yet.
    pub(super) fn new(troubles: &Arc<Troubles>) -> Self {
        Self {
            troubles: troubles.clone(),
            number: None,
        }
    }

    pub(super) fn failed(&mut self, key: &str, fault: StoreFault, error: String, now: Instant) {
        let mut calls = self.troubles.lock();
        let number = *self.number.get_or_insert_with(|| {
            calls.next += 1;
            calls.next
        });
        let call = calls.failing.entry(number).or_insert_with(|| FailingCall {
            key: key.to_owned(),
            fault,
            error: String::new(),
            since: now,
            attempts: 0,
        });
        (call.fault, call.error) = (fault, error);
        call.attempts = call.attempts.saturating_add(1);
    }
}

impl Drop for TroubleNote {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.troubles.lock().failing.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use kinesis_pipeline::Clock;

    use super::*;

    #[test]
    fn the_call_that_has_failed_the_longest_is_shown_until_it_ends() {
        let (troubles, now) = (Arc::new(Troubles::default()), Clock::system().instant());
        let later = |seconds| now + Duration::from_secs(seconds);
        let mut notes = ["a", "b"].map(|key| (key, TroubleNote::new(&troubles)));
        assert_eq!(troubles.now(now), None);
        for (seconds, (key, note)) in (0..).zip(&mut notes) {
            let error = format!("{key} is denied");
            note.failed(key, StoreFault::Denied, error, later(seconds));
        }
        let [mut a, b] = notes;
        a.1.failed("a", StoreFault::Unavailable, "late".into(), later(5));
        let shown = troubles.now(later(9)).unwrap();
        assert_eq!((&*shown.key, shown.fault), ("a", StoreFault::Unavailable));
        assert_eq!((&*shown.error, shown.attempts), ("late", 2));
        assert_eq!((shown.failing_for.as_secs(), shown.calls), (9, 2));
        drop(a);
        let shown = troubles.now(later(9)).unwrap();
        assert_eq!((&*shown.key, shown.failing_for.as_secs()), ("b", 8));
        drop(b);
        assert_eq!(troubles.now(later(9)), None);
    }
}
