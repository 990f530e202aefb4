use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The limits that decide where objects end. A window whose objects are being written keeps its limits, also when the
/// next worker has other settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// The size at which an object is complete, in bytes after compression.
    pub(crate) object_bytes: u64,
    /// The age of a window: it ends before a record that arrived this long after its first.
    pub(crate) age: Duration,
    /// The idle time of a folder: its object is complete when its last record arrived this long before the shard's
    /// newest.
    pub(crate) idle: Duration,
    /// The memory limit of all open objects, in bytes.
    pub(crate) memory_bytes: usize,
    /// The most open objects.
    pub(crate) folders: usize,
}

#[cfg(test)]
impl Limits {
    pub(crate) fn of_test() -> Self {
        Self {
            object_bytes: 1 << 20,
            age: Duration::from_mins(1),
            idle: Duration::from_mins(1),
            memory_bytes: 64 << 20,
            folders: 10_000,
        }
    }
}
