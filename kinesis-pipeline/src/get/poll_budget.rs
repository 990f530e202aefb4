use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// The polls of quiet shards that one worker makes in a second. A call costs some 150 µs of CPU time, most of it the SDK's
/// and the kernel's, so they take 3 % of a core at most.
const QUIET_POLLS_PER_SECOND: u32 = 200;

/// The budget for polls of quiet shards: the shards of one worker share it evenly. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct PollBudget {
    /// The number of shards that are polled.
    shards: Arc<AtomicU32>,
}

/// The share of one shard, given back when it is dropped.
#[derive(Debug)]
pub(in crate::get) struct PollShare(PollBudget);

impl PollBudget {
    /// Takes a share for a shard.
    pub(in crate::get) fn share(&self) -> PollShare {
        self.shards.fetch_add(1, Ordering::Relaxed);
        PollShare(self.clone())
    }

    /// Returns the time between two polls of a quiet shard by which all of them keep the budget.
    pub(in crate::get) fn interval(&self) -> Duration {
        let shards = self.shards.load(Ordering::Relaxed);
        Duration::from_secs(1) * shards / QUIET_POLLS_PER_SECOND
    }
}

impl Drop for PollShare {
    fn drop(&mut self) {
        self.0.shards.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_grows_with_the_shards_that_share_the_budget() {
        let budget = PollBudget::default();
        let shares: Vec<_> = (0..1_000).map(|_| budget.share()).collect();
        assert_eq!(budget.interval(), Duration::from_secs(5));
        drop(shares);
        assert_eq!(budget.interval(), Duration::ZERO);
    }
}
