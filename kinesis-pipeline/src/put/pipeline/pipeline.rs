//! The pipeline, and the acceptance of records.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use tokio::{runtime::Handle, time::Instant};

use super::handover::{COALESCE_WEIGHT_MAX, Home};
use crate::{
    put::{
        admission::{
            budget::{Charge, Permit},
            shared::Shared,
        },
        error::PutError,
        inbox::inbox::{ARRIVAL_WEIGHT, Closed, Inbox},
        pending::receipt::PendingReceipt,
        scheduler::scheduler::Scheduler,
    },
    record::{Encoded, EncodedRecord},
};

/// The reason why a record is not accepted at once.
#[derive(Debug)]
pub(in crate::put) enum NotNow {
    /// There is no budget for it, or the stream is not known to take one of its size.
    NoRoom,
    Refused(Box<PutError>),
}

/// One put pipeline: a queue that takes records, and a driver that runs while there is something to do.
#[derive(Debug)]
pub(in crate::put) struct Pipeline {
    pub(super) shared: Arc<Shared>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) home: Mutex<Home>,
    /// Whether a driver has the scheduler. It changes under the lock of `home`. See [`arrived`](Self::arrived).
    pub(super) driven: AtomicBool,
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
        match self.try_put((&record).into()) {
            Ok(pending) => Ok(pending),
            Err(NotNow::NoRoom) => self.put_later(record).await,
            Err(NotNow::Refused(error)) => Err(*error),
        }
    }

    /// Waits until the stream is known to take a record of this size, and until there is budget for it.
    pub(in crate::put) async fn put_later(
        self: &Arc<Self>,
        record: EncodedRecord,
    ) -> Result<PendingReceipt, PutError> {
        let bytes = record.size_bytes();
        self.shared.limit.check(bytes, &self.shared).await?;
        let permit = self.reserve(bytes).await?;
        let accepted = self.put_reserved((&record).into(), permit);
        accepted.map_err(|error| *error)
    }

    /// Accepts a record if there is budget for it and the stream is known to take one of its size. Otherwise
    /// [`put`](Self::put) may accept it.
    pub(in crate::put) fn try_put(
        self: &Arc<Self>,
        record: Encoded<'_>,
    ) -> Result<PendingReceipt, NotNow> {
        let bytes = record.size_bytes();
        self.ready().map_err(NotNow::Refused)?;
        let allowed = self.shared.limit.allows(bytes);
        let charge = allowed.then(|| self.shared.budget.try_acquire(bytes));
        match charge.flatten() {
            Some(charge) => self.accept(record, charge).map_err(NotNow::Refused),
            None => Err(NotNow::NoRoom),
        }
    }

    /// Waits for budget for a record of this size. Cancel safe.
    pub(in crate::put) async fn reserve(&self, bytes: usize) -> Result<Permit, PutError> {
        self.ready().map_err(|error| *error)?;
        Ok(self.shared.budget.acquire(bytes).await)
    }

    /// Accepts a record that has its budget.
    pub(in crate::put) fn put_reserved(
        self: &Arc<Self>,
        record: Encoded<'_>,
        permit: Permit,
    ) -> Result<PendingReceipt, Box<PutError>> {
        self.ready()?;
        self.accept(record, permit.hand_over())
    }

    /// Checks whether records are accepted.
    pub(in crate::put) fn ready(&self) -> Result<(), Box<PutError>> {
        if !self.inbox.is_closed() {
            return self.has_runtime();
        }
        Err(Box::new(self.closed()))
    }

    #[cold]
    fn closed(&self) -> PutError {
        PutError::Closed {
            stream: self.shared.target.stream.clone(),
        }
    }

    /// Checks that a driver runs, or that there is a runtime for one.
    pub(super) fn has_runtime(&self) -> Result<(), Box<PutError>> {
        if self.driven.load(Ordering::Acquire) || Handle::try_current().is_ok() {
            return Ok(());
        }
        Err(Box::new(PutError::NoRuntime {
            stream: self.shared.target.stream.clone(),
        }))
    }

    /// Accepts a record that has its budget, unless the pipeline was closed meanwhile.
    #[inline]
    pub(super) fn accept(
        self: &Arc<Self>,
        record: Encoded<'_>,
        charge: Charge,
    ) -> Result<PendingReceipt, Box<PutError>> {
        let entered_at = self.shared.target.clock.instant();
        let accepted = self.inbox.put(record, entered_at, charge);
        let pending = accepted.map_err(|Closed| Box::new(self.closed()))?;
        self.arrived();
        Ok(pending)
    }
}
