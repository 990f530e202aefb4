//! The stream of results of many puts, in the order of the records.

use std::{
    borrow::Borrow,
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;

use super::shared_put::{NotAccepted, try_accept};

use crate::{
    put::{
        error::{PutError, PutFailure},
        pending::receipt::{PendingReceipt, PutResult, Receipt},
        pipeline::pipeline::Pipeline,
    },
    record::{EncodedRecord, KinesisRecord},
    stream::KinesisStream,
};

/// The largest number of records between the source and the results.
const LOOK_AHEAD_RECORDS_MAX: usize = 10_000;
/// The number of records that are read before other tasks get their turn.
const READ_RECORDS_MAX: usize = 500;

type Accepting = Pin<Box<dyn Future<Output = Result<PendingReceipt, PutError>> + Send>>;

/// The results of [`KinesisStream::put_stream`] or [`Producer::put_stream`](crate::Producer::put_stream), one per
/// record, in the order of the records.
#[must_use = "nothing is put until the results are read"]
pub struct PutStream<R, S: Stream> {
    stream: KinesisStream<R>,
    pipeline: Arc<Pipeline>,
    /// The records to put; `None` once it has ended.
    source: Option<Pin<Box<S>>>,
    /// A record that waits for budget, and the future of that wait.
    accepting: Option<(S::Item, Accepting)>,
    /// Records whose results were not returned yet, in their order.
    ahead: VecDeque<(S::Item, Outcome)>,
}

enum Outcome {
    Pending(PendingReceipt),
    Known(PutError),
}

/// The state of the source after it was read.
enum Source {
    /// Nothing can be read before an event wakes the task.
    Waits,
    /// More may be there, but other tasks get their turn first.
    HasMore,
}

impl<R, S> PutStream<R, S>
where
    R: KinesisRecord,
    S: Stream,
    S::Item: Borrow<R>,
{
    pub(in crate::put) fn new(
        stream: KinesisStream<R>,
        pipeline: Arc<Pipeline>,
        source: S,
    ) -> Self {
        Self {
            stream,
            pipeline,
            source: Some(Box::pin(source)),
            accepting: None,
            ahead: VecDeque::new(),
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Source {
        for _ in 0..READ_RECORDS_MAX {
            if !self.accepted(cx) || self.ahead.len() >= LOOK_AHEAD_RECORDS_MAX {
                return Source::Waits;
            }
            let Some(source) = &mut self.source else {
                return Source::Waits;
            };
            match source.as_mut().poll_next(cx) {
                Poll::Ready(Some(record)) => self.put(record),
                Poll::Ready(None) => self.source = None,
                Poll::Pending => return Source::Waits,
            }
        }
        Source::HasMore
    }

    /// Whether no record waits for budget any more.
    fn accepted(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((_, accepting)) = &mut self.accepting else {
            return true;
        };
        let Poll::Ready(accepted) = accepting.as_mut().poll(cx) else {
            return false;
        };
        if let Some((record, _)) = self.accepting.take() {
            self.ahead.push_back((record, accepted.into()));
        }
        true
    }

    fn put(&mut self, record: S::Item) {
        match try_accept(&self.stream, &self.pipeline, record.borrow()) {
            Ok(pending) => self.ahead.push_back((record, Outcome::Pending(pending))),
            Err(NotAccepted::NoRoom(encoded)) => {
                self.accepting = Some((record, self.accept(*encoded)));
            }
            Err(NotAccepted::Refused(error)) => {
                self.ahead.push_back((record, Outcome::Known(*error)));
            }
        }
    }

    fn accept(&self, record: EncodedRecord) -> Accepting {
        let pipeline = Arc::clone(&self.pipeline);
        Box::pin(async move { pipeline.put(record).await })
    }
}

impl<R, S> Stream for PutStream<R, S>
where
    R: KinesisRecord,
    S: Stream,
    S::Item: Borrow<R>,
{
    type Item = Result<Receipt, PutFailure<S::Item>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let source = this.read(cx);
        if let Some((_, outcome)) = this.ahead.front_mut()
            && let Poll::Ready(result) = outcome.poll(cx)
            && let Some((record, _)) = this.ahead.pop_front()
        {
            return Poll::Ready(Some(result.map_err(|error| PutFailure::new(error, record))));
        }
        if this.source.is_none() && this.accepting.is_none() && this.ahead.is_empty() {
            return Poll::Ready(None);
        }
        if let Source::HasMore = source {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// The fields that are pinned are in boxes.
impl<R, S: Stream> Unpin for PutStream<R, S> {}

impl Outcome {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<PutResult> {
        match self {
            Self::Pending(pending) => Pin::new(pending).poll(cx),
            Self::Known(error) => Poll::Ready(Err(error.clone())),
        }
    }
}

impl From<Result<PendingReceipt, PutError>> for Outcome {
    fn from(accepted: Result<PendingReceipt, PutError>) -> Self {
        match accepted {
            Ok(pending) => Self::Pending(pending),
            Err(error) => Self::Known(error),
        }
    }
}

impl<R, S: Stream> fmt::Debug for PutStream<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutStream")
            .field("stream", &self.stream)
            .field("ahead", &self.ahead.len())
            .finish_non_exhaustive()
    }
}
