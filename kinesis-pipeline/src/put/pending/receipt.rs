//! The result of a put: a receipt, and the future of it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::oneshot::{Blocks, Receiver, Sender};
use crate::{
    put::error::PutError,
    service::StreamId,
    shard::{Position, SequenceNumber, ShardId},
};

/// The proof that a record is stored, with its place in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The shard that took the record.
    pub shard_id: ShardId,
    /// The sequence number of the Kinesis record.
    pub sequence_number: SequenceNumber,
    /// The index of the record in its [aggregate](crate::guide::words); 0 for a record that is not aggregated.
    pub sub_sequence_number: u64,
    /// The number of attempts; 1 if the first one stored the record.
    pub attempts: u32,
    /// The time from the put to the receipt.
    pub time_in_buffer: Duration,
}

impl Receipt {
    /// Makes a receipt of a record that was stored at the first attempt without a wait: for tests.
    #[must_use]
    pub fn new(shard_id: ShardId, sequence_number: SequenceNumber) -> Self {
        Self {
            shard_id,
            sequence_number,
            sub_sequence_number: 0,
            attempts: 1,
            time_in_buffer: Duration::ZERO,
        }
    }

    /// Returns the record's position in the stream, as readers see it.
    #[must_use]
    pub fn position(&self) -> Position {
        Position::new(self.shard_id.clone(), self.sequence_number.clone())
            .at_sub_sequence_number(self.sub_sequence_number)
    }
}

/// Formats the position, such as `shardId-000000000000:7.3`.
impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.position().fmt(f)
    }
}

/// The result of a put: a receipt or an error.
pub(in crate::put) type PutResult = Result<Receipt, PutError>;

/// The future of an accepted record's result: a [`Receipt`] once it is stored, or an error once it is given up.
///
/// Dropping it does not take the record back: the record is still sent as long as the runtime runs.
/// [`Producer::flush`](crate::Producer::flush) and [`Producer::close`](crate::Producer::close) count such records if
/// they fail.
///
/// # Cancel safety
/// It can be polled by reference, as in `select!`, and awaited later: the result is kept.
///
/// # Panics
///
/// Polling it again after it was ready panics, as with other futures.
pub struct PendingReceipt(Receiver<PutResult, StreamId>);

/// The sending end of a [`PendingReceipt`].
pub(in crate::put) type Waiter = Sender<PutResult, StreamId>;

/// Makes the receipts of a pipeline.
#[derive(Debug)]
pub(in crate::put) struct Receipts(Blocks<PutResult, StreamId>);

impl Receipts {
    /// Makes receipts for records of this stream.
    pub(in crate::put) fn new(stream: StreamId) -> Self {
        Self(Blocks::new(stream))
    }

    /// Makes the receipt of the next record, with its sending end.
    #[inline]
    pub(in crate::put) fn pair(&mut self) -> (Waiter, PendingReceipt) {
        let (waiter, result) = self.0.pair();
        (waiter, PendingReceipt(result))
    }
}

impl fmt::Debug for PendingReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingReceipt")
            .field("stream", self.0.context())
            .field("is_ready", &self.0.is_done())
            .finish_non_exhaustive()
    }
}

impl Future for PendingReceipt {
    type Output = PutResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PutResult> {
        assert!(
            !self.0.is_done(),
            "a receipt is not polled once it was ready"
        );
        let result = ready!(self.0.poll(cx));
        Poll::Ready(result.unwrap_or_else(|| {
            Err(PutError::Gone {
                stream: self.0.context().clone(),
                attempts: 0,
                may_have_been_stored: true,
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::put::pipeline::pipeline::NotNow;

    #[test]
    fn a_put_returns_a_receipt_or_an_error_in_two_registers() {
        type Put = Result<PendingReceipt, NotNow>;
        assert_eq!(size_of::<Put>(), 2 * size_of::<usize>());
    }

    #[test]
    fn a_receipt_names_the_position_that_a_reader_sees() {
        let mut receipt = Receipt::new("shardId-000000000000".into(), 7_u128.into());
        receipt.sub_sequence_number = 3;
        assert_eq!(receipt.position().to_string(), "shardId-000000000000:7.3");
        assert_eq!(receipt.to_string(), "shardId-000000000000:7.3");
    }

    #[tokio::test]
    async fn a_waiter_that_vanishes_ends_its_receipt_with_an_error() {
        let (waiter, pending) = Receipts::new("s".into()).pair();
        drop(waiter);
        assert!(pending.await.unwrap_err().may_have_been_stored());
    }

    #[tokio::test]
    #[should_panic(expected = "a receipt is not polled once it was ready")]
    async fn a_receipt_that_was_ready_panics_when_it_is_polled() {
        let (waiter, mut pending) = Receipts::new("s".into()).pair();
        drop(waiter);
        assert!((&mut pending).await.is_err());
        drop((&mut pending).await);
    }
}
