//! A producer at the end of a stream of records.

use std::{
    borrow::Borrow,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_sink::Sink;

use super::{producer::Producer, shared_put::NotAccepted};
use crate::{
    put::{
        error::{FlushError, PutError},
        pipeline::pipeline::Pipeline,
    },
    record::KinesisRecord,
};

type Step<E> = Pin<Box<dyn Future<Output = Result<(), E>> + Send>>;

/// A [`Sink`] of records, owned or by reference, that puts them with a [`Producer`].
///
/// It is ready when the producer has room. Flushing and closing wait until all records that the producer has accepted
/// are stored or given up; closing leaves the producer and its other handles open. A sink gives no receipts: the error
/// of a flush counts the records that were not stored.
///
/// ```
/// use futures_util::{StreamExt, stream};
/// # use bytes::Bytes;
/// # async fn journey(stream: kinesis_pipeline::KinesisStream<Bytes>) -> Result<(), Box<dyn std::error::Error>> {
/// let producer = stream.producer().build()?;
/// let records = stream::iter([Bytes::from("21.5"), Bytes::from("19.0")]);
/// records.map(Ok).forward(producer.sink()).await?;
/// # Ok(())
/// # }
/// ```
pub struct ProducerSink<R> {
    producer: Producer<R>,
    /// The wait of a record for budget.
    accepting: Option<Step<PutError>>,
    flushing: Option<Step<FlushError>>,
    /// Whether records came after that flush, whose future was dropped before its end.
    came_after: bool,
}

/// The error of a [`ProducerSink`].
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// A record was not accepted: it cannot be put as it is, or the producer is closed.
    #[error(transparent)]
    Put(#[from] PutError),
    /// Accepted records were not stored.
    #[error(transparent)]
    Flush(#[from] FlushError),
}

impl<R> Producer<R> {
    /// Returns a sink that puts its records with this producer.
    #[must_use]
    pub fn sink(&self) -> ProducerSink<R> {
        ProducerSink {
            producer: self.clone(),
            accepting: None,
            flushing: None,
            came_after: false,
        }
    }
}

impl<R> ProducerSink<R> {
    fn pipeline(&self) -> &Arc<Pipeline> {
        self.producer.pipeline()
    }

    fn poll_accepting(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        let Some(accepting) = &mut self.accepting else {
            return Poll::Ready(Ok(()));
        };
        let accepted = ready!(accepting.as_mut().poll(cx));
        self.accepting = None;
        Poll::Ready(accepted.map_err(SinkError::Put))
    }

    fn poll_flushing(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        ready!(self.poll_accepting(cx))?;
        loop {
            let pipeline = Arc::clone(self.pipeline());
            let flushing = self
                .flushing
                .get_or_insert_with(|| Box::pin(async move { pipeline.flush().await }));
            let flushed = ready!(flushing.as_mut().poll(cx));
            self.flushing = None;
            let came_after = std::mem::take(&mut self.came_after);
            if flushed.is_err() || !came_after {
                return Poll::Ready(flushed.map_err(SinkError::Flush));
            }
        }
    }
}

impl<R: KinesisRecord, T: Borrow<R>> Sink<T> for ProducerSink<R> {
    type Error = SinkError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        self.get_mut().poll_accepting(cx)
    }

    fn start_send(self: Pin<&mut Self>, record: T) -> Result<(), SinkError> {
        let this = self.get_mut();
        this.came_after = this.flushing.is_some();
        let accepted = this.producer.try_accept(record.borrow());
        match accepted {
            Ok(pending) => drop(pending),
            Err(NotAccepted::NoRoom(record)) => {
                let pipeline = Arc::clone(this.pipeline());
                let accepting = async move { pipeline.put(*record).await.map(drop) };
                this.accepting = Some(Box::pin(accepting));
            }
            Err(NotAccepted::Refused(error)) => return Err((*error).into()),
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        self.get_mut().poll_flushing(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        self.get_mut().poll_flushing(cx)
    }
}

/// The futures that are pinned are in boxes.
impl<R> Unpin for ProducerSink<R> {}

impl<R> fmt::Debug for ProducerSink<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerSink")
            .field("producer", &self.producer)
            .finish_non_exhaustive()
    }
}
