/// A call that begins to remove a registered consumer and ends its subscriptions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeregisterStreamConsumer {
    /// The stream's ARN; the service takes no name here.
    pub stream_arn: String,
    /// The consumer's name: 1 to 128 letters, digits, `_`, `.` and `-`.
    pub consumer_name: String,
}

impl DeregisterStreamConsumer {
    /// Makes a call that removes this consumer.
    #[must_use]
    pub fn new(stream_arn: impl Into<String>, consumer_name: impl Into<String>) -> Self {
        Self {
            stream_arn: stream_arn.into(),
            consumer_name: consumer_name.into(),
        }
    }
}
