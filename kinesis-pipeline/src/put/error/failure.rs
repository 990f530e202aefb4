use std::{error::Error, fmt};

use super::PutError;

/// A record that was not put, with its error.
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
    /// Makes a failure of a record and its error.
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

/// Formats the error, never the record.
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
    use crate::put::error::tests::rejected;

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
}
