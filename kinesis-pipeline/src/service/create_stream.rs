/// Begins to create a stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CreateStream {
    /// The name: 1 to 128 letters, digits, `_`, `.` and `-`.
    pub name: String,
    /// How many shards, and who decides it.
    pub capacity: Capacity,
}

impl CreateStream {
    /// A call that creates this stream.
    #[must_use]
    pub fn new(name: impl Into<String>, capacity: Capacity) -> Self {
        Self {
            name: name.into(),
            capacity,
        }
    }
}

/// Who decides how many shards a stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Capacity {
    /// You do: this many shards, at least 1.
    Provisioned(u32),
    /// The service does; it begins with 4.
    OnDemand,
}
