//! One stream: its status and settings, and its due changes.

mod answers;
mod state;

use std::{
    ops::{Deref, DerefMut},
    sync::{
        RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

pub(in crate::local) use answers::{shard_missing, shard_not_found, stream_not_found};
pub(in crate::local) use state::{
    Change, RECORD_KIB_DEFAULT, RETENTION_HOURS_DEFAULT, StreamState,
};

use super::{
    changes::{Extent, Marks},
    shard::Shard,
};
use crate::{
    local::{api_error::ApiError, locks},
    service::StreamStatus,
};

const NEVER: u64 = u64::MAX;

/// The interval at which a stream in use frees expired records of shards that are not used.
const TIDY_EVERY_MILLIS: u64 = 60_000;

/// A stream.
#[derive(Debug)]
pub(in crate::local) struct Stream {
    pub(in crate::local) name: String,
    pub(in crate::local) arn: String,
    pub(in crate::local) account_id: String,
    /// The generation, which tells this stream from earlier and later ones of the same name.
    pub(in crate::local) generation: u64,
    pub(in crate::local) created_millis: u64,
    /// The time at which the pending change is due; [`NEVER`] if there is none.
    due_millis: AtomicU64,
    /// The time at which expired records are next freed.
    tidy_millis: AtomicU64,
    state: RwLock<StreamState>,
    marks: Marks,
}

/// The state of a stream for writing. The keeper learns of a change when this is dropped.
#[derive(Debug)]
pub(in crate::local) struct StateGuard<'a> {
    state: RwLockWriteGuard<'a, StreamState>,
    stream: &'a Stream,
    changed: bool,
}

impl Stream {
    pub(in crate::local) fn new(
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

    /// Sets the time at which a restored change is due. Expired records are freed at the first call.
    #[cfg(feature = "local-durable")]
    pub(super) fn due_at(self, due_millis: u64) -> Self {
        self.due_millis.store(due_millis, Ordering::Release);
        self.tidy_millis.store(0, Ordering::Release);
        self
    }

    /// Returns the state without carrying out due changes.
    #[cfg(feature = "local-durable")]
    pub(in crate::local) fn as_it_stands(&self) -> RwLockReadGuard<'_, StreamState> {
        locks::read(&self.state)
    }

    /// Makes a reader of records up to this counter wait until they are on disk, since their put may not have marked them
    /// yet.
    pub(in crate::local) fn mark_read(&self, shard: &Shard, counter: u64) {
        if self.marks.is_some() && !shard.is_kept(counter) {
            self.mark_records();
        }
    }

    /// Tells the keeper that the stream has new records. Without a keeper it costs a branch.
    pub(in crate::local) fn mark_records(&self) {
        if let Some(changes) = &self.marks {
            changes.mark_stream(self.generation, Extent::Records);
        }
    }

    /// Returns the state for reading, after carrying out due changes.
    ///
    /// The due times are read without the lock. One that another thread sets at the same time is missed, as if this call had
    /// come before; it is later than now, as `schedule` carries out earlier ones itself.
    pub(in crate::local) fn read(&self, now_millis: u64) -> RwLockReadGuard<'_, StreamState> {
        let is_due = |at: &AtomicU64| at.load(Ordering::Acquire) <= now_millis;
        if is_due(&self.due_millis) || is_due(&self.tidy_millis) {
            drop(self.write(now_millis));
        }
        locks::read(&self.state)
    }

    /// Returns the state for writing, after carrying out due changes.
    pub(in crate::local) fn write(&self, now_millis: u64) -> StateGuard<'_> {
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

    /// Returns the time at which the pending change is due; [`NEVER`] if there is none.
    pub(in crate::local) fn due_millis(&self) -> u64 {
        self.due_millis.load(Ordering::Acquire)
    }

    /// Schedules a change for this time; carries it out at once if the time has come.
    pub(in crate::local) fn schedule(
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

    /// Returns the state for writing, of a stream that is active: others cannot be changed.
    pub(in crate::local) fn write_active(
        &self,
        now_millis: u64,
    ) -> Result<StateGuard<'_>, ApiError> {
        let state = self.write(now_millis);
        if state.status != StreamStatus::Active {
            return Err(self.not_active(state.status));
        }
        Ok(state)
    }

    /// Whether the stream has been deleted and its time has come.
    pub(in crate::local) fn is_gone(&self, now_millis: u64) -> bool {
        self.read(now_millis).is_gone()
    }

    /// Refuses a change of a stream that is being created or deleted.
    pub(in crate::local) fn check_usable(&self, state: &StreamState) -> Result<(), ApiError> {
        if state.is_usable() {
            return Ok(());
        }
        Err(self.not_active(state.status))
    }

    /// Refuses an operation that only provisioned streams allow.
    pub(in crate::local) fn check_provisioned(&self, state: &StreamState) -> Result<(), ApiError> {
        if state.is_on_demand {
            return Err(ApiError::validation(format!(
                "Request is invalid. Stream {} under account {} is in On-Demand mode.",
                self.name, self.account_id
            )));
        }
        Ok(())
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
