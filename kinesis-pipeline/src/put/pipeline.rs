//! The pipeline as its handles share it: the way in, and who drives it.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::{runtime::Handle, sync::oneshot, time::Instant};

use super::{
    admission::{
        budget::{Charge, Permit},
        shared::Shared,
    },
    driver::Driver,
    error::PutError,
    handles::producer::FlushError,
    inbox::{ARRIVAL_WEIGHT, Closed, Inbox},
    pending::{pending::Queued, receipt::PendingReceipt},
    scheduler::scheduler::Scheduler,
};
use crate::record::EncodedRecord;

/// One put pipeline: a queue that takes records, and a driver that runs while there is something to do.
#[derive(Debug)]
pub(super) struct Pipeline {
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    home: Mutex<Home>,
    /// Whether a driver has the state. It is set to false before that driver takes what has arrived for the last
    /// time, and read after each put: no record is left behind.
    driven: AtomicBool,
    /// At which weight a patient driver is woken.
    coalesce_weight: usize,
}

/// The scheduler while no driver runs.
#[derive(Debug)]
struct Home {
    /// Absent while a driver has it.
    state: Option<Box<Scheduler>>,
    /// The runtime of the last driver: a thread without a runtime may put after that driver has parked.
    runtime: Option<Handle>,
}

/// A driver whose timer runs anyway is woken when so much has come, or half of what there is room for: waking it for
/// each record costs as much as sending the record.
const COALESCE_WEIGHT_MAX: usize = 384 * 1024;

impl Pipeline {
    pub(super) fn new(shared: Shared, rng: fastrand::Rng) -> Arc<Self> {
        let options = &shared.options;
        let records_weight = options.in_flight_records_max.saturating_mul(ARRIVAL_WEIGHT);
        let room_weight = options.in_flight_bytes_max.min(records_weight);
        let coalesce_weight = (room_weight / 2).clamp(1, COALESCE_WEIGHT_MAX);
        let shared = Arc::new(shared);
        let (inbox, outlet) = Inbox::new(Arc::clone(&shared));
        let state = Scheduler::new(Arc::clone(&shared), outlet, rng);
        Arc::new(Self {
            shared,
            inbox,
            home: Mutex::new(Home {
                state: Some(Box::new(state)),
                runtime: None,
            }),
            driven: AtomicBool::new(false),
            coalesce_weight,
        })
    }

    pub(super) fn now(&self) -> Instant {
        self.shared.target.clock.instant()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Accepts a record once there is room for it. Cancel safe: until it returns, nothing is accepted.
    pub(super) async fn put(
        self: &Arc<Self>,
        record: EncodedRecord,
    ) -> Result<PendingReceipt, PutError> {
        match self.try_put(record)? {
            Ok(pending) => Ok(pending),
            Err(record) => self.put_later(record).await,
        }
    }

    /// Waits until it is known that the stream takes such a record, and until there is room for it.
    async fn put_later(
        self: &Arc<Self>,
        record: EncodedRecord,
    ) -> Result<PendingReceipt, PutError> {
        let bytes = record.size_bytes();
        self.shared.limit.check(bytes, &self.shared).await?;
        let permit = self.reserve(bytes).await?;
        self.put_reserved(record, permit)
    }

    /// Accepts a record if there is room for it and the stream is known to take one of its size, or gives it
    /// back: it may be that [`put`](Self::put) accepts it.
    pub(super) fn try_put(
        self: &Arc<Self>,
        record: EncodedRecord,
    ) -> Result<Result<PendingReceipt, EncodedRecord>, PutError> {
        let bytes = record.size_bytes();
        self.ready()?;
        let allowed = self.shared.limit.allows(bytes);
        let charge = allowed.then(|| self.shared.budget.try_acquire(bytes));
        Ok(match charge.flatten() {
            Some(charge) => Ok(self.accept(record, charge)?),
            None => Err(record),
        })
    }

    /// Waits for room for a record of this size. Cancel safe.
    pub(super) async fn reserve(&self, bytes: usize) -> Result<Permit, PutError> {
        self.ready()?;
        Ok(self.shared.budget.acquire(bytes).await)
    }

    /// Accepts a record that has room.
    pub(super) fn put_reserved(
        self: &Arc<Self>,
        record: EncodedRecord,
        permit: Permit,
    ) -> Result<PendingReceipt, PutError> {
        self.ready()?;
        self.accept(record, permit.hand_over())
    }

    /// Accepts no more records, and waits until those that were accepted have their results.
    pub(super) async fn close(self: &Arc<Self>) -> Result<(), FlushError> {
        self.inbox.close();
        self.flush().await
    }

    /// Checks whether records are accepted.
    fn ready(&self) -> Result<(), PutError> {
        if !self.inbox.is_closed() {
            return self.has_runtime();
        }
        Err(self.closed())
    }

    #[cold]
    fn closed(&self) -> PutError {
        PutError::Closed {
            stream: self.shared.target.stream.clone(),
        }
    }

    /// Checks that a driver runs, or that there is a runtime for one.
    fn has_runtime(&self) -> Result<(), PutError> {
        if self.driven.load(Ordering::Acquire) || Handle::try_current().is_ok() {
            return Ok(());
        }
        Err(PutError::NoRuntime {
            stream: self.shared.target.stream.clone(),
        })
    }

    /// Accepts a record that has room, unless the pipeline was closed meanwhile.
    fn accept(
        self: &Arc<Self>,
        record: EncodedRecord,
        charge: Charge,
    ) -> Result<PendingReceipt, PutError> {
        let (waiter, pending) = PendingReceipt::new(self.shared.target.stream.clone());
        let arrived = self.inbox.put(Queued {
            record,
            entered_at: self.shared.target.clock.instant(),
            waiter,
            charge,
        });
        arrived.map_err(|Closed| self.closed())?;
        self.arrived();
        Ok(pending)
    }

    /// Waits until all records that were accepted before have their results.
    pub(super) async fn flush(self: &Arc<Self>) -> Result<(), FlushError> {
        let stream = || self.shared.target.stream.clone();
        if self.has_runtime().is_err() {
            return Err(FlushError::NoRuntime { stream: stream() });
        }
        let (reply, groups) = oneshot::channel();
        self.inbox.flush(reply);
        self.arrived();
        // The reply is dropped if there is no state any more to give it.
        let groups = groups.await;
        let groups = groups.map_err(|_| FlushError::Gone { stream: stream() })?;
        let mut records = 0;
        for group in groups {
            records += group.ended().await;
        }
        if records == 0 {
            return Ok(());
        }
        let stream = stream();
        Err(FlushError::NotStored { stream, records })
    }

    /// Something has come. Everybody looks for the driver: who left the first may be held up before it does.
    fn arrived(self: &Arc<Self>) {
        if !self.driven.load(Ordering::SeqCst) {
            self.start_driver();
        }
    }

    fn start_driver(self: &Arc<Self>) {
        let (state, runtime) = {
            let mut home = self.home();
            if let Ok(current) = Handle::try_current() {
                home.runtime = Some(current);
            }
            // There is one: where no driver ran before, nothing is put without a runtime.
            let Some(runtime) = home.runtime.clone() else {
                return;
            };
            self.driven.store(true, Ordering::SeqCst);
            (home.state.take(), runtime)
        };
        // On a runtime that is shutting down the task is dropped at once, which locks `home` again.
        if let Some(state) = state {
            runtime.spawn(Driver::new(Arc::clone(self), state).run());
        }
    }

    /// Loses the state, as the panic of a driver does.
    #[cfg(test)]
    pub(super) fn lose_state(&self) {
        drop(self.home().state.take());
    }

    fn home(&self) -> MutexGuard<'_, Home> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something was put since the driver took what had come; a patient driver, until much was.
    pub(super) async fn next_put(&self, coalesces: bool) {
        let weight = if coalesces { self.coalesce_weight } else { 1 };
        self.inbox.gathered(weight).await;
    }

    /// Takes the state back from a driver that has nothing to do, or gives it back if something was put
    /// meanwhile.
    pub(super) fn park(&self, mut state: Box<Scheduler>) -> Option<Box<Scheduler>> {
        let mut home = self.home();
        self.driven.store(false, Ordering::SeqCst);
        state.take_new();
        if state.is_idle() {
            state.parked();
            home.state = Some(state);
            return None;
        }
        self.driven.store(true, Ordering::SeqCst);
        Some(state)
    }

    /// Takes the state back from a driver that can go on no longer, and ends the records that it had.
    pub(super) fn abandon(&self, mut state: Box<Scheduler>) {
        let abandoned = {
            let mut home = self.home();
            self.driven.store(false, Ordering::SeqCst);
            let abandoned = state.abandon(self.now());
            home.state = Some(state);
            abandoned
        };
        let unsent = abandoned
            .iter()
            .filter(|user| !user.fate.is_in_flight())
            .count();
        if unsent > 0 {
            tracing::warn!(
                stream = %self.shared.target.stream,
                records = unsent,
                "the runtime shut down before these records were sent"
            );
        }
        // Ending a record wakes whoever waits for it: not under the lock.
        drop(abandoned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::put::{pending::receipt::PendingReceipt, tests::shared};

    fn pipeline() -> Arc<Pipeline> {
        let shared = Arc::try_unwrap(shared()).unwrap();
        Pipeline::new(shared, fastrand::Rng::with_seed(0))
    }

    #[tokio::test]
    async fn a_state_whose_driver_was_interrupted_while_it_waited_rests_with_the_next() {
        let pipeline = pipeline();
        let mut state = pipeline.home().state.take().unwrap();
        state.next_wake(pipeline.now());
        pipeline.abandon(state);
        // As if what called for a driver had been taken by another meanwhile.
        pipeline.start_driver();
        tokio::task::yield_now().await;
        assert!(pipeline.home().state.is_some());
    }

    #[tokio::test]
    async fn records_that_come_when_the_state_is_lost_end_and_give_their_room_back() {
        let pipeline = pipeline();
        pipeline.lose_state();
        let budget = pipeline.shared.options.in_flight_records_max;
        for _ in 0..=budget {
            let key = crate::PartitionKey::new("k").unwrap();
            let record = EncodedRecord::new(key, bytes::Bytes::new());
            let pending: PendingReceipt = pipeline.put(record).await.unwrap();
            assert!(matches!(pending.await, Err(PutError::Gone { .. })));
        }
        assert_eq!(
            pipeline.shared.counters.snapshot().records_failed,
            budget as u64 + 1
        );
    }

    fn a_record() -> EncodedRecord {
        let key = crate::PartitionKey::new("k").unwrap();
        EncodedRecord::new(key, bytes::Bytes::new())
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_or_a_close_is_an_error_when_the_state_is_lost() {
        let pipeline = pipeline();
        pipeline.flush().await.unwrap();
        pipeline.lose_state();
        let stream = pipeline.shared.target.stream.clone();
        let gone = Err(FlushError::Gone { stream });
        assert_eq!(pipeline.flush().await, gone);
        assert_eq!(pipeline.close().await, gone);
    }

    #[tokio::test(start_paused = true)]
    async fn a_put_that_was_overtaken_by_close_is_turned_away_and_counts_nowhere() {
        let pipeline = pipeline();
        pipeline.close().await.unwrap();
        let budget = pipeline.shared.options.in_flight_records_max;
        for _ in 0..=budget {
            let charge = pipeline.shared.budget.try_acquire(1).unwrap();
            let refused = pipeline.accept(a_record(), charge);
            assert!(matches!(refused, Err(PutError::Closed { .. })));
        }
        let stats = pipeline.shared.counters.snapshot();
        assert_eq!((stats.records_accepted, stats.records_pending), (0, 0));
        pipeline.close().await.unwrap();
    }
}
