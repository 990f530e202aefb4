//! The pipeline, and the acceptance of records.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
    mpsc,
};

use tokio::{runtime::Handle, sync::Notify, time::Instant};

use super::handover::{ARRIVAL_WEIGHT, COALESCE_WEIGHT_MAX, Home};
use crate::{
    put::{
        admission::{
            budget::{Charge, Permit},
            shared::Shared,
        },
        error::PutError,
        pending::{pending::Queued, receipt::PendingReceipt},
        scheduler::scheduler::{Arrival, Scheduler},
    },
    record::EncodedRecord,
};

/// One put pipeline: a queue that takes records without a lock, and a driver that runs while there is something to do.
#[derive(Debug)]
pub(in crate::put) struct Pipeline {
    pub(super) shared: Arc<Shared>,
    pub(super) inbox: mpsc::Sender<Arrival>,
    pub(super) home: Mutex<Home>,
    /// Whether a driver has the scheduler. It changes under the lock of `home`. See [`arrive`](Self::arrive).
    pub(super) driven: AtomicBool,
    /// Whether the pipeline accepts no more records. See [`enter`](Self::enter).
    pub(super) closed: AtomicBool,
    pub(super) wake: Notify,
    /// The weight of the arrivals since the driver last took them. See [`arrive`](Self::arrive).
    pub(super) arrived: AtomicUsize,
    /// The weight at which arrivals wake the driver. See [`next_put`](Self::next_put).
    pub(super) wakes_at: AtomicUsize,
    /// The weight at which arrivals wake a driver that coalesces them.
    pub(super) coalesce_weight: usize,
}

impl Pipeline {
    pub(in crate::put) fn new(shared: Shared, rng: fastrand::Rng) -> Arc<Self> {
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

    pub(in crate::put) fn now(&self) -> Instant {
        self.shared.target.clock.instant()
    }

    pub(in crate::put) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Accepts a record once there is budget for it. Cancel safe: until it returns, nothing is accepted.
    pub(in crate::put) async fn put(
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
    pub(in crate::put) fn try_put(
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
    pub(in crate::put) async fn reserve(&self, bytes: usize) -> Result<Permit, PutError> {
        self.ready()?;
        Ok(self.shared.budget.acquire(bytes).await)
    }

    /// Accepts a record that has its budget.
    pub(in crate::put) fn put_reserved(
        self: &Arc<Self>,
        record: EncodedRecord,
        permit: Permit,
    ) -> Result<PendingReceipt, PutError> {
        self.ready()?;
        self.accept(record, permit.hand_over())
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
    pub(super) fn has_runtime(&self) -> Result<(), PutError> {
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
    pub(super) fn enter(&self) -> Result<(), PutError> {
        let counters = &self.shared.counters;
        counters.entered.add_in_order();
        if self.closed.load(Ordering::SeqCst) {
            counters.turned_away.add_in_order();
            return Err(self.closed());
        }
        Ok(())
    }

    pub(super) fn accept(
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
    pub(super) fn entered(
        self: &Arc<Self>,
        record: EncodedRecord,
        charge: Charge,
    ) -> PendingReceipt {
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
}
