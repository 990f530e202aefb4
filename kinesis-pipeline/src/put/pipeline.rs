//! The pipeline as its handles share it: the way in, and who drives it.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
    mpsc,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
};

use super::{
    admission::{
        budget::{Held, Permit},
        shared::Settings,
    },
    driver::Driver,
    error::PutError,
    pending::{pending::Arrived, receipt::PendingReceipt},
    scheduler::scheduler::{Arrival, State},
};
use crate::record::EncodedRecord;

/// One put pipeline: a queue that takes records without a lock, and a driver that runs while there is
/// something to do.
#[derive(Debug)]
pub(crate) struct Pipeline {
    settings: Arc<Settings>,
    queue: mpsc::Sender<Arrival>,
    home: Mutex<Home>,
    /// Whether a driver has the state. It is set to false before that driver takes what has arrived for the last
    /// time, and read by whoever puts the first record after that: no record is left behind.
    driven: AtomicBool,
    /// No more records are accepted.
    closed: AtomicBool,
    wake: Notify,
    /// The weight of what came since the driver took it last, or more.
    arrived: AtomicUsize,
    /// At which weight the driver is woken.
    wakes_at: AtomicUsize,
    /// At which weight a patient driver is woken.
    patient_weight: usize,
}

/// What is there while no driver is.
#[derive(Debug)]
struct Home {
    /// Absent while a driver has it.
    state: Option<Box<State>>,
    /// Where the last driver ran: it may rest while a thread without a runtime puts.
    runtime: Option<Handle>,
}

/// A driver whose timer runs anyway is woken when so much has come, or half of what there is room for: waking it for
/// each record costs as much as sending the record.
const PATIENT_WEIGHT_MAX: usize = 384 * 1024;
/// What each arrival weighs besides its bytes.
const ARRIVAL_WEIGHT: usize = 512;

impl Pipeline {
    pub(crate) fn new(settings: Settings, rng: fastrand::Rng) -> Arc<Self> {
        let options = &settings.options;
        let records_weight = options.in_flight_records_max.saturating_mul(ARRIVAL_WEIGHT);
        let room_weight = options.in_flight_bytes_max.min(records_weight);
        let patient_weight = (room_weight / 2).clamp(1, PATIENT_WEIGHT_MAX);
        let settings = Arc::new(settings);
        let (queue, received) = mpsc::channel();
        let state = State::new(Arc::clone(&settings), received, rng);
        Arc::new(Self {
            settings,
            queue,
            home: Mutex::new(Home {
                state: Some(Box::new(state)),
                runtime: None,
            }),
            driven: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            wake: Notify::new(),
            arrived: AtomicUsize::new(0),
            wakes_at: AtomicUsize::new(1),
            patient_weight,
        })
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Accepts a record once there is room for it. Cancel safe: until it returns, nothing is accepted.
    pub(crate) async fn put(
        self: &Arc<Self>,
        record: EncodedRecord,
    ) -> Result<PendingReceipt, PutError> {
        let bytes = record.size_bytes();
        self.settings.limit.check(bytes, &self.settings).await?;
        self.ready()?;
        if let Some(held) = self.settings.room.try_acquire(bytes) {
            return Ok(self.accept(record, held));
        }
        let permit = self.settings.room.acquire(bytes).await;
        self.put_reserved(record, permit)
    }

    /// Accepts a record if there is room for it and the stream is known to take one of its size, or gives it
    /// back: it may be that [`put`](Self::put) accepts it.
    pub(crate) fn try_put(
        self: &Arc<Self>,
        record: EncodedRecord,
    ) -> Result<Result<PendingReceipt, EncodedRecord>, PutError> {
        let bytes = record.size_bytes();
        self.ready()?;
        let allowed = self.settings.limit.allows(bytes);
        let held = allowed.then(|| self.settings.room.try_acquire(bytes));
        Ok(match held.flatten() {
            Some(held) => Ok(self.accept(record, held)),
            None => Err(record),
        })
    }

    /// Waits for room for a record of this size. Cancel safe.
    pub(crate) async fn reserve(&self, bytes: usize) -> Result<Permit, PutError> {
        self.ready()?;
        Ok(self.settings.room.acquire(bytes).await)
    }

    /// Accepts a record that has room.
    pub(crate) fn put_reserved(
        self: &Arc<Self>,
        record: EncodedRecord,
        permit: Permit,
    ) -> Result<PendingReceipt, PutError> {
        self.ready()?;
        Ok(self.accept(record, permit.hand_over()))
    }

    /// Accepts no more records.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Checks whether records are accepted.
    fn ready(&self) -> Result<(), PutError> {
        if !self.closed.load(Ordering::Acquire) {
            return self.has_runtime();
        }
        Err(PutError::Closed {
            stream: self.settings.target.stream.clone(),
        })
    }

    /// Checks that a driver runs, or that there is a runtime for one.
    fn has_runtime(&self) -> Result<(), PutError> {
        if self.driven.load(Ordering::Acquire) || Handle::try_current().is_ok() {
            return Ok(());
        }
        Err(PutError::NoRuntime {
            stream: self.settings.target.stream.clone(),
        })
    }

    fn accept(self: &Arc<Self>, record: EncodedRecord, held: Held) -> PendingReceipt {
        let (waiter, pending) = PendingReceipt::new(self.settings.target.stream.clone());
        self.settings.counters.accepted.add(1);
        let arrived = Arrived {
            record,
            entered_at: self.settings.target.clock.instant(),
            waiter,
            held,
        };
        self.arrive(Arrival::Put(arrived));
        pending
    }

    /// Waits until all records that were accepted before have their results. Returns how many were not
    /// stored.
    pub(crate) async fn flush(self: &Arc<Self>) -> Result<u64, PutError> {
        self.has_runtime()?;
        let (reply, ends) = oneshot::channel();
        self.arrive(Arrival::Flush(reply));
        let mut failed = 0;
        for end in ends.await.unwrap_or_default() {
            failed += end.ended().await;
        }
        Ok(failed)
    }

    fn arrive(self: &Arc<Self>, arrival: Arrival) {
        let weight = match &arrival {
            Arrival::Put(user) => ARRIVAL_WEIGHT + user.record.size_bytes(),
            Arrival::Flush(_) => PATIENT_WEIGHT_MAX,
        };
        // The receiver lives as long as the pipeline, unless the code of a driver panicked.
        if let Err(mpsc::SendError(arrival)) = self.queue.send(arrival) {
            return arrival.refused(&self.settings);
        }
        let before = self.arrived.fetch_add(weight, Ordering::SeqCst);
        // What came before this, and after the driver took what had arrived, has looked for the driver.
        if before == 0 && !self.driven.load(Ordering::SeqCst) {
            self.start_driver();
        }
        // The driver sets the one and reads the other afterwards, here it is the other way round: what the
        // driver does not see sees that it has to wake the driver.
        let wakes_at = self.wakes_at.load(Ordering::SeqCst);
        if before < wakes_at && before + weight >= wakes_at {
            self.wake.notify_one();
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

    fn home(&self) -> MutexGuard<'_, Home> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The driver takes what has come. To be called before it looks into the queue.
    pub(crate) fn take_arrived(&self) {
        // Reading it makes the records visible whose weight it has.
        self.arrived.swap(0, Ordering::SeqCst);
    }

    /// Waits until something may have been put since the last [`take_arrived`](Self::take_arrived); a
    /// patient driver, until much has.
    pub(crate) async fn next_put(&self, patient: bool) {
        let wakes_at = if patient { self.patient_weight } else { 1 };
        self.wakes_at.store(wakes_at, Ordering::SeqCst);
        if self.arrived.load(Ordering::SeqCst) < wakes_at {
            self.wake.notified().await;
        }
    }

    /// Takes the state back from a driver that has nothing to do, or gives it back if something was put
    /// meanwhile.
    pub(crate) fn rest(&self, mut state: Box<State>) -> Option<Box<State>> {
        let mut home = self.home();
        self.driven.store(false, Ordering::SeqCst);
        self.take_arrived();
        state.take_new();
        if state.is_idle() {
            state.rested();
            home.state = Some(state);
            return None;
        }
        self.driven.store(true, Ordering::SeqCst);
        Some(state)
    }

    /// Takes the state back from a driver that can go on no longer, and ends the records that it had.
    pub(crate) fn abandon(&self, mut state: Box<State>) {
        let abandoned = {
            let mut home = self.home();
            self.driven.store(false, Ordering::SeqCst);
            self.take_arrived();
            let abandoned = state.abandon();
            home.state = Some(state);
            abandoned
        };
        let unsent = abandoned
            .iter()
            .filter(|user| !user.fate.is_in_flight())
            .count();
        if unsent > 0 {
            tracing::warn!(
                stream = %self.settings.target.stream,
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
    use crate::put::{pending::receipt::PendingReceipt, tests::settings};

    fn pipeline() -> Arc<Pipeline> {
        let settings = Arc::try_unwrap(settings()).unwrap();
        Pipeline::new(settings, fastrand::Rng::with_seed(0))
    }

    #[tokio::test]
    async fn a_state_whose_driver_was_interrupted_while_it_waited_rests_with_the_next() {
        let pipeline = pipeline();
        let mut state = pipeline.home().state.take().unwrap();
        state.next_wake();
        pipeline.abandon(state);
        // As if what called for a driver had been taken by another meanwhile.
        pipeline.start_driver();
        tokio::task::yield_now().await;
        assert!(pipeline.home().state.is_some());
    }

    #[tokio::test]
    async fn records_that_come_when_the_state_is_lost_end_and_give_their_room_back() {
        let pipeline = pipeline();
        drop(pipeline.home().state.take());
        let room = pipeline.settings.options.in_flight_records_max;
        for _ in 0..=room {
            let key = crate::PartitionKey::new("k").unwrap();
            let record = EncodedRecord::new(key, bytes::Bytes::new());
            let pending: PendingReceipt = pipeline.put(record).await.unwrap();
            assert!(matches!(pending.await, Err(PutError::Gone { .. })));
        }
        assert_eq!(
            pipeline.settings.counters.snapshot().records_failed,
            room as u64 + 1
        );
    }
}
