use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// The longest line in bytes. A longer one is no record: no stream takes more than 10 MiB.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A line of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// The line number, counted from 1.
    pub(super) number: u64,
    /// The bytes, with the newline that ends all lines but perhaps the last; `None` if they are too many.
    pub(super) bytes: Option<Bytes>,
}

/// Returns the lines of an input. They end at the input's end or first error, which is then in `progress`.
pub(super) fn read(
    input: impl AsyncBufRead + Unpin,
    progress: Progress,
) -> impl Stream<Item = Text> {
    let lines = (input, 0, progress);
    stream::unfold(lines, |(mut input, number, progress)| async move {
        match next_line(&mut input, LINE_BYTES_MAX).await {
            Ok(Some(bytes)) => {
                let number = number + 1;
                progress.read(bytes.length);
                let bytes = bytes.whole;
                Some((Text { number, bytes }, (input, number, progress)))
            }
            Ok(None) => {
                progress.end(None);
                None
            }
            Err(error) => {
                progress.end(Some(error));
                None
            }
        }
    })
}

/// A line as it was read.
#[derive(Debug, PartialEq, Eq)]
struct Bounded {
    /// The bytes; `None` if they are more than a record can have.
    whole: Option<Bytes>,
    length: usize,
}

/// Returns the next line; `None` at the end of the input. A line that is too long is read and dropped.
async fn next_line(
    input: &mut (impl AsyncBufRead + Unpin),
    bytes_max: usize,
) -> io::Result<Option<Bounded>> {
    let mut line = BytesMut::new();
    let mut length = 0;
    loop {
        let chunk = input.fill_buf().await?;
        if chunk.is_empty() && length == 0 {
            return Ok(None);
        }
        let newline = chunk.iter().position(|byte| *byte == b'\n');
        let taken = newline.map_or(chunk.len(), |at| at + 1);
        if length + taken <= bytes_max {
            line.extend_from_slice(&chunk[..taken]);
        }
        let is_end = newline.is_some() || chunk.is_empty();
        length += taken;
        input.consume(taken);
        if is_end {
            let is_whole = line.len() == length;
            let whole = is_whole.then(|| line.freeze());
            return Ok(Some(Bounded { whole, length }));
        }
    }
}

/// The progress of reading and putting the input, shared by the reader and the receiver of results.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The numbers of the lines that were put and have no result yet, in order.
    put: VecDeque<u64>,
    /// The last line that has a result; 0 before the first.
    last: u64,
    /// The number of lines that were not stored.
    failed: u64,
    bytes_read: u64,
    is_ended: bool,
    error: Option<io::Error>,
}

impl Progress {
    /// Notes that a line is being put.
    pub(super) fn put(&self, number: u64) {
        self.state().put.push_back(number);
    }

    /// Takes the number of the line whose result comes next: results come in the order of the puts.
    pub(super) fn next_result(&self) -> u64 {
        let mut state = self.state();
        let number = state.put.pop_front().unwrap_or_default();
        state.last = number;
        number
    }

    /// Returns the last line that has a result, as all lines before it have; 0 before the first.
    pub(super) fn last(&self) -> u64 {
        self.state().last
    }

    /// Returns the last line that was put; 0 before the first.
    pub(super) fn last_put(&self) -> u64 {
        let state = self.state();
        state.put.back().copied().unwrap_or(state.last)
    }

    /// Notes that the line of the last result was not stored.
    pub(super) fn count_failed(&self) {
        self.state().failed += 1;
    }

    /// The number of lines that were not stored.
    pub(super) fn failed(&self) -> u64 {
        self.state().failed
    }

    /// Returns the number of bytes of the input that were read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.state().bytes_read
    }

    /// Returns the number of lines that were put and have no result yet.
    pub(super) fn without_result(&self) -> u64 {
        self.state().put.len() as u64
    }

    /// Whether everything was read.
    pub(super) fn is_ended(&self) -> bool {
        self.state().is_ended
    }

    /// Takes the error that ended reading early.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        self.state().error.take()
    }

    fn read(&self, bytes: usize) {
        self.state().bytes_read += bytes as u64;
    }

    fn end(&self, error: Option<io::Error>) {
        let mut state = self.state();
        state.is_ended = error.is_none();
        state.error = error;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent even if another thread panicked while holding the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use tokio::io::BufReader;

    use super::*;

    async fn lines_of(input: &[u8], chunk_bytes: usize) -> Vec<Text> {
        let input = BufReader::with_capacity(chunk_bytes, input);
        read(input, Progress::default()).collect().await
    }

    #[tokio::test]
    async fn lines_are_counted_and_whole_whatever_the_chunks() {
        for chunk_bytes in 1..12 {
            let lines = lines_of(b"one\n\nthree\nfour", chunk_bytes).await;
            let expected = ["one\n", "\n", "three\n", "four"];
            assert_eq!(lines.len(), expected.len());
            for (number, (line, bytes)) in (1..).zip(lines.iter().zip(expected)) {
                assert_eq!(line.number, number);
                assert_eq!(line.bytes.as_deref(), Some(bytes.as_bytes()));
            }
        }
    }

    #[tokio::test]
    async fn an_input_without_bytes_has_no_lines() {
        assert!(lines_of(b"", 8).await.is_empty());
        assert_eq!(lines_of(b"a\n", 8).await.len(), 1);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_dropped_and_the_next_is_whole() {
        let mut input = BufReader::with_capacity(3, &b"12345678\nabc\n1234\n12345"[..]);
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut input, 5).await.unwrap() {
            lines.push(line.whole);
        }
        let expected = [None, Some("abc\n"), Some("1234\n"), Some("12345")];
        assert_eq!(lines, expected.map(|line| line.map(Bytes::from)));
    }
}
