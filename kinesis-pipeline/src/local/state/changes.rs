//! Changes that are not on disk yet: the state marks them, the keeper takes them.
//!
//! ```text
//!   operation ── changes the state ──> mark ──┐
//!       │                                     ▼
//!       │                              Changes: names, no data
//!       │                                     │ take
//!   waits until kept <── kept up to here ── keeper: reads the state, writes it
//! ```
//!
//! A mark names a part of the state and has no data: however many calls mark a stream, the keeper reads it once. So
//! memory does not grow with the records.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch};

use crate::{
    clock::is_paused,
    local::{api_error::ApiError, locks::lock},
};

/// The list of changes for the keeper; `None` for a state in memory only.
pub(in crate::local) type Marks = Option<Arc<Changes>>;

/// The changes that are not on disk yet.
#[derive(Debug)]
pub(in crate::local) struct Changes {
    pending: Mutex<Pending>,
    has_work: Condvar,
    kept: watch::Sender<Kept>,
}

/// The part of a stream that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::local) enum Extent {
    /// New records.
    Records,
    /// Any part of it.
    Whole,
}

#[derive(Debug, Default)]
struct Pending {
    /// The streams, by generation.
    streams: BTreeMap<u64, Extent>,
    account: bool,
    /// Counts the marks.
    marks: u64,
    closed: bool,
    /// Whether the keeper sleeps, so that waking it is worth a system call.
    keeper_sleeps: bool,
}

/// The progress of the keeper.
#[derive(Debug, Default)]
struct Kept {
    marks: u64,
    /// The reason why no change reaches the disk any more.
    failure: Option<String>,
}

/// Work for the keeper.
#[derive(Debug, Default)]
pub(in crate::local) struct Round {
    pub(in crate::local) streams: BTreeMap<u64, Extent>,
    pub(in crate::local) account: bool,
    /// The count to give to [`Changes::set_kept`] once it is done.
    pub(in crate::local) marks: u64,
}

/// The next work of the keeper.
#[derive(Debug)]
pub(in crate::local) enum Task {
    Keep(Round),
    /// A pause: no change was marked for a while.
    Rest,
    /// The end: the state does not change any more.
    End,
}

impl Changes {
    pub(in crate::local) fn new() -> Self {
        Self {
            pending: Mutex::default(),
            has_work: Condvar::new(),
            kept: watch::Sender::new(Kept::default()),
        }
    }

    /// Marks a stream.
    pub(in crate::local) fn mark_stream(&self, generation: u64, extent: Extent) {
        self.mark(|pending| {
            let marked = pending.streams.entry(generation).or_insert(extent);
            *marked = extent.max(*marked);
        });
    }

    /// Marks the settings of the account.
    pub(in crate::local) fn mark_account(&self) {
        self.mark(|pending| pending.account = true);
    }

    fn mark(&self, mark: impl FnOnce(&mut Pending)) {
        let mut pending = lock(&self.pending);
        mark(&mut pending);
        pending.marks += 1;
        let keeper_sleeps = std::mem::take(&mut pending.keeper_sleeps);
        drop(pending);
        if keeper_sleeps {
            self.has_work.notify_one();
        }
    }

    /// Waits until all marks so far are kept. Without new marks it costs one look. Cancel safe.
    ///
    /// A change is marked before its call gets here, and the keeper takes a mark before it reads the state. So a change is in
    /// the round that takes its mark, or in an earlier one that has read the state later.
    pub(in crate::local) async fn kept(&self) -> Result<(), ApiError> {
        let marks = lock(&self.pending).marks;
        let mut kept = self.kept.subscribe();
        let is_reached = |kept: &Kept| kept.failure.is_some() || kept.marks >= marks;
        let reached = is_reached(&kept.borrow());
        let is_held = !reached && is_paused() && Handle::try_current().is_ok();
        let _held = is_held.then(hold_time);
        let reached = kept.wait_for(is_reached);
        let failure = match reached.await {
            Ok(kept) => kept.failure.clone(),
            // The sender lives in `self`.
            Err(_) => None,
        };
        failure.map_or(Ok(()), |reason| {
            Err(ApiError::internal_failure(format!(
                "The embedded Kinesis cannot write to its data directory and keeps nothing from now on; \
                 make room there and start it again: {reason}"
            )))
        })
    }
}

/// Keeps tokio's paused clock from advancing by itself until the returned sender is dropped.
///
/// An idle runtime with a paused clock advances to its next timer at once. It does not see the work of the keeper's
/// thread, so a call would time out before the disk has written a byte. But it does see its own blocking tasks.
fn hold_time() -> std::sync::mpsc::Sender<()> {
    let (held, ended) = std::sync::mpsc::channel();
    tokio::task::spawn_blocking(move || {
        // Nothing is ever sent: the sender is dropped.
        let _ = ended.recv();
    });
    held
}

impl Changes {
    /// Takes the marks. Blocks the keeper's thread until there is one, at most for `patience`.
    pub(in crate::local) fn take(&self, patience: Option<Duration>) -> Task {
        let mut pending = lock(&self.pending);
        while !pending.has_marks() {
            if pending.closed {
                return Task::End;
            }
            pending.keeper_sleeps = true;
            let Some(patience) = patience else {
                let woken = self.has_work.wait(pending);
                pending = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let woken = self.has_work.wait_timeout(pending, patience);
            let (guard, waited) = woken.unwrap_or_else(PoisonError::into_inner);
            pending = guard;
            if waited.timed_out() && !pending.has_marks() && !pending.closed {
                return Task::Rest;
            }
        }
        Task::Keep(Round {
            streams: std::mem::take(&mut pending.streams),
            account: std::mem::take(&mut pending.account),
            marks: pending.marks,
        })
    }

    /// Reports that all changes up to this count are on disk.
    pub(in crate::local) fn set_kept(&self, marks: u64) {
        self.kept.send_modify(|kept| kept.marks = marks);
    }

    /// Reports that no change reaches the disk any more. The first reason stays.
    pub(in crate::local) fn fail(&self, reason: String) {
        self.kept.send_modify(|kept| {
            kept.failure.get_or_insert(reason);
        });
    }

    /// Ends the list: the keeper writes the last changes and ends.
    pub(in crate::local) fn close(&self) {
        lock(&self.pending).closed = true;
        self.has_work.notify_one();
    }
}

impl Pending {
    fn has_marks(&self) -> bool {
        self.account || !self.streams.is_empty()
    }
}

#[cfg(all(test, feature = "local-durable"))]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    fn round(changes: &Changes) -> Round {
        match changes.take(Some(Duration::ZERO)) {
            Task::Keep(round) => round,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn many_marks_of_a_stream_are_one_look_at_the_most_of_it() {
        let changes = Changes::new();
        changes.mark_stream(7, Extent::Records);
        changes.mark_stream(7, Extent::Whole);
        changes.mark_stream(7, Extent::Records);
        let round = round(&changes);
        assert_eq!(round.streams, BTreeMap::from([(7, Extent::Whole)]));
        assert_eq!(round.marks, 3);
        assert!(matches!(changes.take(Some(Duration::ZERO)), Task::Rest));
    }

    #[test]
    fn a_call_waits_for_the_marks_before_it_and_for_no_others() {
        let changes = Changes::new();
        changes.kept().now_or_never().unwrap().unwrap();
        changes.mark_stream(1, Extent::Records);
        let first = round(&changes).marks;
        let mut waiting = pin!(changes.kept());
        assert!(waiting.as_mut().now_or_never().is_none());
        changes.mark_stream(1, Extent::Records);
        changes.set_kept(first);
        assert_eq!(waiting.as_mut().now_or_never(), Some(Ok(())));
        assert!(changes.kept().now_or_never().is_none());
    }

    #[test]
    fn a_failure_reaches_those_who_wait_and_those_who_come() {
        let changes = Changes::new();
        changes.mark_account();
        let mut waiting = pin!(changes.kept());
        assert!(waiting.as_mut().now_or_never().is_none());
        changes.fail("no room".to_owned());
        for error in [waiting.now_or_never(), changes.kept().now_or_never()] {
            let error = error.unwrap().unwrap_err();
            assert_eq!(error.http_status(), 500);
            assert!(error.message.contains("no room"), "{error}");
        }
    }

    #[test]
    fn the_last_marks_are_taken_before_the_end() {
        let changes = Changes::new();
        changes.mark_account();
        changes.close();
        assert!(round(&changes).account);
        assert!(matches!(changes.take(None), Task::End));
    }
}
