use super::{FailureReason, failure::BoxError};

/// The decision about one record: the return value of a transform's function.
///
/// ```
/// use kinesis_pipeline::firehose::Verdict;
///
/// fn only_warm(celsius: f64) -> Verdict<f64> {
///     match celsius {
///         degrees if degrees.is_nan() => Verdict::Fail("not a temperature"),
///         degrees if degrees < 20.0 => Verdict::Drop,
///         degrees => Verdict::Keep(degrees),
///     }
/// }
/// # assert_eq!(only_warm(21.5), Verdict::Keep(21.5));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict<R> {
    /// `Ok`: this record is delivered.
    Keep(R),
    /// `Ok`: these records are delivered in their order. An empty list is the same as [`Drop`](Self::Drop).
    KeepAll(Vec<R>),
    /// `Dropped`: the record is done and is not delivered.
    Drop,
    /// `ProcessingFailed`: Firehose writes the original record under the error prefix. The text is the reason in the
    /// log. For a reason that is made at run time, return a `Result` with an error.
    Fail(&'static str),
}

/// A return type of a transform's function: a [`Verdict`], or a `Result` of one.
///
/// An error fails the record.
pub trait IntoVerdict {
    /// The type of the delivered records.
    type Record;

    /// Returns the verdict.
    ///
    /// # Errors
    /// The reason why the record fails.
    fn into_verdict(self) -> Result<Verdict<Self::Record>, FailureReason>;
}

impl<R> IntoVerdict for Verdict<R> {
    type Record = R;

    fn into_verdict(self) -> Result<Self, FailureReason> {
        Ok(self)
    }
}

impl<V: IntoVerdict, E: Into<BoxError>> IntoVerdict for Result<V, E> {
    type Record = V::Record;

    fn into_verdict(self) -> Result<Verdict<V::Record>, FailureReason> {
        self.map_err(FailureReason::function)?.into_verdict()
    }
}
