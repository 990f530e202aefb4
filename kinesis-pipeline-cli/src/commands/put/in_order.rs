//! Single records in the order of their keys: a record is put after the previous record of its key has its result.
//!
//! The service stores the records of a request in their order, but each may fail alone, and a retried record is then
//! stored behind its followers. With at most one record per key in flight this cannot happen, and records of other keys
//! do not wait: the more keys, the closer the rate is to that without an order.

use std::{collections::HashMap, sync::Arc};

use futures_util::{Stream, StreamExt as _};
use kinesis_pipeline::{KinesisStream, PartitionKey, PutError, Receipt};
use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    oneshot::{self, error::TryRecvError},
};

use super::line::Line;

/// The most lines between the input and the results.
const LINES_AHEAD_MAX: usize = 10_000;
/// The most bytes of these lines, in KiB.
const KIB_AHEAD_MAX: u32 = 64 * 1024;

/// Puts each line as a record of its own, the records of a key in the order of the lines. The results are in the
/// order of the lines.
pub(super) fn single(
    stream: &KinesisStream<Line>,
    lines: impl Stream<Item = Line>,
) -> impl Stream<Item = Result<Receipt, PutError>> {
    let room = Arc::new(Semaphore::new(KIB_AHEAD_MAX as usize));
    let mut turns = Turns::default();
    let stream = stream.clone();
    lines
        .then(move |line| with_room(room.clone(), line))
        .map(move |(line, permit)| {
            let turn = turns.next(&line);
            let stream = stream.clone();
            async move {
                let result = turn.put(&stream, &line).await;
                drop(permit);
                result
            }
        })
        .buffered(LINES_AHEAD_MAX)
}

/// Waits until the lines ahead leave room for this one. This cannot deadlock, because no line waits for a later one.
async fn with_room(room: Arc<Semaphore>, line: Line) -> (Line, Option<OwnedSemaphorePermit>) {
    let bytes = line.record.as_ref().map_or(0, |record| record.data.len());
    let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
    let kib = kib.clamp(1, KIB_AHEAD_MAX);
    // The semaphore is never closed.
    let permit = room.acquire_many_owned(kib).await.ok();
    (line, permit)
}

/// The last line of each key that has lines in flight.
#[derive(Default)]
struct Turns {
    last: HashMap<PartitionKey, oneshot::Receiver<()>>,
}

/// The place of a line among those of its key.
#[derive(Default)]
struct Turn {
    /// Closed when the previous line of the key has its result.
    before: Option<oneshot::Receiver<()>>,
    /// Dropped when this line has its result.
    done: Option<oneshot::Sender<()>>,
}

impl Turns {
    /// Returns the turn of the next line, after all lines before it. A line that is no record waits for none.
    fn next(&mut self, line: &Line) -> Turn {
        let Ok(record) = &line.record else {
            return Turn::default();
        };
        if self.last.len() >= 2 * LINES_AHEAD_MAX {
            self.forget_ended();
        }
        let (done, ends) = oneshot::channel();
        let before = self.last.insert(record.partition_key.clone(), ends);
        Turn {
            before,
            done: Some(done),
        }
    }

    /// Removes keys without lines in flight. At most [`LINES_AHEAD_MAX`] stay: no more lines are in flight.
    fn forget_ended(&mut self) {
        self.last
            .retain(|_, ends| matches!(ends.try_recv(), Err(TryRecvError::Empty)));
    }
}

impl Turn {
    async fn put(self, stream: &KinesisStream<Line>, line: &Line) -> Result<Receipt, PutError> {
        if let Some(before) = self.before {
            // Nothing is ever sent: the wait ends when the sender is dropped.
            let _ = before.await;
        }
        let result = stream.put(line).await;
        drop(self.done);
        result
    }
}

#[cfg(test)]
mod tests {
    use kinesis_pipeline::EncodedRecord;

    use super::*;

    fn line(number: u64, key: &str) -> Line {
        let key = PartitionKey::new(key).unwrap();
        let record = Ok(EncodedRecord::new(key, "x".into()));
        Line { number, record }
    }

    #[test]
    fn a_line_waits_for_the_last_one_of_its_key_alone() {
        let mut turns = Turns::default();
        let first = turns.next(&line(1, "a"));
        let other = turns.next(&line(2, "b"));
        let mut second = turns.next(&line(3, "a"));
        assert!(first.before.is_none() && other.before.is_none());
        let before = second.before.as_mut().unwrap();
        assert_eq!(before.try_recv(), Err(TryRecvError::Empty));
        drop(other);
        assert_eq!(before.try_recv(), Err(TryRecvError::Empty));
        drop(first);
        assert_eq!(before.try_recv(), Err(TryRecvError::Closed));
    }

    #[test]
    fn keys_whose_lines_have_results_are_forgotten() {
        let mut turns = Turns::default();
        let held = turns.next(&line(0, "held"));
        for number in 1..=5 * LINES_AHEAD_MAX as u64 {
            drop(turns.next(&line(number, &number.to_string())));
            assert!(turns.last.len() <= 2 * LINES_AHEAD_MAX);
        }
        assert!(turns.next(&line(0, "held")).before.is_some());
        drop(held);
    }
}
