use super::StreamId;

/// A call that begins to delete a stream with all its records.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeleteStream {
    /// The stream.
    pub stream: StreamId,
    /// Whether the stream is deleted even if consumers are registered. Without it the service refuses such a stream.
    pub even_with_consumers: bool,
}

impl DeleteStream {
    /// Makes a call that deletes this stream unless consumers are registered.
    #[must_use]
    pub fn new(stream: StreamId) -> Self {
        Self {
            stream,
            even_with_consumers: false,
        }
    }

    /// Deletes the stream even if consumers are registered.
    #[must_use]
    pub fn even_with_consumers(mut self) -> Self {
        self.even_with_consumers = true;
        self
    }
}
