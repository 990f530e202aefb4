/// A call that describes a registered consumer. The service allows 20 a second and account.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DescribeStreamConsumer {
    /// The stream's ARN; the service takes no name here.
    pub stream_arn: String,
    /// The consumer's name: 1 to 128 letters, digits, `_`, `.` and `-`.
    pub consumer_name: String,
}

impl DescribeStreamConsumer {
    /// Makes a call that describes this consumer.
    #[must_use]
    pub fn new(stream_arn: impl Into<String>, consumer_name: impl Into<String>) -> Self {
        Self {
            stream_arn: stream_arn.into(),
            consumer_name: consumer_name.into(),
        }
    }
}
