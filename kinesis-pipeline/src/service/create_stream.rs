/// A call that begins to create a stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CreateStream {
    /// The name: 1 to 128 letters, digits, `_`, `.` and `-`.
    pub name: String,
    /// The capacity mode, with the number of shards of a provisioned stream.
    pub capacity: Capacity,
}

impl CreateStream {
    /// Makes a call that creates this stream.
    #[must_use]
    pub fn new(name: impl Into<String>, capacity: Capacity) -> Self {
        Self {
            name: name.into(),
            capacity,
        }
    }
}

/// The capacity mode of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Capacity {
    /// Provisioned, with this number of shards, at least 1.
    Provisioned(u32),
    /// On demand: the service scales the stream; it begins with 4 shards.
    OnDemand,
}
