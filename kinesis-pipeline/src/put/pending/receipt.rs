//! The end of every record: a receipt, or the reason why there is none.

use std::{
    cell::RefCell,
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

/// The place where a record was stored.
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
    /// A receipt of a record that was stored at the first attempt, at once.
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

    /// The record's position in the stream, as a reader sees it.
    #[must_use]
    pub fn position(&self) -> Position {
        Position::new(self.shard_id.clone(), self.sequence_number.clone())
            .at_sub_sequence_number(self.sub_sequence_number)
    }
}

/// Shows the position, such as `shardId-000000000000:7.3`.
impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.position().fmt(f)
    }
}

/// The result of a put: a receipt or an error.
pub(in crate::put) type PutResult = Result<Receipt, PutError>;

/// The result of a record that was accepted; it comes once the record is stored or given up.
///
/// Dropping it does not take the record back: it is still sent, as long as the runtime runs.
/// [`Producer::flush`](crate::Producer::flush) and [`Producer::close`](crate::Producer::close) count records that failed
/// without anybody waiting for them.
///
/// # Panics
///
/// As other futures, it panics when it is polled again after it was ready.
pub struct PendingReceipt {
    /// Absent once the result is out.
    result: Option<Receiver<PutResult>>,
    stream: StreamId,
}

/// The other end of a [`PendingReceipt`].
pub(super) type Waiter = Sender<PutResult>;

thread_local! {
    /// Each thread has its own: no two threads wait for each other to find a place.
    static BLOCKS: RefCell<Blocks<PutResult>> = RefCell::new(Blocks::new());
}

impl PendingReceipt {
    pub(in crate::put) fn new(stream: StreamId) -> (Waiter, Self) {
        // A thread that ends has none any more.
        let (waiter, result) = BLOCKS
            .try_with(|blocks| blocks.borrow_mut().pair())
            .unwrap_or_else(|_| Blocks::new().pair());
        let result = Some(result);
        (waiter, Self { result, stream })
    }
}

impl fmt::Debug for PendingReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingReceipt")
            .field("stream", &self.stream)
            .field("is_ready", &self.result.is_none())
            .finish_non_exhaustive()
    }
}

impl Future for PendingReceipt {
    type Output = PutResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PutResult> {
        let receiver = self.result.as_mut();
        let receiver = receiver.expect("a receipt is not polled once it was ready");
        let result = ready!(receiver.poll(cx));
        self.result = None;
        Poll::Ready(result.unwrap_or_else(|| {
            Err(PutError::Gone {
                stream: self.stream.clone(),
                attempts: 0,
                may_have_been_stored: true,
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_names_the_position_that_a_reader_sees() {
        let mut receipt = Receipt::new("shardId-000000000000".into(), 7_u128.into());
        receipt.sub_sequence_number = 3;
        assert_eq!(receipt.position().to_string(), "shardId-000000000000:7.3");
        assert_eq!(receipt.to_string(), "shardId-000000000000:7.3");
    }

    #[tokio::test]
    async fn a_waiter_that_vanishes_ends_its_receipt_with_an_error() {
        let (waiter, pending) = PendingReceipt::new("s".into());
        drop(waiter);
        assert!(pending.await.unwrap_err().may_have_been_stored());
    }
}
