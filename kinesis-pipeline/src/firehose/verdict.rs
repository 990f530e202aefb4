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
    /// `Ok`: this is delivered.
    Keep(R),
    /// `Ok`: these are delivered in their order. None of them is the same as [`Drop`](Self::Drop).
    KeepAll(Vec<R>),
    /// `Dropped`: the record is done and is not delivered.
    Drop,
    /// `ProcessingFailed`: Firehose writes the record as it came under the error prefix. The text says why, in
    /// the log; a reason that is made at run time is an error of a function that answers with a `Result`.
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
    /// Why the record fails.
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
