//! Errors of puts: of one record (with the record, in `failure`), of one attempt, and of a flush or close.

mod attempt;
mod failure;
mod flush;

use std::{sync::Arc, time::Duration};

pub use attempt::AttemptError;
pub(super) use attempt::Outage;
pub use failure::PutFailure;
pub use flush::{CloseError, FlushError};

use super::options::RECORD_BYTES_MAX;
use crate::{
    record::{EncodeError, KeyError},
    service::{ErrorClass, StreamId},
};

/// The reason why a record was not stored.
///
/// Cheap to clone: the records of a request that failed share one cause.
///
/// # Examples
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use bytes::Bytes;
/// use kinesis_pipeline::{KinesisStream, LocalKinesis, PutError, PutOptions, local::Fault};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kinesis = LocalKinesis::start().await?;
/// let stream: KinesisStream<Bytes> = kinesis.stream("readings", 1).await?;
/// let stream = stream.with_put_options(PutOptions::new().throttled_attempts_max(1))?;
///
/// kinesis.faults().add(Fault::throttle().on("PutRecords"))?;
/// match stream.put(&"21.5".into()).await {
///     Ok(receipt) => println!("stored in {}", receipt.shard_id),
///     Err(PutError::TooLarge { bytes, bytes_max, .. }) => println!("{bytes} of {bytes_max} bytes"),
///     Err(error) if error.is_retryable() => {
///         let code = error.last_attempt().and_then(|attempt| attempt.code());
///         println!("later: {code:?}, may be stored: {}", error.may_have_been_stored());
///         # assert_eq!(code, Some("ProvisionedThroughputExceededException"));
///         # assert!(!error.may_have_been_stored());
///     }
///     Err(error) => return Err(error.into()),
/// }
/// # assert!(stream.put(&"21.5".into()).await.is_ok());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// The record has no usable key. Nothing was sent.
    #[error("a record for stream `{stream}` has no usable key: correct the record")]
    #[non_exhaustive]
    Key {
        /// The stream.
        stream: StreamId,
        /// The problem of the key.
        source: KeyError,
    },
    /// The record's codec refused it. Nothing was sent.
    #[error("a record for stream `{stream}` could not be encoded: correct the record")]
    #[non_exhaustive]
    Encode {
        /// The stream.
        stream: StreamId,
        /// The codec's error.
        source: Arc<EncodeError>,
    },
    /// The record is larger than the stream takes. Nothing was sent.
    #[error(
        "a record for stream `{stream}` has {bytes} bytes, the limit is {bytes_max}: make it smaller"
    )]
    #[non_exhaustive]
    TooLarge {
        /// The stream.
        stream: StreamId,
        /// The record's data and partition key, in bytes; of a record for Firehose, which has no keys, the data alone.
        bytes: usize,
        /// The limit of the stream, in bytes.
        bytes_max: usize,
    },
    /// The record is larger than 1 MiB, and it is not known whether the stream takes such records. Nothing was sent.
    #[error(
        "a record for stream `{stream}` has {bytes} bytes with its key, and whether the stream takes more than \
         {} is not known{}: {}",
        RECORD_BYTES_MAX,
        source.as_ref().map_or_else(String::new, limit_note),
        limit_advice(source.as_ref())
    )]
    #[non_exhaustive]
    LimitUnknown {
        /// The stream.
        stream: StreamId,
        /// The record's data and partition key, in bytes.
        bytes: usize,
        /// The error of the call that asks for the limit. `None`: the call was not made, as the put does not wait.
        source: Option<AttemptError>,
    },
    /// The service refused the record in a way that no retry changes.
    #[error(
        "stream `{stream}` at {endpoint} refused a record{}: {}",
        with_code(source),
        advice(source)
    )]
    #[non_exhaustive]
    Rejected {
        /// The stream.
        stream: StreamId,
        /// The endpoint of the request.
        endpoint: Arc<str>,
        /// The number of attempts.
        attempts: u32,
        /// Whether an earlier attempt may have stored the record.
        may_have_been_stored: bool,
        /// The refusal.
        source: AttemptError,
    },
    /// Every attempt failed with an error that may pass.
    #[error(
        "a record for stream `{stream}` at {endpoint} was given up after {attempts} attempt(s){}: put it again later{}",
        with_code(source),
        duplicate_note(*may_have_been_stored)
    )]
    #[non_exhaustive]
    GaveUp {
        /// The stream.
        stream: StreamId,
        /// The endpoint of the requests.
        endpoint: Arc<str>,
        /// The number of attempts.
        attempts: u32,
        /// Whether one of the attempts may have stored the record.
        may_have_been_stored: bool,
        /// The failure of the last attempt.
        source: AttemptError,
    },
    /// The runtime that was sending the record shut down, or the task that was sending it panicked.
    #[error(
        "a record for stream `{stream}` was dropped because the runtime that sent it shut down: put it again{}",
        duplicate_note(*may_have_been_stored)
    )]
    #[non_exhaustive]
    Gone {
        /// The stream.
        stream: StreamId,
        /// The number of attempts.
        attempts: u32,
        /// Whether one of the attempts may have stored the record.
        may_have_been_stored: bool,
    },
    /// The record waited longer than its time to live.
    #[error(
        "a record for stream `{stream}` was not stored within its {} ms: put it again if it still matters{}",
        waited.as_millis(),
        duplicate_note(*may_have_been_stored)
    )]
    #[non_exhaustive]
    Expired {
        /// The stream.
        stream: StreamId,
        /// The time from the put to the expiry.
        waited: Duration,
        /// The number of attempts.
        attempts: u32,
        /// Whether one of the attempts may have stored the record.
        may_have_been_stored: bool,
    },
    /// The memory budget of the producer is used up. Nothing was sent.
    #[error("the producer of stream `{stream}` has no budget now: wait with `put`, or try later")]
    #[non_exhaustive]
    NoRoom {
        /// The stream.
        stream: StreamId,
    },
    /// The producer was closed. Nothing was sent.
    #[error("the producer of stream `{stream}` is closed: make another one")]
    #[non_exhaustive]
    Closed {
        /// The stream.
        stream: StreamId,
    },
    /// The put was not called from within a tokio runtime. Nothing was sent.
    #[error(
        "a put to stream `{stream}` needs a tokio runtime with its time driver: call it in one"
    )]
    #[non_exhaustive]
    NoRuntime {
        /// The stream.
        stream: StreamId,
    },
}

impl PutError {
    /// Makes the error of a record that has no usable key.
    #[must_use]
    pub fn of_key(stream: StreamId, source: KeyError) -> Self {
        Self::Key { stream, source }
    }

    /// Makes the error of a record that was given up after `attempts` attempts, with the failure of the last one: for
    /// tests of code that decides by errors.
    #[must_use]
    pub fn gave_up(
        stream: impl Into<StreamId>,
        endpoint: impl Into<Arc<str>>,
        attempts: u32,
        source: AttemptError,
    ) -> Self {
        Self::GaveUp {
            stream: stream.into(),
            endpoint: endpoint.into(),
            attempts,
            may_have_been_stored: source.may_have_been_stored(),
            source,
        }
    }

    /// Returns the stream that the record was for.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        match self {
            Self::Key { stream, .. }
            | Self::Encode { stream, .. }
            | Self::TooLarge { stream, .. }
            | Self::LimitUnknown { stream, .. }
            | Self::Rejected { stream, .. }
            | Self::GaveUp { stream, .. }
            | Self::Gone { stream, .. }
            | Self::Expired { stream, .. }
            | Self::Closed { stream }
            | Self::NoRoom { stream }
            | Self::NoRuntime { stream } => stream,
        }
    }

    /// Returns the number of attempts, 0 if nothing was sent.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        match self {
            Self::Rejected { attempts, .. }
            | Self::GaveUp { attempts, .. }
            | Self::Gone { attempts, .. }
            | Self::Expired { attempts, .. } => *attempts,
            _ => 0,
        }
    }

    /// Whether the same record may be stored if it is put again later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::GaveUp { .. }
            | Self::Gone { .. }
            | Self::Expired { .. }
            | Self::NoRoom { .. } => true,
            Self::LimitUnknown { source, .. } => source
                .as_ref()
                .is_none_or(|source| source.class().may_pass()),
            _ => false,
        }
    }

    /// Whether the record may be in the stream in spite of the error, because the answer to a request was lost. Putting
    /// it again may then store it twice: see [duplicates](crate::guide::duplicates).
    #[must_use]
    pub fn may_have_been_stored(&self) -> bool {
        match self {
            Self::Rejected {
                may_have_been_stored,
                ..
            }
            | Self::GaveUp {
                may_have_been_stored,
                ..
            }
            | Self::Gone {
                may_have_been_stored,
                ..
            }
            | Self::Expired {
                may_have_been_stored,
                ..
            } => *may_have_been_stored,
            _ => false,
        }
    }

    /// Returns the failure of the last attempt, if the record was sent and an attempt failed.
    #[must_use]
    pub fn last_attempt(&self) -> Option<&AttemptError> {
        match self {
            Self::Rejected { source, .. } | Self::GaveUp { source, .. } => Some(source),
            _ => None,
        }
    }
}

fn with_code(attempt: &AttemptError) -> String {
    match attempt.code() {
        Some(code) => format!(" with {code}"),
        None if attempt.outage() == Some(Outage::Credentials) => " without credentials".to_owned(),
        None => String::new(),
    }
}

fn limit_note(attempt: &AttemptError) -> String {
    format!(", as DescribeStreamSummary failed{}", with_code(attempt))
}

fn limit_advice(attempt: Option<&AttemptError>) -> &'static str {
    match attempt {
        None => "wait with `put`",
        Some(attempt) if attempt.class().may_pass() => "put it again later",
        Some(attempt) => match attempt.class() {
            ErrorClass::AccessDenied => "allow kinesis:DescribeStreamSummary",
            _ => advice(attempt),
        },
    }
}

fn duplicate_note(may_have_been_stored: bool) -> &'static str {
    if may_have_been_stored {
        " (it may be stored already)"
    } else {
        ""
    }
}

fn advice(attempt: &AttemptError) -> &'static str {
    match attempt.class() {
        ErrorClass::NotFound => "create the stream, or correct its name, region or endpoint",
        ErrorClass::AccessDenied if attempt.is_of_firehose() => {
            "correct the credentials, or allow firehose:PutRecordBatch and the use of the stream's key"
        }
        ErrorClass::AccessDenied => {
            "correct the credentials, or allow kinesis:PutRecords and the use of the stream's key"
        }
        ErrorClass::Invalid => "correct the record or the stream's settings",
        _ => "the same record will not succeed later",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::EntryFailure;

    pub(super) fn rejected(code: &str) -> PutError {
        PutError::Rejected {
            stream: "readings".into(),
            endpoint: "http://127.0.0.1:1".into(),
            attempts: 1,
            may_have_been_stored: false,
            source: AttemptError::Record(Arc::new(EntryFailure::new(code, "no"))),
        }
    }

    #[test]
    fn a_refusal_is_one_line_that_names_the_stream_the_endpoint_the_code_and_what_to_do() {
        assert_eq!(
            rejected("ResourceNotFoundException").to_string(),
            "stream `readings` at http://127.0.0.1:1 refused a record with ResourceNotFoundException: \
             create the stream, or correct its name, region or endpoint"
        );
        assert!(!rejected("ResourceNotFoundException").is_retryable());
    }
}
