use std::{sync::Arc, time::Duration};

use super::{ErrorPolicy, builder::Checkpointing};
use crate::fleet::lease::{WorkerId, plan::Rules, sync::Initial};
use crate::{Order, get::ReaderOptions};

/// The renewal interval, in percent of the fail-over time. KCL renews after a third of it. A longer interval halves the
/// requests, and still leaves time for two more tries.
const RENEW_PERCENT: u32 = 70;
/// The time limit of a call of the store, in percent of the fail-over time.
const CALL_PERCENT: u32 = 15;
/// The number of rounds in a fail-over time while this worker waits for a hand-over.
const HAND_OVER_LOOKS: u32 = 5;

/// The settings of a worker; see the setters of [`WorkerBuilder`](super::WorkerBuilder).
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) app: Arc<str>,
    /// Whether lease keys name the stream.
    pub(super) is_multi_stream: bool,
    pub(super) me: WorkerId,
    pub(super) failover: Duration,
    pub(super) hand_over_max: Duration,
    pub(super) stop_max: Duration,
    pub(super) leases_max: usize,
    pub(super) initial: Initial,
    pub(super) checkpointing: Checkpointing,
    pub(super) checkpoint_interval: Duration,
    pub(super) batch: BatchLimits,
    /// The number of processors for each shard.
    pub(super) lanes: usize,
    /// The order that lanes keep.
    pub(super) order: Order,
    pub(super) on_error: ErrorPolicy,
    /// The time without progress after which a shard counts as stalled.
    pub(super) stalled_after: Duration,
    pub(super) reader: ReaderOptions,
}

/// The limits at which a batch is complete.
#[expect(clippy::struct_field_names, reason = "each is a limit")]
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchLimits {
    pub(super) records_max: usize,
    pub(super) bytes_max: usize,
    /// The longest time for which a batch waits for more records.
    pub(super) wait_max: Duration,
}

impl Settings {
    pub(super) fn rules(&self) -> Rules {
        Rules {
            failover: self.failover,
            hand_over_max: self.hand_over_max,
            leases_max: self.leases_max,
        }
    }

    /// Returns the limits for reading. With lanes, batches are read without a wait: the lanes wait for more records
    /// themselves.
    pub(super) fn gather_limits(&self) -> BatchLimits {
        let wait_max = if self.lanes == 1 {
            self.batch.wait_max
        } else {
            Duration::ZERO
        };
        BatchLimits {
            wait_max,
            ..self.batch
        }
    }

    pub(super) fn renew_interval(&self) -> Duration {
        self.failover * RENEW_PERCENT / 100
    }

    pub(super) fn call_max(&self) -> Duration {
        self.failover * CALL_PERCENT / 100
    }

    pub(super) fn round_interval(&self) -> Duration {
        self.failover
    }

    pub(super) fn hand_over_look_interval(&self) -> Duration {
        self.failover / HAND_OVER_LOOKS
    }
}
