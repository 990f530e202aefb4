//! One stream: its status and settings, and what is due to happen to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Deref, DerefMut},
    sync::{
        RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    changes::{Extent, Marks},
    consumer::Consumer,
    shard::Shard,
    topology::Topology,
};
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

/// How often a stream in use frees what has expired in shards that nobody puts to or reads.
const TIDY_EVERY_MILLIS: u64 = 60_000;

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
    /// When expired records are next freed.
    tidy_millis: AtomicU64,
    state: RwLock<StreamState>,
    marks: Marks,
}

/// The state of a stream for writing. Whoever keeps the stream learns of a change when this is dropped.
#[derive(Debug)]
pub(crate) struct StateGuard<'a> {
    state: RwLockWriteGuard<'a, StreamState>,
    stream: &'a Stream,
    changed: bool,
}

/// What changes about a stream.
#[derive(Debug)]
pub(crate) struct StreamState {
    pub(crate) status: StreamStatus,
    pub(crate) topology: Topology,
    pub(crate) retention_hours: u32,
    pub(crate) record_kib_max: u32,
    pub(crate) is_on_demand: bool,
    /// Whether the service places records and ignores their keys.
    pub(crate) is_distributed: bool,
    /// The throughput that was asked for in advance, in MiB a second.
    pub(crate) warm_mebibytes: Option<u32>,
    /// The KMS key that records are said to be encrypted with.
    pub(crate) key_id: Option<String>,
    pub(crate) metrics: BTreeSet<&'static str>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) policy: Option<String>,
    pub(crate) consumers: BTreeMap<String, Consumer>,
    pub(super) pending: Option<Change>,
}

/// What happens to a stream once its time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The stream becomes usable.
    Create,
    /// A shard is split.
    Split { parent: u32, second_start: HashKey },
    /// Two shards are merged.
    Merge { first: u32, second: u32 },
    /// A setting takes effect; it is set already.
    Update,
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
        marks: Marks,
    ) -> Self {
        Self {
            name,
            arn,
            account_id,
            generation,
            created_millis: now_millis,
            due_millis: AtomicU64::new(NEVER),
            tidy_millis: AtomicU64::new(now_millis.saturating_add(TIDY_EVERY_MILLIS)),
            state: RwLock::new(state),
            marks,
        }
    }

    /// The same with a change that is due at this time, and expired records freed at the first look.
    #[cfg(feature = "local-durable")]
    pub(super) fn due_at(self, due_millis: u64) -> Self {
        self.due_millis.store(due_millis, Ordering::Release);
        self.tidy_millis.store(0, Ordering::Release);
        self
    }

    /// The state as it stands, what is due left undone.
    #[cfg(feature = "local-durable")]
    pub(crate) fn as_it_stands(&self) -> RwLockReadGuard<'_, StreamState> {
        locks::read(&self.state)
    }

    /// Has those who read up to this counter wait until it is kept: a put that is under way marks later.
    pub(crate) fn mark_read(&self, shard: &Shard, counter: u64) {
        if self.marks.is_some() && !shard.is_kept(counter) {
            self.mark_records();
        }
    }

    /// Tells whoever keeps the stream that it has new records. Without a keeper it costs a branch.
    pub(crate) fn mark_records(&self) {
        if let Some(changes) = &self.marks {
            changes.mark_stream(self.generation, Extent::Records);
        }
    }

    /// The state for reading, with everything done that is due.
    pub(crate) fn read(&self, now_millis: u64) -> RwLockReadGuard<'_, StreamState> {
        let is_due = |at: &AtomicU64| at.load(Ordering::Acquire) <= now_millis;
        if is_due(&self.due_millis) || is_due(&self.tidy_millis) {
            drop(self.write(now_millis));
        }
        locks::read(&self.state)
    }

    /// The state for writing, with everything done that is due.
    pub(crate) fn write(&self, now_millis: u64) -> StateGuard<'_> {
        let mut state = StateGuard {
            state: locks::write(&self.state),
            stream: self,
            changed: false,
        };
        let due_millis = self.due_millis.load(Ordering::Acquire);
        if due_millis <= now_millis {
            state.carry_out(due_millis);
            self.due_millis.store(NEVER, Ordering::Release);
        }
        if self.tidy_millis.load(Ordering::Acquire) <= now_millis {
            let horizon_millis = state.horizon_millis(now_millis);
            state.topology.forget_expired(horizon_millis);
            let next = now_millis.saturating_add(TIDY_EVERY_MILLIS);
            self.tidy_millis.store(next, Ordering::Release);
        }
        state
    }

    /// When the pending change is due; [`NEVER`] if there is none.
    pub(crate) fn due_millis(&self) -> u64 {
        self.due_millis.load(Ordering::Acquire)
    }

    /// Has a change happen at this time: at once if the time has come.
    pub(crate) fn schedule(
        &self,
        state: &mut StreamState,
        change: Change,
        due_millis: u64,
        now_millis: u64,
    ) {
        state.topology.wake();
        state.status = change.status_meanwhile();
        state.pending = Some(change);
        if due_millis <= now_millis {
            state.carry_out(due_millis);
            self.due_millis.store(NEVER, Ordering::Release);
        } else {
            self.due_millis.store(due_millis, Ordering::Release);
        }
    }

    /// The state for writing, of a stream that is active: others cannot be changed.
    pub(crate) fn write_active(&self, now_millis: u64) -> Result<StateGuard<'_>, ApiError> {
        let state = self.write(now_millis);
        if state.status != StreamStatus::Active {
            return Err(self.not_active(state.status));
        }
        Ok(state)
    }

    /// Whether the stream has been deleted and its time has come.
    pub(crate) fn is_gone(&self, now_millis: u64) -> bool {
        self.read(now_millis).is_gone()
    }

    /// Refuses an operation that only provisioned streams allow.
    pub(crate) fn check_provisioned(
        &self,
        state: &StreamState,
        operation: &str,
    ) -> Result<(), ApiError> {
        if state.is_on_demand {
            return Err(ApiError::validation(format!(
                "{operation} is not supported on stream {} under account {}: it is in the ON_DEMAND mode",
                self.name, self.account_id
            )));
        }
        Ok(())
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

    /// The service's answer when a shard's throughput is used up.
    pub(crate) fn rate_exceeded(&self, shard: &Shard) -> ApiError {
        ApiError::throughput_exceeded(format!(
            "Rate exceeded for shard {} in stream {} under account {}.",
            shard.id, self.name, self.account_id
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

impl Deref for StateGuard<'_> {
    type Target = StreamState;

    fn deref(&self) -> &StreamState {
        &self.state
    }
}

impl DerefMut for StateGuard<'_> {
    fn deref_mut(&mut self) -> &mut StreamState {
        self.changed = true;
        &mut self.state
    }
}

impl Drop for StateGuard<'_> {
    fn drop(&mut self) {
        if let Some(changes) = &self.stream.marks
            && self.changed
        {
            changes.mark_stream(self.stream.generation, Extent::Whole);
        }
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
            is_distributed: false,
            warm_mebibytes: None,
            key_id: None,
            metrics: BTreeSet::new(),
            tags: BTreeMap::new(),
            policy: None,
            consumers: BTreeMap::new(),
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

    /// The consumers that are registered, by name.
    pub(crate) fn consumers(&self, now_millis: u64) -> impl Iterator<Item = &Consumer> {
        let consumers = self.consumers.values();
        consumers.filter(move |consumer| !consumer.is_gone(now_millis))
    }

    /// Whether the stream has been deleted, and nothing of it is left.
    pub(crate) fn is_gone(&self) -> bool {
        self.status == StreamStatus::Deleting && self.pending.is_none()
    }

    /// How records are said to be encrypted.
    pub(crate) fn encryption_type(&self) -> &'static str {
        if self.key_id.is_some() { "KMS" } else { "NONE" }
    }

    fn carry_out(&mut self, at_millis: u64) {
        let Some(change) = self.pending.take() else {
            return;
        };
        self.topology.wake();
        self.topology.forget_expired(self.horizon_millis(at_millis));
        match change {
            Change::Create | Change::Update => {}
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
            Self::Update | Self::Split { .. } | Self::Merge { .. } | Self::Spread { .. } => {
                StreamStatus::Updating
            }
            Self::Delete => StreamStatus::Deleting,
        }
    }
}
