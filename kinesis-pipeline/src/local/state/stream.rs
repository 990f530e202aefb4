//! One stream: its status and settings, and what is due to happen to it.

use std::sync::{
    RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicU64, Ordering},
};

use super::{shard::Shard, topology::Topology};
use crate::{
    local::{api_error::ApiError, locks},
    service::StreamStatus,
    shard::HashKey,
};

/// How long records are kept unless it is changed.
pub(crate) const RETENTION_HOURS_DEFAULT: u32 = 24;
/// The largest record that a stream takes unless it is changed, in KiB.
pub(crate) const RECORD_KIB_DEFAULT: u32 = 1024;

const NEVER: u64 = u64::MAX;

/// A stream. Its name means this one until it is deleted.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) account_id: String,
    /// Tells this stream from earlier and later ones of the same name.
    pub(crate) generation: u64,
    pub(crate) created_millis: u64,
    /// When the pending change is due; [`NEVER`] if there is none.
    due_millis: AtomicU64,
    state: RwLock<StreamState>,
}

/// What changes about a stream.
#[derive(Debug)]
pub(crate) struct StreamState {
    pub(crate) status: StreamStatus,
    pub(crate) topology: Topology,
    pub(crate) retention_hours: u32,
    pub(crate) record_kib_max: u32,
    pub(crate) is_on_demand: bool,
    pending: Option<Change>,
}

/// What happens to a stream once its time has come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// The stream becomes usable.
    Create,
    /// A shard is split.
    Split { parent: u32, second_start: HashKey },
    /// Two shards are merged.
    Merge { first: u32, second: u32 },
    /// The shards are split and merged to this many.
    Spread { shard_count: u32 },
    /// The stream goes.
    Delete,
}

impl Stream {
    pub(crate) fn new(
        name: String,
        arn: String,
        account_id: String,
        generation: u64,
        now_millis: u64,
        state: StreamState,
    ) -> Self {
        Self {
            name,
            arn,
            account_id,
            generation,
            created_millis: now_millis,
            due_millis: AtomicU64::new(NEVER),
            state: RwLock::new(state),
        }
    }

    /// The state for reading, with everything done that is due.
    pub(crate) fn read(&self, now_millis: u64) -> RwLockReadGuard<'_, StreamState> {
        if self.due_millis.load(Ordering::Acquire) <= now_millis {
            drop(self.write(now_millis));
        }
        locks::read(&self.state)
    }

    /// The state for writing, with everything done that is due.
    pub(crate) fn write(&self, now_millis: u64) -> RwLockWriteGuard<'_, StreamState> {
        let mut state = locks::write(&self.state);
        let due_millis = self.due_millis.load(Ordering::Acquire);
        if due_millis <= now_millis {
            state.carry_out(due_millis);
            self.due_millis.store(NEVER, Ordering::Release);
        }
        state
    }

    /// Has a change happen at this time: at once if the time has come.
    pub(crate) fn schedule(
        &self,
        state: &mut StreamState,
        change: Change,
        due_millis: u64,
        now_millis: u64,
    ) {
        state.status = change.status_meanwhile();
        state.pending = Some(change);
        if due_millis <= now_millis {
            state.carry_out(due_millis);
            self.due_millis.store(NEVER, Ordering::Release);
        } else {
            self.due_millis.store(due_millis, Ordering::Release);
        }
    }

    /// Whether the stream has been deleted and its time has come.
    pub(crate) fn is_gone(&self, now_millis: u64) -> bool {
        let state = self.read(now_millis);
        state.status == StreamStatus::Deleting && state.pending.is_none()
    }

    /// The service's answer for this stream when it cannot be used or is not there.
    pub(crate) fn not_found(&self) -> ApiError {
        stream_not_found(&self.name, &self.account_id)
    }

    /// The service's answer when the stream is not active.
    pub(crate) fn not_active(&self, status: StreamStatus) -> ApiError {
        ApiError::in_use(format!(
            "Stream {} under account {} not ACTIVE, instead in state {status}",
            self.name, self.account_id
        ))
    }

    /// The service's answer for a shard that is not there, on reading and listing.
    pub(crate) fn shard_missing(&self, shard_id: &str) -> ApiError {
        ApiError::not_found(format!(
            "Shard {shard_id} in stream {} under account {} does not exist",
            self.name, self.account_id
        ))
    }

    /// The service's answer for a shard that cannot be found, on splitting and merging.
    pub(crate) fn shard_not_found(&self, shard_id: &str) -> ApiError {
        ApiError::not_found(format!(
            "Could not find shard {shard_id} in stream {} under account {}.",
            self.name, self.account_id
        ))
    }

    /// The service's answer for a shard that is closed already, on splitting and merging.
    pub(crate) fn shard_not_open(&self, shard: &Shard) -> ApiError {
        ApiError::invalid_argument(format!(
            "Shard {} in stream {} under account {} is closed: only open shards can be split or merged",
            shard.id, self.name, self.account_id
        ))
    }
}

/// The service's answer for a stream that is not there.
pub(crate) fn stream_not_found(name: &str, account_id: &str) -> ApiError {
    ApiError::not_found(format!(
        "Stream {name} under account {account_id} not found."
    ))
}

impl StreamState {
    /// A stream that is not usable yet, with no shards.
    pub(crate) fn new(is_on_demand: bool, topology: Topology) -> Self {
        Self {
            status: StreamStatus::Creating,
            topology,
            retention_hours: RETENTION_HOURS_DEFAULT,
            record_kib_max: RECORD_KIB_DEFAULT,
            is_on_demand,
            pending: None,
        }
    }

    /// Whether records can be put and read.
    pub(crate) fn is_usable(&self) -> bool {
        matches!(self.status, StreamStatus::Active | StreamStatus::Updating)
    }

    /// The largest record that the stream takes, data and key.
    pub(crate) fn record_bytes_max(&self) -> usize {
        self.record_kib_max as usize * 1024
    }

    /// Records that arrived before this time have expired.
    pub(crate) fn horizon_millis(&self, now_millis: u64) -> u64 {
        now_millis.saturating_sub(u64::from(self.retention_hours) * 3_600_000)
    }

    /// The shard with this index, unless it has expired.
    pub(crate) fn shard(&self, index: u32, now_millis: u64) -> Option<&Shard> {
        let horizon = self.horizon_millis(now_millis);
        self.topology
            .shard(index)
            .filter(|shard| !shard.is_expired(horizon))
    }

    /// The shards that have not expired, by index.
    pub(crate) fn shards(&self, now_millis: u64) -> impl DoubleEndedIterator<Item = &Shard> {
        let horizon = self.horizon_millis(now_millis);
        self.topology
            .shards()
            .filter(move |shard| !shard.is_expired(horizon))
    }

    fn carry_out(&mut self, at_millis: u64) {
        let Some(change) = self.pending.take() else {
            return;
        };
        self.topology.forget_expired(self.horizon_millis(at_millis));
        match change {
            Change::Create => {}
            Change::Split {
                parent,
                second_start,
            } => {
                self.topology.split(parent, second_start, at_millis);
            }
            Change::Merge { first, second } => self.topology.merge(first, second, at_millis),
            Change::Spread { shard_count } => self.topology.spread(shard_count, at_millis),
            Change::Delete => return self.topology = Topology::default(),
        }
        self.status = StreamStatus::Active;
    }
}

impl Change {
    fn status_meanwhile(self) -> StreamStatus {
        match self {
            Self::Create => StreamStatus::Creating,
            Self::Split { .. } | Self::Merge { .. } | Self::Spread { .. } => StreamStatus::Updating,
            Self::Delete => StreamStatus::Deleting,
        }
    }
}
