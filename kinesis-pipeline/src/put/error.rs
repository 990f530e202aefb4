use std::{error::Error, fmt, sync::Arc, time::Duration};

use super::admission::encode::RECORD_BYTES_MAX;
use crate::{
    record::{EncodeError, KeyError},
    service::{EntryFailure, ErrorClass, ServiceError, StreamId},
    shard::ShardId,
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
        /// The most that the stream takes.
        bytes_max: usize,
    },
    /// The record is larger than each stream takes, and the stream has not told whether it takes such records. Nothing
    /// was sent.
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
        /// The error of the call that asks for the limit; `None`: it was not made, as the put does not wait.
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
    /// Every attempt failed in a way that may pass.
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
        /// The time that the record waited.
        waited: Duration,
        /// The number of attempts.
        attempts: u32,
        /// Whether one of the attempts may have stored the record.
        may_have_been_stored: bool,
    },
    /// The producer holds as much as it may. Nothing was sent.
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
    /// The error of a record for this stream that has no usable key.
    #[must_use]
    pub fn of_key(stream: StreamId, source: KeyError) -> Self {
        Self::Key { stream, source }
    }

    /// The error of a record that was given up after so many attempts, the last of which failed so: for tests of code
    /// that decides by errors.
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

    /// The stream that the record was for.
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

    /// The number of attempts.
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

    /// Whether the same record may be stored when it is put again.
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

    /// Whether the record may be in the stream in spite of the error, because a request's answer was lost. To
    /// put it again may then store it twice.
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

/// The failure of one attempt to store a record.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The request failed as a whole.
    #[error(transparent)]
    Request(Arc<ServiceError>),
    /// The request succeeded, but not for this record.
    #[error(transparent)]
    Record(Arc<EntryFailure>),
    /// No answer came in time.
    #[error("no answer came within {} ms", after.as_millis())]
    #[non_exhaustive]
    TimedOut {
        /// The time limit of the request.
        after: Duration,
    },
    /// The answer does not fit the request, so that nobody knows which records it is about.
    #[error("the service answered {answered} results to {sent} records")]
    #[non_exhaustive]
    WrongAnswer {
        /// The number of records that were sent.
        sent: usize,
        /// The number of results that came back.
        answered: usize,
    },
    /// The record was stored, as part of an [aggregate](crate::guide::words), in a shard that is not known to take its hash key. Readers
    /// that check this, as Amazon's Kinesis Client Library (KCL) does, drop it there.
    #[error(
        "shard {shard_id} stored the record, but is not known to take its hash key: readers may drop it there"
    )]
    #[non_exhaustive]
    WrongShard {
        /// The shard that stored it.
        shard_id: ShardId,
    },
}

impl AttemptError {
    /// Returns the class of the failure.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Request(error) => error.class,
            Self::Record(failure) => failure.class,
            Self::TimedOut { .. } | Self::WrongShard { .. } => ErrorClass::Transient,
            Self::WrongAnswer { .. } => ErrorClass::Other,
        }
    }

    /// The service's error code, if it gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Request(error) => error.code.as_deref(),
            Self::Record(failure) => Some(&failure.code),
            Self::TimedOut { .. } | Self::WrongAnswer { .. } | Self::WrongShard { .. } => None,
        }
    }

    /// Whether this attempt may have stored the record all the same.
    #[must_use]
    pub fn may_have_been_stored(&self) -> bool {
        match self {
            Self::Request(error) => error.may_have_been_done,
            Self::Record(_) => false,
            Self::TimedOut { .. } | Self::WrongAnswer { .. } | Self::WrongShard { .. } => true,
        }
    }

    fn is_of_firehose(&self) -> bool {
        matches!(self, Self::Request(error) if error.operation == "PutRecordBatch")
    }

    /// Returns the outage that kept the request from the service, if it is known that it was not carried out.
    pub(super) fn outage(&self) -> Option<Outage> {
        let Self::Request(error) = self else {
            return None;
        };
        if error.awaits_credentials() {
            return Some(Outage::Credentials);
        }
        let unreached = error.code.is_none()
            && !error.may_have_been_done
            && error.class == ErrorClass::Transient;
        unreached.then_some(Outage::Unreachable)
    }
}

/// An outage that keeps every request from the service, whatever it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outage {
    /// No connection can be made.
    Unreachable,
    /// No request can be signed, or the session of the credentials has expired.
    Credentials,
}

/// A record that was not put, and why.
///
/// # Examples
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use bytes::Bytes;
/// use kinesis_pipeline::{KinesisStream, LocalKinesis, PutError};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 1).await?;
/// let producer = stream.producer().in_flight_records_max(1).build()?;
/// let first = producer.try_put(Bytes::from("21.5"))?;
///
/// let failure = producer.try_put(Bytes::from("21.6")).expect_err("one record is on its way");
/// assert!(matches!(failure.error, PutError::NoRoom { .. }));
/// assert_eq!(failure.record, "21.6"); // the record is yours again
///
/// producer.flush().await?;
/// first.await?;
/// producer.try_put(failure.record)?;
/// producer.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct PutFailure<T> {
    /// The reason why it was not stored.
    pub error: PutError,
    /// The record, as it was given.
    pub record: T,
}

impl<T> PutFailure<T> {
    /// A record with the reason why it was not put.
    pub fn new(error: PutError, record: T) -> Self {
        Self { error, record }
    }
}

/// Drops the record, so that `?` works on [`try_put`](crate::Producer::try_put) where a copy of it is kept elsewhere.
///
/// ```
/// use kinesis_pipeline::{Producer, PutError};
///
/// async fn put_now(producer: &Producer<String>, line: &String) -> Result<(), PutError> {
///     let pending = producer.try_put(line)?;
///     pending.await?;
///     Ok(())
/// }
/// ```
impl<T> From<PutFailure<T>> for PutError {
    fn from(failure: PutFailure<T>) -> Self {
        failure.error
    }
}

/// Shows the error, never the record.
impl<T> fmt::Debug for PutFailure<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutFailure")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for PutFailure<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> Error for PutFailure<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(code: &str) -> PutError {
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

    #[test]
    fn a_failure_never_shows_its_record() {
        let failure = PutFailure::new(rejected("Nope"), "secret");
        assert!(!format!("{failure:?} {failure}").contains("secret"));
    }

    #[test]
    fn a_failure_becomes_its_error_where_the_record_is_not_wanted() {
        fn put() -> Result<(), PutError> {
            Err(PutFailure::new(rejected("Nope"), "record"))?
        }
        assert_eq!(put().unwrap_err().to_string(), rejected("Nope").to_string());
    }

    #[test]
    fn only_what_keeps_every_request_from_the_service_is_an_outage() {
        let unanswered =
            || ServiceError::unanswered("PutRecords", "http://x", ErrorClass::Transient, "broken");
        let mut lost = unanswered();
        lost.may_have_been_done = true;
        let answered = |code| ServiceError::answered("PutRecords", "http://x", code, "");
        let denied =
            ServiceError::unanswered("PutRecords", "http://x", ErrorClass::AccessDenied, "none");
        for (error, outage) in [
            (unanswered(), Some(Outage::Unreachable)),
            (lost, None),
            (denied, None),
            (answered("InternalFailure"), None),
            (answered("ExpiredTokenException"), Some(Outage::Credentials)),
            (
                ServiceError::unsigned("PutRecords", "http://x", "busy"),
                Some(Outage::Credentials),
            ),
        ] {
            let text = error.to_string();
            assert_eq!(
                AttemptError::Request(Arc::new(error)).outage(),
                outage,
                "{text}"
            );
        }
    }
}
