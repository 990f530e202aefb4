use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc};

use super::{FleetLead, Lease, LeaseWrite, LeaseWritten, WorkerId};

/// The future of a call of a [`LeaseStore`].
pub type LeaseFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LeaseStoreError>> + Send + 'a>>;

/// The table in which the workers of an application share its leases.
///
/// A fleet coordinates itself by one list call and by compare-and-set writes of single leases. A store must be
/// linearizable for each lease: of two writes that expect the same counter, one is refused. A write must be durable
/// when [`write`](Self::write) returns, as far as the store is durable at all. A call that fails or is dropped may or
/// may not have been carried out. The worker then sends the same write again, and the store answers
/// [`LeaseWritten::Done`] if it finds that [it was done](LeaseWrite::was_done).
///
/// With the feature `local`, `local::check_lease_store` checks a store of yours against all of this.
pub trait LeaseStore: fmt::Debug + Send + Sync + 'static {
    /// Returns all leases of an application, in any order; none if there is no table yet.
    fn list<'a>(&'a self, app: &'a str) -> LeaseFuture<'a, Vec<Lease>>;

    /// Makes one change, if the stored lease [admits](LeaseWrite::admits) it. Creates the table if there is none.
    fn write<'a>(&'a self, app: &'a str, write: LeaseWrite) -> LeaseFuture<'a, LeaseWritten>;

    /// Reports to a fleet's leader that this worker is alive. Returns which part of the fleet assigns leases.
    ///
    /// The default is [`FleetLead::Workers`], for stores without leaders.
    fn report<'a>(&'a self, app: &'a str, worker: &'a WorkerId) -> LeaseFuture<'a, FleetLead> {
        let _ = (app, worker);
        Box::pin(std::future::ready(Ok(FleetLead::Workers)))
    }

    /// Returns the leases with this worker's name as owner. A store may find them without reading all others.
    fn assigned<'a>(&'a self, app: &'a str, worker: &'a WorkerId) -> LeaseFuture<'a, Vec<Lease>> {
        Box::pin(async move {
            let mut leases = self.list(app).await?;
            leases.retain(|lease| lease.owner.as_ref() == Some(worker));
            Ok(leases)
        })
    }
}

impl<S: LeaseStore + ?Sized> LeaseStore for Arc<S> {
    fn list<'a>(&'a self, app: &'a str) -> LeaseFuture<'a, Vec<Lease>> {
        (**self).list(app)
    }

    fn write<'a>(&'a self, app: &'a str, write: LeaseWrite) -> LeaseFuture<'a, LeaseWritten> {
        (**self).write(app, write)
    }

    fn report<'a>(&'a self, app: &'a str, worker: &'a WorkerId) -> LeaseFuture<'a, FleetLead> {
        (**self).report(app, worker)
    }

    fn assigned<'a>(&'a self, app: &'a str, worker: &'a WorkerId) -> LeaseFuture<'a, Vec<Lease>> {
        (**self).assigned(app, worker)
    }
}

/// An error of a [`LeaseStore`].
#[derive(Debug, thiserror::Error)]
#[error("the lease store at {place} failed: {source}")]
#[non_exhaustive]
pub struct LeaseStoreError {
    /// The store: its path or its table.
    pub place: String,
    is_retryable: bool,
    source: Box<dyn Error + Send + Sync>,
}

impl LeaseStoreError {
    /// Makes an error of the store at `place`.
    pub fn new(place: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            place: place.into(),
            is_retryable: true,
            source: source.into(),
        }
    }

    /// Marks the error as permanent: no retry can succeed.
    #[must_use]
    pub fn not_retryable(mut self) -> Self {
        self.is_retryable = false;
        self
    }

    /// Whether the same call may succeed later. True unless [`not_retryable`](Self::not_retryable) was called.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.is_retryable
    }
}
