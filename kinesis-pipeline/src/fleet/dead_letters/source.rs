//! The letters of a redrive: from a file or reader, a stream, or an iterator.

use std::io::{self, BufRead, Read as _};

use super::{BoxError, DeadLetter, RedriveError};
use crate::EncodedRecord;

/// The largest number of letters in a batch, and so of records that wait for their receipts.
const BATCH_LETTERS_MAX: usize = 500;
/// The bytes of records after which a batch is full. The last record may exceed them.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The limit of a line, in bytes: a record of 10 MiB in base64, and an error text of 16 MiB.
const LINE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A letter with its number, counted from 1.
pub(super) type Numbered = (u64, DeadLetter);

/// A source of letters. An empty batch means the end. With an error come the letters that were read before it.
pub(super) trait Source: Send {
    fn next_batch(&mut self) -> impl Future<Output = (Vec<Numbered>, Option<RedriveError>)> + Send;
}

/// A batch under construction.
#[derive(Default)]
struct Batch {
    letters: Vec<Numbered>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, letter: Numbered) {
        self.bytes += letter.1.data.len();
        self.letters.push(letter);
    }

    fn is_full(&self) -> bool {
        self.letters.len() >= BATCH_LETTERS_MAX || self.bytes >= BATCH_BYTES_MAX
    }
}

pub(super) struct Letters<I>(pub(super) I);

impl<I: Iterator<Item = Numbered> + Send> Source for Letters<I> {
    async fn next_batch(&mut self) -> (Vec<Numbered>, Option<RedriveError>) {
        let mut batch = Batch::default();
        while !batch.is_full()
            && let Some(letter) = self.0.next()
        {
            batch.push(letter);
        }
        (batch.letters, None)
    }
}

/// The lines of a reader.
pub(super) struct Lines<R> {
    /// `None` while a blocking thread reads it.
    reader: Option<LineReader<R>>,
}

struct LineReader<R> {
    reader: R,
    number: u64,
    line: Vec<u8>,
}

impl<R: BufRead + Send + 'static> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        let reader = Some(LineReader {
            reader,
            number: 0,
            line: Vec::new(),
        });
        Self { reader }
    }
}

impl<R: BufRead + Send + 'static> Source for Lines<R> {
    async fn next_batch(&mut self) -> (Vec<Numbered>, Option<RedriveError>) {
        let Some(mut reader) = self.reader.take() else {
            return (Vec::new(), None);
        };
        let number = reader.number + 1;
        let read = tokio::task::spawn_blocking(move || {
            let batch = reader.next_batch();
            (reader, batch)
        });
        match read.await {
            Ok((reader, batch)) => {
                self.reader = Some(reader);
                batch
            }
            Err(error) => {
                let source = io::Error::other(error);
                (Vec::new(), Some(RedriveError::Read { number, source }))
            }
        }
    }
}

impl<R: BufRead> LineReader<R> {
    fn next_batch(&mut self) -> (Vec<Numbered>, Option<RedriveError>) {
        let mut batch = Batch::default();
        while !batch.is_full() {
            match self.next_letter() {
                Ok(Some(letter)) => batch.push((self.number, letter)),
                Ok(None) => break,
                Err(error) => return (batch.letters, Some(error)),
            }
        }
        (batch.letters, None)
    }

    /// Returns the next letter, without regard for empty lines; `None` at the end.
    fn next_letter(&mut self) -> Result<Option<DeadLetter>, RedriveError> {
        loop {
            let number = self.number + 1;
            self.line.clear();
            let mut limited = (&mut self.reader).take(LINE_BYTES_MAX + 1);
            let read = limited.read_until(b'\n', &mut self.line);
            let bytes = read.map_err(|source| RedriveError::Read { number, source })?;
            if bytes as u64 > LINE_BYTES_MAX {
                let bytes_max = LINE_BYTES_MAX;
                return Err(RedriveError::TooLong { number, bytes_max });
            }
            let line = self.line.trim_ascii();
            if bytes == 0 {
                return Ok(None);
            }
            if !line.is_empty() {
                let letter = parse(number, line)?;
                self.number = number;
                return Ok(Some(letter));
            }
        }
    }
}

pub(super) struct StreamLetters {
    records: crate::Records<EncodedRecord>,
    number: u64,
}

impl StreamLetters {
    pub(super) fn new(records: crate::Records<EncodedRecord>) -> Self {
        Self { records, number: 0 }
    }
}

impl Source for StreamLetters {
    async fn next_batch(&mut self) -> (Vec<Numbered>, Option<RedriveError>) {
        let mut batch = Batch::default();
        while !batch.is_full()
            && let Some(record) = self.records.next().await
        {
            let number = self.number + 1;
            let letter = record
                .map_err(|source| RedriveError::Stream {
                    number,
                    source: Box::new(source),
                })
                .and_then(|record| parse(number, &record.data.data));
            match letter {
                Ok(letter) => batch.push((number, letter)),
                Err(error) => return (batch.letters, Some(error)),
            }
            self.number = number;
        }
        (batch.letters, None)
    }
}

fn parse(number: u64, json: &[u8]) -> Result<DeadLetter, RedriveError> {
    let text = std::str::from_utf8(json).map_err(BoxError::from);
    let letter = text.and_then(DeadLetter::from_json);
    letter.map_err(|source| RedriveError::Envelope { number, source })
}
