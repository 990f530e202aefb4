//! The pipeline as its handles share it: the queue that takes records, and the hand-over to a driver.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    time::{Instant, sleep},
};

use super::{
    admission::{
        budget::{Charge, Permit},
        shared::Shared,
    },
    driver::Driver,
    error::PutError,
    handles::producer::FlushError,
    pending::{pending::Queued, receipt::PendingReceipt},
    scheduler::scheduler::{Arrival, Barrier, Scheduler},
};
use crate::record::EncodedRecord;

/// One put pipeline: a queue that takes records without a lock, and a driver that runs while there is something to do.
#[derive(Debug)]
pub(super) struct Pipeline {
    shared: Arc<Shared>,
    inbox: mpsc::Sender<Arrival>,
    home: Mutex<Home>,
    /// Whether a driver has the scheduler. It changes under the lock of `home`. See [`arrive`](Self::arrive).
    driven: AtomicBool,
    /// Whether the pipeline accepts no more records. See [`enter`](Self::enter).
    closed: AtomicBool,
    wake: Notify,
    /// The weight of the arrivals since the driver last took them. See [`arrive`](Self::arrive).
    arrived: AtomicUsize,
    /// The weight at which arrivals wake the driver. See [`next_put`](Self::next_put).
    wakes_at: AtomicUsize,
    /// The weight at which arrivals wake a driver that coalesces them.
    coalesce_weight: usize,
}

/// The scheduler while no driver runs.
#[derive(Debug)]
struct Home {
    /// The scheduler; `None` while a driver has it.
    state: Option<Box<Scheduler>>,
    /// The runtime of the last driver: it runs the next one if a thread without a runtime puts.
    runtime: Option<Handle>,
}

/// The weight of arrivals that wakes a driver whose timer is set anyway, or half of the memory budget if that is less.
/// Waking it for each record would cost as much as sending the record.
const COALESCE_WEIGHT_MAX: usize = 384 * 1024;
/// The time after which a close looks again that met a put on another thread. The put needs only a few instructions
/// more.
const ENTERED_AGAIN_AFTER: Duration = Duration::from_millis(1);
/// The weight of an arrival besides its bytes, about the memory that a record takes.
const ARRIVAL_WEIGHT: usize = 512;

/// The result of a flush.
struct Flushed {
    /// The number of records that had been taken from the queue before.
    taken: u64,
    /// The number of records among them that were not stored.
    failed: u64,
}

impl Pipeline {
    pub(super) fn new(shared: Shared, rng: fastrand::Rng) -> Arc<Self> {
        let options = &shared.options;
        let records_weight = options.in_flight_records_max.saturating_mul(ARRIVAL_WEIGHT);
        let room_weight = options.in_flight_bytes_max.min(records_weight);
        let coalesce_weight = (room_weight / 2).clamp(1, COALESCE_WEIGHT_MAX);
        let shared = Arc::new(shared);
        let (inbox, received) = mpsc::channel();
        let state = Scheduler::new(Arc::clone(&shared), received, rng);
        Arc::new(Self {
            shared,
            inbox,
            home: Mutex::new(Home {
                state: Some(Box::new(state)),
                runtime: None,
            }),
            driven: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            wake: Notify::new(),
            arrived: AtomicUsize::new(0),
            wakes_at: AtomicUsize::new(1),
            coalesce_weight,
        })
    }

    pub(super) fn now(&self) -> Instant {
        self.shared.target.clock.instant()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Accepts a record once there is budget for it. Cancel safe: until it returns, nothing is accepted.
    pub(super) async fn put(
        self: &Arc<Self>,
        record: EncodedRecord,
    ) -> Result<PendingReceipt, PutError> {
        let bytes = record.size_bytes();
        self.shared.limit.check(bytes, &self.shared).await?;
        self.ready()?;
        if let Some(charge) = self.shared.budget.try_acquire(bytes) {
            return self.accept(record, charge);
        }
        let permit = self.shared.budget.acquire(bytes).await;
        self.put_reserved(record, permit)
    }

    /// Accepts a record if there is budget for it and the stream is known to take one of its size. Returns it otherwise:
    /// [`put`](Self::put) may accept it.
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

    /// Waits for budget for a record of this size. Cancel safe.
    pub(super) async fn reserve(&self, bytes: usize) -> Result<Permit, PutError> {
        self.ready()?;
        Ok(self.shared.budget.acquire(bytes).await)
    }

    /// Accepts a record that has its budget.
    pub(super) fn put_reserved(
        self: &Arc<Self>,
        record: EncodedRecord,
        permit: Permit,
    ) -> Result<PendingReceipt, PutError> {
        self.ready()?;
        self.accept(record, permit.hand_over())
    }

    /// Closes the pipeline for new records, and waits until the accepted ones have their results.
    pub(super) async fn close(self: &Arc<Self>) -> Result<(), FlushError> {
        self.closed.store(true, Ordering::SeqCst);
        let mut failed = 0;
        loop {
            let awaited = self.shared.counters.accepted();
            let flushed = self.flush_taken().await?;
            failed += flushed.failed;
            if flushed.taken >= awaited {
                return self.flushed(failed);
            }
            // A put on another thread has entered and its record is not in the queue yet: see `enter`.
            sleep(ENTERED_AGAIN_AFTER).await;
        }
    }

    /// Checks whether records are accepted.
    fn ready(&self) -> Result<(), PutError> {
        if !self.closed.load(Ordering::Acquire) {
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

    /// Begins to accept a record, unless the pipeline is closed. The caller sends the record to the queue without an await
    /// in between.
    ///
    /// A put on one thread races with the close on another:
    ///
    /// ```text
    ///   put                                    close
    ///   ready: not closed
    ///                                          closed = true
    ///                                          flush goes into the queue
    ///   record goes into the queue, behind it
    /// ```
    ///
    /// The flush reports that all records are stored, but this one is not. Hence each put is counted before it reads
    /// `closed`, and the close sets `closed` before it reads the count, all sequentially consistent (the store-buffer
    /// pattern). Either the put sees that the pipeline is closed, or the close sees the put in the count: then it flushes
    /// again until that number of records was taken from the queue.
    fn enter(&self) -> Result<(), PutError> {
        let counters = &self.shared.counters;
        counters.entered.add_in_order();
        if self.closed.load(Ordering::SeqCst) {
            counters.turned_away.add_in_order();
            return Err(self.closed());
        }
        Ok(())
    }

    fn accept(
        self: &Arc<Self>,
        record: EncodedRecord,
        charge: Charge,
    ) -> Result<PendingReceipt, PutError> {
        if let Err(closed) = self.enter() {
            self.shared.budget.give_back(charge);
            return Err(closed);
        }
        Ok(self.entered(record, charge))
    }

    /// Sends a record to the queue that [`enter`](Self::enter) has let in.
    fn entered(self: &Arc<Self>, record: EncodedRecord, charge: Charge) -> PendingReceipt {
        let (waiter, pending) = PendingReceipt::new(self.shared.target.stream.clone());
        let arrived = Queued {
            record,
            entered_at: self.shared.target.clock.instant(),
            waiter,
            charge,
        };
        self.arrive(Arrival::Put(arrived));
        pending
    }

    /// Waits until all records that were accepted before the call have their results.
    pub(super) async fn flush(self: &Arc<Self>) -> Result<(), FlushError> {
        let flushed = self.flush_taken().await?;
        self.flushed(flushed.failed)
    }

    async fn flush_taken(self: &Arc<Self>) -> Result<Flushed, FlushError> {
        let stream = || self.shared.target.stream.clone();
        if self.has_runtime().is_err() {
            return Err(FlushError::NoRuntime { stream: stream() });
        }
        let (reply, barrier) = oneshot::channel();
        self.arrive(Arrival::Flush(reply));
        // The reply is dropped if the scheduler is lost, since a driver panicked.
        let barrier = barrier.await;
        let Barrier { taken, ends } = barrier.map_err(|_| FlushError::Gone { stream: stream() })?;
        let mut failed = 0;
        for end in ends {
            failed += end.ended().await;
        }
        Ok(Flushed { taken, failed })
    }

    fn flushed(&self, failed: u64) -> Result<(), FlushError> {
        if failed == 0 {
            return Ok(());
        }
        Err(FlushError::NotStored {
            stream: self.shared.target.stream.clone(),
            records: failed,
        })
    }

    /// Sends an arrival to the queue, and sees to it that a driver takes it: starts one, or wakes the one that runs.
    ///
    /// # A put and a driver that parks
    ///
    /// ```text
    ///   put                                     park, under the lock of `home`
    ///   P1  record into the queue               D1  driven = false
    ///   P2  arrived += weight                   D2  arrived = 0
    ///   P3  it was 0: reads driven              D3  takes the queue
    /// ```
    ///
    /// If P2 comes before D2, the record was in the queue before, and D3 takes it. If P2 comes after D2, the first put to do
    /// so finds 0, and D1 was even earlier: P3 reads false, and the put starts a driver. It waits for the lock of `home`. If
    /// the parking driver has found work and goes on, the put finds no scheduler there and leaves, and the driver takes the
    /// record in its next round. Puts after the first find more than 0 and leave it to the first.
    ///
    /// # A put and a driver that falls asleep
    ///
    /// The driver has set `arrived` to 0 and taken the queue, then it sleeps in [`next_put`](Self::next_put):
    ///
    /// ```text
    ///   put                                     next_put
    ///   P2  arrived += weight                   D4  wakes_at = limit
    ///   P4  reads wakes_at                      D5  reads arrived, sleeps if it is below the limit
    /// ```
    ///
    /// All four are sequentially consistent. If D5 does not see the weight of a put, it comes before that put's P2. Then D4
    /// comes before its P4, which reads the current limit. So of the puts that D5 has missed, or seen as too light, the one
    /// that lifts the sum to the limit knows the limit, and notifies. If D5 sees the limit reached, the driver does not
    /// sleep. A put that reads the limit of an earlier sleep may notify in vain: that costs one round of the driver.
    fn arrive(self: &Arc<Self>, arrival: Arrival) {
        let weight = match &arrival {
            Arrival::Put(user) => ARRIVAL_WEIGHT + user.record.size_bytes(),
            Arrival::Flush(_) => COALESCE_WEIGHT_MAX,
        };
        // The receiver lives as long as the pipeline, unless the code of a driver panicked.
        if let Err(mpsc::SendError(arrival)) = self.inbox.send(arrival) {
            return arrival.refused(&self.shared);
        }
        let before = self.arrived.fetch_add(weight, Ordering::SeqCst);
        // Only the first arrival since the driver took the others looks for it.
        if before == 0 && !self.driven.load(Ordering::SeqCst) {
            self.start_driver();
        }
        let wakes_at = self.wakes_at.load(Ordering::SeqCst);
        if before < wakes_at && before + weight >= wakes_at {
            self.wake.notify_one();
        }
    }

    /// Starts a driver on the current runtime, or on that of the last driver, unless one has the scheduler.
    fn start_driver(self: &Arc<Self>) {
        let (state, runtime) = {
            let mut home = self.home();
            if let Ok(current) = Handle::try_current() {
                home.runtime = Some(current);
            }
            // There is always one: the first put was refused unless it had a runtime.
            let Some(runtime) = home.runtime.clone() else {
                return;
            };
            self.driven.store(true, Ordering::SeqCst);
            (home.state.take(), runtime)
        };
        // Outside of the lock: a runtime that is shutting down drops the task at once, and `abandon` locks `home`.
        if let Some(state) = state {
            runtime.spawn(Driver::new(Arc::clone(self), state).run());
        }
    }

    /// Loses the scheduler, as a panic in a driver's code does.
    #[cfg(test)]
    pub(super) fn lose_state(&self) {
        drop(self.home().state.take());
    }

    fn home(&self) -> MutexGuard<'_, Home> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resets the weight of the arrivals. The driver calls it before it takes the queue: a record that comes in between is
    /// taken with the others, and its weight only wakes the driver once too often.
    pub(super) fn take_arrived(&self) {
        // This read synchronizes with the addition in `arrive`: records whose weight it takes are in the queue.
        self.arrived.swap(0, Ordering::SeqCst);
    }

    /// Waits until records may have arrived since the last [`take_arrived`](Self::take_arrived). A driver that `coalesces`
    /// arrivals sleeps until their weight is worth a round.
    ///
    /// The limit is set before the weight is read, while a put adds its weight before it reads the limit: see
    /// [`arrive`](Self::arrive) for the interleavings. Cancel safe: a notification that comes while the future is not
    /// polled is kept, or belongs to records that the next round takes anyway.
    pub(super) async fn next_put(&self, coalesces: bool) {
        let wakes_at = if coalesces { self.coalesce_weight } else { 1 };
        self.wakes_at.store(wakes_at, Ordering::SeqCst);
        if self.arrived.load(Ordering::SeqCst) < wakes_at {
            self.wake.notified().await;
        }
    }

    /// Takes the scheduler back from a driver that has nothing to do, or returns it if records have arrived meanwhile. See
    /// [`arrive`](Self::arrive) for the interleavings with puts.
    pub(super) fn park(&self, mut state: Box<Scheduler>) -> Option<Box<Scheduler>> {
        let mut home = self.home();
        self.driven.store(false, Ordering::SeqCst);
        self.take_arrived();
        state.take_new();
        if state.is_idle() {
            state.parked();
            home.state = Some(state);
            return None;
        }
        self.driven.store(true, Ordering::SeqCst);
        Some(state)
    }

    /// Takes the scheduler back from a driver that was dropped while it ran, and fails its records.
    pub(super) fn abandon(&self, mut state: Box<Scheduler>) {
        let abandoned = {
            let mut home = self.home();
            self.driven.store(false, Ordering::SeqCst);
            self.take_arrived();
            let abandoned = state.abandon(self.now());
            home.state = Some(state);
            abandoned
        };
        let unsent = abandoned
            .iter()
            .filter(|user| !user.completion.is_in_flight())
            .count();
        if unsent > 0 {
            tracing::warn!(
                stream = %self.shared.target.stream,
                records = unsent,
                "the runtime shut down before these records were sent"
            );
        }
        // Outside of the lock: failing a record wakes the task that waits for it.
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
    async fn close_waits_for_a_put_on_another_thread_that_it_overtook() {
        let pipeline = pipeline();
        let charge = pipeline.shared.budget.try_acquire(1).unwrap();
        pipeline.enter().unwrap();
        let close = tokio::spawn({
            let pipeline = Arc::clone(&pipeline);
            async move { pipeline.close().await }
        });
        sleep(Duration::from_secs(1)).await;
        assert!(!close.is_finished(), "the put has not left its record yet");
        let pending = pipeline.entered(a_record(), charge);
        close.await.unwrap().unwrap();
        let receipt = futures_util::FutureExt::now_or_never(pending);
        assert!(receipt.expect("the close covers it").is_ok());
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
