use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::{Guard, store::Put};

/// The numbers of a delivery, counted by its shards.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) records: AtomicU64,
    pub(crate) kept: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) failed: AtomicU64,
    written: AtomicU64,
    found: AtomicU64,
    bytes: AtomicU64,
    memory: AtomicU64,
    guard: OnceLock<Guard>,
}

impl Counts {
    pub(crate) fn add(count: &AtomicU64) {
        count.fetch_add(1, Relaxed);
    }

    pub(crate) fn object(&self, put: Put, bytes: u64) {
        let count = match put {
            Put::Written => &self.written,
            Put::Found => &self.found,
        };
        count.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Notes the memory of a shard's open objects.
    pub(crate) fn memory(&self, bytes: usize) {
        self.memory.fetch_max(bytes as u64, Relaxed);
    }

    pub(crate) fn guarded(&self, guard: Guard) {
        let _ = self.guard.set(guard);
    }

    pub(crate) fn report(&self) -> DeliveryReport {
        DeliveryReport {
            records: self.records.load(Relaxed),
            kept: self.kept.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            failed: self.failed.load(Relaxed),
            objects_written: self.written.load(Relaxed),
            objects_found: self.found.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            memory_bytes_most: self.memory.load(Relaxed),
            guard: self.guard.get().copied(),
        }
    }
}

/// The numbers of a delivery since its start. Records that were read again after a lease changed hands count
/// again; objects do not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryReport {
    /// The records that were read.
    pub records: u64,
    /// Those that the transform kept.
    pub kept: u64,
    /// Those that it dropped.
    pub dropped: u64,
    /// Those that failed: in the transform, or because no folder or format takes them.
    pub failed: u64,
    /// The objects that were written.
    pub objects_written: u64,
    /// The objects that were there already: a worker wrote them before it crashed.
    pub objects_found: u64,
    /// The bytes of both.
    pub bytes: u64,
    /// The most memory that the open objects of one shard took, in bytes.
    pub memory_bytes_most: u64,
    /// The way in which the store keeps objects from being written twice; `None` before it was tried.
    pub guard: Option<Guard>,
}
