//! The pipeline as its handles share it: the way in, and who drives it.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering, fence},
    mpsc,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
};

use super::{
    PutError,
    accepted::Accepted,
    driver::Driver,
    receipt::PendingReceipt,
    room::Permit,
    settings::Settings,
    state::{Arrival, State},
};
use crate::record::EncodedRecord;

/// One put pipeline: a queue that takes records without a lock, and a driver that runs while there is
/// something to do.
#[derive(Debug)]
pub(crate) struct Pipeline {
    settings: Arc<Settings>,
    queue: mpsc::Sender<Arrival>,
    /// The state while no driver has it.
    home: Mutex<Option<Box<State>>>,
    /// Whether a driver has the state. It is set to false before that driver looks into the queue for the
    /// last time, and read after a record was put into the queue: one of the two sees the other, and no
    /// record is left behind.
    driven: AtomicBool,
    /// No more records are accepted.
    closed: AtomicBool,
    wake: Notify,
    /// The weight of what came since the driver took it last, or more.
    arrived: AtomicUsize,
    /// At which weight the driver is woken.
    wakes_at: AtomicUsize,
}

/// A driver whose timer runs anyway is woken when so much has come: waking it for each record costs as much
/// as sending the record.
const PATIENT_WEIGHT: usize = 128 * 1024;
/// What each arrival weighs besides its bytes.
const ARRIVAL_WEIGHT: usize = 512;

impl Pipeline {
    pub(crate) fn new(settings: Settings, rng: fastrand::Rng) -> Arc<Self> {
        let settings = Arc::new(settings);
        let (queue, received) = mpsc::channel();
        let state = State::new(Arc::clone(&settings), received, rng);
        Arc::new(Self {
            settings,
            queue,
            home: Mutex::new(Some(Box::new(state))),
            driven: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            wake: Notify::new(),
            arrived: AtomicUsize::new(0),
            wakes_at: AtomicUsize::new(1),
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
        let permit = match self.settings.room.try_acquire(bytes) {
            Some(permit) => permit,
            None => self.reserve(bytes).await?,
        };
        self.put_reserved(record, permit)
    }

    /// Accepts a record if there is room for it and the stream is known to take one of its size, or gives it
    /// back: it may be that [`put`](Self::put) accepts it.
    pub(crate) fn try_put(
        self: &Arc<Self>,
        record: EncodedRecord,
    ) -> Result<Result<PendingReceipt, EncodedRecord>, PutError> {
        let bytes = record.size_bytes();
        let allowed = self.settings.limit.allows(bytes);
        match allowed
            .then(|| self.settings.room.try_acquire(bytes))
            .flatten()
        {
            Some(permit) => self.put_reserved(record, permit).map(Ok),
            None => self.check_open().map(|()| Err(record)),
        }
    }

    /// Waits for room for a record of this size. Cancel safe.
    pub(crate) async fn reserve(&self, bytes: usize) -> Result<Permit, PutError> {
        self.check_open()?;
        self.runtime()?;
        Ok(self.settings.room.acquire(bytes).await)
    }

    /// Accepts a record that has room.
    pub(crate) fn put_reserved(
        self: &Arc<Self>,
        record: EncodedRecord,
        permit: Permit,
    ) -> Result<PendingReceipt, PutError> {
        self.check_open()?;
        let runtime = self.runtime()?;
        Ok(self.accept(record, permit, &runtime))
    }

    /// Accepts no more records.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn check_open(&self) -> Result<(), PutError> {
        if !self.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(PutError::Closed {
            stream: self.settings.target.stream.clone(),
        })
    }

    fn runtime(&self) -> Result<Handle, PutError> {
        Handle::try_current().map_err(|_| PutError::NoRuntime {
            stream: self.settings.target.stream.clone(),
        })
    }

    fn accept(
        self: &Arc<Self>,
        record: EncodedRecord,
        permit: Permit,
        runtime: &Handle,
    ) -> PendingReceipt {
        let (waiter, pending) = PendingReceipt::new(self.settings.target.stream.clone());
        let now = self.settings.target.clock.instant();
        let accepted = Accepted::new(record, now, waiter, permit);
        self.settings.counters.accepted.add(1);
        self.arrive(Arrival::Put(accepted), runtime);
        pending
    }

    /// Waits until all records that were accepted before have their results. Returns how many were not
    /// stored.
    pub(crate) async fn flush(self: &Arc<Self>) -> Result<u64, PutError> {
        let (reply, ends) = oneshot::channel();
        self.arrive(Arrival::Flush(reply), &self.runtime()?);
        let mut failed = 0;
        for end in ends.await.unwrap_or_default() {
            failed += end.ended().await;
        }
        Ok(failed)
    }

    fn arrive(self: &Arc<Self>, arrival: Arrival, runtime: &Handle) {
        let weight = match &arrival {
            Arrival::Put(user) => ARRIVAL_WEIGHT + user.record.size_bytes(),
            Arrival::Flush(_) => PATIENT_WEIGHT,
        };
        // The receiver lives as long as the pipeline; were it gone, a record would end with an error.
        let _ = self.queue.send(arrival);
        let before = self.arrived.fetch_add(weight, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if !self.driven.load(Ordering::SeqCst) {
            self.start_driver(runtime);
        }
        // The driver sets the one and reads the other afterwards, here it is the other way round: what the
        // driver does not see sees that it has to wake the driver.
        let wakes_at = self.wakes_at.load(Ordering::SeqCst);
        if before < wakes_at && before + weight >= wakes_at {
            self.wake.notify_one();
        }
    }

    fn start_driver(self: &Arc<Self>, runtime: &Handle) {
        let state = {
            let mut home = self.home.lock().unwrap_or_else(PoisonError::into_inner);
            let state = home.take();
            self.driven.store(true, Ordering::SeqCst);
            state
        };
        // On a runtime that is shutting down the task is dropped at once, which locks `home` again.
        if let Some(state) = state {
            runtime.spawn(Driver::new(Arc::clone(self), state).run());
        }
    }

    /// The driver takes what has come. To be called before it looks into the queue.
    pub(crate) fn take_arrived(&self) {
        self.arrived.store(0, Ordering::SeqCst);
    }

    /// Waits until something may have been put since the last [`take_arrived`](Self::take_arrived); a
    /// patient driver, until much has.
    pub(crate) async fn next_put(&self, patient: bool) {
        let wakes_at = if patient { PATIENT_WEIGHT } else { 1 };
        self.wakes_at.store(wakes_at, Ordering::SeqCst);
        if self.arrived.load(Ordering::SeqCst) < wakes_at {
            self.wake.notified().await;
        }
    }

    /// Takes the state back from a driver that has nothing to do, or gives it back if something was put
    /// meanwhile.
    pub(crate) fn rest(&self, mut state: Box<State>) -> Option<Box<State>> {
        let mut home = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        self.driven.store(false, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        state.take_new();
        if state.is_idle() {
            state.rested();
            *home = Some(state);
            return None;
        }
        self.driven.store(true, Ordering::SeqCst);
        Some(state)
    }

    /// Takes the state back from a driver that can go on no longer, and ends the records that it had.
    pub(crate) fn abandon(&self, mut state: Box<State>) {
        let abandoned = {
            let mut home = self.home.lock().unwrap_or_else(PoisonError::into_inner);
            self.driven.store(false, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            let abandoned = state.abandon();
            *home = Some(state);
            abandoned
        };
        if !abandoned.is_empty() {
            tracing::warn!(
                stream = %self.settings.target.stream,
                records = abandoned.len(),
                "the runtime shut down before these records were sent"
            );
        }
        // Ending a record wakes whoever waits for it: not under the lock.
        drop(abandoned);
    }
}
