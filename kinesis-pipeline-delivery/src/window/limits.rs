use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The numbers that decide where objects end. Those of a window that has begun to be written stay as they were, whatever
/// the settings of the next worker are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// An object is complete when it has this many bytes, after compression.
    pub(crate) object_bytes: u64,
    /// A window ends when a record comes that arrived so long after its first.
    pub(crate) age: Duration,
    /// A folder's object is complete when its last record arrived so long before the newest of the shard.
    pub(crate) idle: Duration,
    /// The memory of all open objects.
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
