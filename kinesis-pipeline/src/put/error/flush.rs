//! The errors of a flush and of a close.

use crate::service::StreamId;

/// An error of [`Producer::flush`](crate::Producer::flush): records that were not stored.
///
/// # Examples
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use bytes::Bytes;
/// use kinesis_pipeline::{FlushError, KinesisStream, LocalKinesis, local::Fault};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kinesis = LocalKinesis::start().await?;
/// let stream: KinesisStream<Bytes> = kinesis.stream("readings", 1).await?;
/// let producer = stream.producer().build()?;
///
/// kinesis.faults().add(Fault::deny().on("PutRecords"))?;
/// let pending = producer.put(&"21.5".into()).await?;
/// let flushed = producer.flush().await;
/// assert!(matches!(flushed, Err(FlushError::NotStored { records: 1, .. })));
/// println!("why: {}", pending.await.expect_err("it was not stored"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// Some of the records were not stored.
    #[error(
        "{records} record(s) for stream `{stream}` were not stored: their receipts say why and which to put again"
    )]
    #[non_exhaustive]
    NotStored {
        /// The stream.
        stream: StreamId,
        /// The number of records.
        records: u64,
    },
    /// The flush was not called from within a tokio runtime.
    #[error(
        "a flush of stream `{stream}` needs a tokio runtime with its time driver: call it in one"
    )]
    #[non_exhaustive]
    NoRuntime {
        /// The stream.
        stream: StreamId,
    },
    /// The task that sends the records panicked. The producer sends nothing any more.
    #[error(
        "the producer of stream `{stream}` broke down: make another one, and put the records again whose receipts are \
         errors"
    )]
    #[non_exhaustive]
    Gone {
        /// The stream.
        stream: StreamId,
    },
}

/// An error of [`Producer::close`](crate::Producer::close): records that were not stored.
///
/// # Examples
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use bytes::Bytes;
/// use kinesis_pipeline::{KinesisStream, LocalKinesis, local::Fault};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kinesis = LocalKinesis::start().await?;
/// let stream: KinesisStream<Bytes> = kinesis.stream("readings", 1).await?;
/// let producer = stream.producer().build()?;
///
/// kinesis.faults().add(Fault::deny().on("PutRecords"))?;
/// producer.put(&"21.5".into()).await?; // the receipt is dropped: close counts the record
/// let error = producer.close().await.expect_err("it was not stored");
/// assert_eq!((error.records_failed, error.records_pending), (1, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the producer of stream `{stream}` closed with {records_failed} record(s) not stored and {records_pending} \
     still on their way: their receipts say which to put again"
)]
#[non_exhaustive]
pub struct CloseError {
    /// The stream.
    pub stream: StreamId,
    /// The number of records that were given up or refused since the flush before. If the time was over: 0. If the
    /// producer broke down: all such records since it was built.
    pub records_failed: u64,
    /// The number of records that have no result yet because the time was over.
    pub records_pending: u64,
}
