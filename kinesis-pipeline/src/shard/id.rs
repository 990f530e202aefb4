use std::fmt;

use smol_str::SmolStr;

/// The id of a shard, such as `shardId-000000000003`. Cheap to clone: an id of this length needs no allocation.
///
/// Ids of one stream sort by age: the service numbers them, with leading zeros.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(SmolStr);

impl ShardId {
    /// Makes an id that the embedded Kinesis made.
    #[cfg(feature = "local")]
    pub(crate) fn stored(id: impl AsRef<str>) -> Self {
        Self(SmolStr::new(id))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for ShardId {
    fn from(id: String) -> Self {
        Self(SmolStr::from(id))
    }
}

impl From<&str> for ShardId {
    fn from(id: &str) -> Self {
        Self(SmolStr::from(id))
    }
}

impl From<&ShardId> for ShardId {
    fn from(id: &ShardId) -> Self {
        id.clone()
    }
}

impl AsRef<str> for ShardId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
