use std::{any::Any, error::Error, io, str::Utf8Error, sync::Arc};

use crate::record::{DecodeError, EncodeError};

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// The reason why a record was answered with `ProcessingFailed`.
///
/// The text of a reason never contains parts of the record. Errors of other code may, so they are only its `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FailureReason {
    /// The record has no data, or its data is not a text.
    #[error("the record has no data")]
    NoData,
    /// The record's data is not base64.
    #[error("the record's data is not base64")]
    NotBase64,
    /// The record's bytes are not UTF-8.
    #[error("the record's data is not UTF-8")]
    #[non_exhaustive]
    NotText {
        /// The place in the data where the UTF-8 ends.
        #[source]
        source: Utf8Error,
    },
    /// The data is not gzip, is cut off, or grows past the limit for its kind.
    #[error("the data is not gzip, or is too large")]
    #[non_exhaustive]
    NotGzip {
        /// The problem.
        source: io::Error,
    },
    /// The record's bytes do not have the form that the function expects.
    #[error("the record cannot be decoded")]
    #[non_exhaustive]
    Decode {
        /// The codec's error.
        #[from]
        source: DecodeError,
    },
    /// The function returned [`Verdict::Fail`](super::Verdict::Fail).
    #[error("the function refused it: {0}")]
    Refused(&'static str),
    /// The function returned an error.
    #[error("the function failed")]
    #[non_exhaustive]
    Function {
        /// The error.
        source: BoxError,
    },
    /// The function, or code of the record's type, panicked.
    #[error("the function panicked")]
    #[non_exhaustive]
    Panicked {
        /// The panic's message, if it was a text. It may contain parts of the record.
        message: String,
    },
    /// The function's result cannot be encoded.
    #[error("what the function made of it cannot be encoded")]
    #[non_exhaustive]
    Encode {
        /// The codec's error.
        #[from]
        source: EncodeError,
    },
    /// The function made several records of this one, with different partition keys. Firehose accepts only one set of
    /// keys.
    #[error("the records that were made of it have different partition keys")]
    DifferentPartitionKeys,
    /// The answer does not fit in the response.
    #[error("its answer of {answer_bytes} bytes does not fit in the response")]
    #[non_exhaustive]
    TooLarge {
        /// The bytes that the answer needs in the response.
        answer_bytes: usize,
    },
    /// The answer does not fit in the response, and the function that puts the record again failed.
    #[error("its answer does not fit in the response, and it could not be put again")]
    #[non_exhaustive]
    NotReingested {
        /// The function's error.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The event has another record with the same id and different data.
    #[error("the event has records of this id with different data")]
    RepeatedId,
}

impl FailureReason {
    /// Makes a failure from an error of the user's function.
    pub(super) fn function(source: impl Into<BoxError>) -> Self {
        Self::Function {
            source: source.into(),
        }
    }

    /// Makes a failure from a panic, with its message.
    #[expect(clippy::needless_pass_by_value, reason = "what was caught ends here")]
    pub(super) fn panicked(payload: Box<dyn Any + Send>) -> Self {
        Self::Panicked {
            message: panic_message(&*payload),
        }
    }

    /// Whether both failures are of one kind. They are then logged together.
    fn same_kind(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Refused(this), Self::Refused(other)) => this == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}

/// A record that was answered with `ProcessingFailed`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The index of the record in the event.
    pub index: usize,
    /// The record's id.
    pub record_id: String,
    /// The reason.
    pub reason: FailureReason,
}

/// Logs each kind of failure once, with the number of failures.
///
/// The number of kinds is limited: the variants of [`FailureReason`], and the fixed texts in the function's code.
pub(super) fn log(invocation_id: &str, failures: &[Failure]) {
    let mut kinds: Vec<(&Failure, usize)> = Vec::new();
    for failure in failures {
        let known = |(first, _): &&mut (&Failure, usize)| first.reason.same_kind(&failure.reason);
        match kinds.iter_mut().find(known) {
            Some((_, count)) => *count += 1,
            None => kinds.push((failure, 1)),
        }
    }
    for (first, records) in kinds {
        let (record_id, reason) = (&first.record_id, &first.reason);
        tracing::warn!(invocation_id, records, record_id, %reason, "records failed");
        tracing::debug!(invocation_id, record_id, ?reason, "the first of them");
    }
}
