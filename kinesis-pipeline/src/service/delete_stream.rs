use super::StreamId;

/// Begins to delete a stream with all its records.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeleteStream {
    /// The stream.
    pub stream: StreamId,
    /// Also when consumers are registered; without it such a stream is refused.
    pub even_with_consumers: bool,
}

impl DeleteStream {
    /// A call that deletes this stream unless consumers are registered.
    #[must_use]
    pub fn new(stream: StreamId) -> Self {
        Self {
            stream,
            even_with_consumers: false,
        }
    }

    /// The same call, also when consumers are registered.
    #[must_use]
    pub fn even_with_consumers(mut self) -> Self {
        self.even_with_consumers = true;
        self
    }
}
