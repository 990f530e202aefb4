use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::{Guard, store::Put};

/// Counters of a delivery, shared by its shards.
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

    /// Notes the memory of a shard's open objects; the largest value counts.
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

/// Counts of a delivery since its start. Records that were read again after a lease changed hands count again; objects
/// do not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryReport {
    /// Records that were read.
    pub records: u64,
    /// Records that the transform kept.
    pub kept: u64,
    /// Records that the transform dropped.
    pub dropped: u64,
    /// Records that failed: in the transform, or because their keys name no folder or the format cannot hold them.
    pub failed: u64,
    /// Objects that were written.
    pub objects_written: u64,
    /// Objects that were there already: a worker wrote them before it crashed.
    pub objects_found: u64,
    /// The bytes of written and found objects.
    pub bytes: u64,
    /// The peak memory of one shard's open objects, in bytes.
    pub memory_bytes_most: u64,
    /// The store's protection against writing an object twice; `None` before the store was probed.
    pub guard: Option<Guard>,
}
