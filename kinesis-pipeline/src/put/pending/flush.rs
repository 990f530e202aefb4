//! Flush groups (barriers): a flush waits for all records that were accepted before it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::watch;

use crate::put::admission::shared::Shared;

/// The group of records that were accepted between two flushes. Each record holds a reference until it has its
/// result.
#[derive(Debug)]
pub(in crate::put) struct FlushGroup {
    /// The shared part of the pipeline. Records reach it through the group, so that each needs one reference, not two.
    pub(super) shared: Arc<Shared>,
    failed: Arc<AtomicU64>,
    /// Dropped with the group, which closes the channel: all records have their results.
    _lives: watch::Sender<()>,
}

/// A waiter for the results of a flush group's records.
#[derive(Clone, Debug)]
pub(in crate::put) struct FlushWait {
    failed: Arc<AtomicU64>,
    /// Whether a flush has told the failures.
    told: Arc<AtomicBool>,
    ended: watch::Receiver<()>,
}

impl FlushGroup {
    /// Counts a record of the group that was not stored.
    pub(super) fn count_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

impl FlushWait {
    fn has_ended(&self) -> bool {
        self.ended.has_changed().is_err()
    }

    /// Waits until all records have their results, and returns the number of those that were not stored.
    ///
    /// The number may be read relaxed: each record counts itself before it drops its reference to the group, and the
    /// channel closes after the last reference is dropped.
    pub(in crate::put) async fn ended(&mut self) -> u64 {
        while self.ended.changed().await.is_ok() {}
        self.failed.load(Ordering::Relaxed)
    }

    /// Notes that the caller of a flush gets to know the failures. Those of a flush that is dropped before are told by the
    /// next one.
    pub(in crate::put) fn tell(self) {
        self.told.store(true, Ordering::Relaxed);
    }
}

/// The flush group of the records that are accepted now, and the waiters for those before it.
#[derive(Debug)]
pub(in crate::put) struct FlushGroups {
    shared: Arc<Shared>,
    current: Arc<FlushGroup>,
    current_end: FlushWait,
    /// The groups that were closed by a flush and have not ended, or have failures that it has not told yet.
    /// Their number is bounded by that of the records: a group without records is not closed.
    closed: Vec<FlushWait>,
}

impl FlushGroups {
    pub(in crate::put) fn new(shared: Arc<Shared>) -> Self {
        let (current, current_end) = flush_group(&shared);
        Self {
            shared,
            current,
            current_end,
            closed: Vec::new(),
        }
    }

    pub(in crate::put) fn current(&self) -> Arc<FlushGroup> {
        Arc::clone(&self.current)
    }

    /// Closes the current flush group. Returns the waiters of all groups that a flush has to wait for.
    pub(in crate::put) fn close(&mut self) -> Vec<FlushWait> {
        self.forget_ended();
        // A record that fails on another thread, as one does whose runtime shuts down, races with a flush:
        //
        //   record                             flush
        //   failed += 1
        //   drops its reference (release)
        //                                      looks for other references (acquire): none
        //                                      looks at `failed`: sees the record
        //
        // `Arc::strong_count` reads relaxed. With it the flush could see that the reference is gone, but not the
        // failure that was counted before, and report that all records were stored.
        let has_records = Arc::get_mut(&mut self.current).is_none();
        if has_records || self.current.failed.load(Ordering::Relaxed) > 0 {
            let (current, current_end) = flush_group(&self.shared);
            self.current = current;
            self.closed
                .push(std::mem::replace(&mut self.current_end, current_end));
        }
        self.closed.clone()
    }

    /// Whether a flush waits for records.
    pub(in crate::put) fn is_flushing(&mut self) -> bool {
        self.forget_ended();
        self.closed.iter().any(|end| !end.has_ended())
    }

    fn forget_ended(&mut self) {
        let mut untold = 0;
        self.closed.retain_mut(|end| {
            if !end.has_ended() {
                return true;
            }
            let failed = end.failed.load(Ordering::Relaxed);
            // No other reference (acquire): the flush has ended or was dropped, and `told` says which.
            let is_awaited = Arc::get_mut(&mut end.failed).is_none();
            let is_told = end.told.load(Ordering::Relaxed);
            if !is_awaited && !is_told {
                untold += failed;
            }
            failed > 0 && is_awaited && !is_told
        });
        self.current_end.failed.fetch_add(untold, Ordering::Relaxed);
    }
}

fn flush_group(shared: &Arc<Shared>) -> (Arc<FlushGroup>, FlushWait) {
    let failed = Arc::new(AtomicU64::new(0));
    let (lives, ended) = watch::channel(());
    let flush_group = FlushGroup {
        shared: Arc::clone(shared),
        failed: Arc::clone(&failed),
        _lives: lives,
    };
    let told = Arc::default();
    let wait = FlushWait {
        failed,
        told,
        ended,
    };
    (Arc::new(flush_group), wait)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::put::tests::shared;

    fn flush_groups() -> FlushGroups {
        FlushGroups::new(shared())
    }

    #[test]
    fn a_flush_waits_for_all_groups_before_it_and_not_for_later_records() {
        let mut flush_groups = flush_groups();
        let (first, second) = (flush_groups.current(), {
            flush_groups.close();
            flush_groups.current()
        });
        let ends = flush_groups.close();
        let later = flush_groups.current();
        assert_eq!(ends.len(), 2);
        let all = || ends.iter().all(FlushWait::has_ended);
        drop(second);
        assert!(!all());
        first.count_failed();
        drop(first);
        assert!(all() && !flush_groups.is_flushing());
        let failed: u64 = ends
            .into_iter()
            .filter_map(|mut end| end.ended().now_or_never())
            .sum();
        assert_eq!(failed, 1);
        drop(later);
    }

    #[test]
    fn failures_before_the_flush_are_told_and_empty_groups_are_not_kept() {
        let mut flush_groups = flush_groups();
        flush_groups.current().count_failed();
        // A flush that is dropped tells nothing, so the next one does.
        assert_eq!(flush_groups.close().len(), 1);
        let ends = flush_groups.close();
        assert_eq!(ends.len(), 1);
        ends.into_iter().for_each(FlushWait::tell);
        assert!(flush_groups.close().is_empty());
    }

    #[test]
    fn a_failure_that_was_told_is_not_told_again_while_an_earlier_flush_still_waits() {
        let mut flush_groups = flush_groups();
        flush_groups.current().count_failed();
        let first = flush_groups.close();
        // Another flush also waits for that group, and for a record that is not stored yet.
        let pending = flush_groups.current();
        let second = flush_groups.close();
        assert_eq!((first.len(), second.len()), (1, 2));
        first.into_iter().for_each(FlushWait::tell);
        assert_eq!(flush_groups.close().len(), 1, "only the pending one");
        drop((second, pending));
    }
}
