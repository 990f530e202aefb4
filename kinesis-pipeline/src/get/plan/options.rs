use std::{sync::Arc, time::Duration};

use super::start::OnTrimmed;
use crate::{
    get::{checkpoint::Saver, dispatch::ranges::Ranges, poll_budget::PollBudget},
    service::PAGE_RECORDS_MAX,
};

/// The settings of a reader; see the setters of [`Reader`](crate::Reader).
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a choice of its own, set by a setter of its own"
)]
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) page_records_max: u32,
    pub(crate) prefetch_bytes_max: usize,
    pub(crate) poll_interval: Duration,
    /// The longest time between two polls of a quiet shard; `None` for no back-off.
    pub(crate) poll_interval_max: Option<Duration>,
    /// The budget that quiet shards share if no longest time is set.
    pub(crate) poll_budget: Option<PollBudget>,
    pub(crate) ignores_limits: bool,
    pub(crate) outage_max: Duration,
    pub(crate) on_trimmed: OnTrimmed,
    pub(crate) saver: Option<Saver>,
    pub(crate) checkpoint_interval: Duration,
    pub(crate) require_ack: bool,
    pub(crate) keeps_aggregates: bool,
    /// The consumer to read as; `None` if shards are polled.
    pub(crate) fan_out: Option<Arc<str>>,
    /// Whether a shard that cannot be subscribed to is polled.
    pub(crate) falls_back: bool,
    /// Whether the shards are read under leases. Then another reader of the same consumer has lost its lease.
    pub(crate) is_leased: bool,
    pub(crate) drops_strays: bool,
    pub(crate) ranges: Ranges,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            page_records_max: PAGE_RECORDS_MAX,
            prefetch_bytes_max: 64 * 1024 * 1024,
            poll_interval: Duration::from_secs(1),
            poll_interval_max: None,
            poll_budget: None,
            ignores_limits: false,
            outage_max: Duration::from_mins(30),
            on_trimmed: OnTrimmed::default(),
            saver: None,
            checkpoint_interval: Duration::from_secs(5),
            require_ack: false,
            keeps_aggregates: false,
            fan_out: None,
            falls_back: false,
            is_leased: false,
            drops_strays: false,
            ranges: Ranges::default(),
        }
    }
}
