/// A call that registers a consumer for enhanced fan-out. A stream takes 20, or 50 with on-demand advantage; 5 of them
/// can be in creation at once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RegisterStreamConsumer {
    /// The stream's ARN; the service takes no name here.
    pub stream_arn: String,
    /// The consumer's name: 1 to 128 letters, digits, `_`, `.` and `-`.
    pub consumer_name: String,
}

impl RegisterStreamConsumer {
    /// Makes a call that registers this consumer.
    #[must_use]
    pub fn new(stream_arn: impl Into<String>, consumer_name: impl Into<String>) -> Self {
        Self {
            stream_arn: stream_arn.into(),
            consumer_name: consumer_name.into(),
        }
    }
}
