//! Flush groups (barriers): a flush waits for all records that were accepted before it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::watch;

use crate::put::admission::shared::Shared;

/// The records that were accepted between two flushes: each holds it until it has its result.
#[derive(Debug)]
pub(in crate::put) struct FlushGroup {
    /// The shared part of the pipeline, for its records: one reference count serves both.
    pub(super) shared: Arc<Shared>,
    failed: Arc<AtomicU64>,
    /// Held for its drop, which tells that all records have their results.
    _lives: watch::Sender<()>,
}

/// Tells when a flush group's records all have their results.
#[derive(Clone, Debug)]
pub(in crate::put) struct FlushWait {
    failed: Arc<AtomicU64>,
    ended: watch::Receiver<()>,
}

impl FlushGroup {
    /// One of its records was not stored.
    pub(super) fn count_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

impl FlushWait {
    fn has_ended(&self) -> bool {
        self.ended.has_changed().is_err()
    }

    /// Waits for the end, and tells how many records were not stored.
    pub(in crate::put) async fn ended(mut self) -> u64 {
        while self.ended.changed().await.is_ok() {}
        self.failed.load(Ordering::Relaxed)
    }
}

/// The flush group of the records that are accepted now, and the ends of those before that some flush waits for.
#[derive(Debug)]
pub(in crate::put) struct FlushGroups {
    shared: Arc<Shared>,
    current: Arc<FlushGroup>,
    current_end: FlushWait,
    /// Bounded by the records that are held: a flush group without records is not closed.
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

    /// Closes the flush group. Returns what a flush has to wait for.
    pub(in crate::put) fn close(&mut self) -> Vec<FlushWait> {
        let has_records = Arc::strong_count(&self.current) > 1;
        if has_records || self.current.failed.load(Ordering::Relaxed) > 0 {
            let (current, current_end) = flush_group(&self.shared);
            self.current = current;
            self.closed
                .push(std::mem::replace(&mut self.current_end, current_end));
        }
        let ends = self.closed.clone();
        self.forget_ended();
        ends
    }

    /// Whether a flush waits.
    pub(in crate::put) fn is_flushing(&mut self) -> bool {
        self.forget_ended();
        !self.closed.is_empty()
    }

    fn forget_ended(&mut self) {
        self.closed.retain(|end| !end.has_ended());
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
    (Arc::new(flush_group), FlushWait { failed, ended })
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
            .filter_map(|end| end.ended().now_or_never())
            .sum();
        assert_eq!(failed, 1);
        drop(later);
    }

    #[test]
    fn failures_before_the_flush_are_told_and_empty_groups_are_not_kept() {
        let mut flush_groups = flush_groups();
        flush_groups.current().count_failed();
        assert_eq!(flush_groups.close().len(), 1);
        assert!(flush_groups.close().is_empty());
    }
}
