//! The redrive of dead letters: it puts their records back into the stream that they came from.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    sync::Arc,
};

use tokio::sync::watch;

use super::{
    DeadLetter, DeadLetters, RedriveError,
    source::{Letters, Lines, Numbered, Source, StreamLetters},
};
use crate::{
    EncodedRecord, KinesisStream, Order, Producer, StartAt, Until, shard::Position, wire::aggregate,
};

const REDRIVES_MAX: u32 = 3;

/// A redrive of dead letters: puts their records back into their stream, with the same keys and the same bytes.
///
/// Each record goes back as an aggregate of one record that also carries the number of its redrives. Readers of
/// aggregates (this library, KCL, Firehose) do not show that number. When the record fails again, its new letter has
/// it. A letter that was put back [`redrives_max`](Self::redrives_max) times is not put back again. So a record that
/// can never be processed does not circulate for ever, whichever machine holds the letters.
///
/// The letters of one key are put in their order. The redrive does not remove letters: delete the file when it has
/// ended. To continue a redrive that failed or was stopped by its [`handle`](Self::handle), use [`skip`](Self::skip).
/// This works for a dropped redrive too, but records that were being sent at that time may be stored twice.
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use bytes::Bytes;
/// use kinesis_pipeline::{KinesisStream, LocalKinesis, Redrive};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 1).await?;
/// let letters = r#"{"stream":"readings","shard_id":"shardId-000000000000","sequence_number":"7",
/// "sub_sequence_number":0,"partition_key":"attic","arrived_at_millis":0,"error":"no route to host","attempts":5,
/// "data_base64":"MjEuNQ=="}"#.replace('\n', "");
///
/// let report = Redrive::into_stream(&stream).redrives_max(2).from_reader(std::io::Cursor::new(letters)).await?;
/// assert_eq!((report.put, report.spent), (1, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a redrive does nothing until it is given letters"]
pub struct Redrive {
    stream: KinesisStream<EncodedRecord>,
    redrives_max: u32,
    skip: u64,
    is_of_any_stream: bool,
    spent: Option<Arc<dyn DeadLetters>>,
    handle: RedriveHandle,
}

/// A handle to a redrive for other tasks: stops it and reports its progress. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RedriveHandle {
    stop: watch::Sender<bool>,
    report: watch::Sender<RedriveReport>,
}

impl RedriveHandle {
    fn new() -> Self {
        Self {
            stop: watch::Sender::new(false),
            report: watch::Sender::default(),
        }
    }

    /// Stops the redrive after the letters that it is putting now, up to 500. The redrive then returns its report.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns the progress of the redrive: the letters whose records are stored or passed over.
    #[must_use]
    pub fn report(&self) -> RedriveReport {
        *self.report.borrow()
    }

    /// Returns once the redrive is to stop. Cancel safe.
    async fn stopped(&self) {
        let mut stop = self.stop.subscribe();
        // The handle holds the sender of this channel, so the wait ends only when the redrive is stopped.
        let _ = stop.wait_for(|is_stopped| *is_stopped).await;
    }
}

/// The result of a redrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedriveReport {
    /// Letters whose records were put back.
    pub put: u64,
    /// Letters that had been put back too often already. They are left in their place.
    pub spent: u64,
    /// Letters of other streams, which were skipped.
    pub of_other_streams: u64,
    /// The number of the last letter that was handled, counting skipped ones. A later redrive can [skip](Redrive::skip)
    /// this many.
    pub letters: u64,
    /// Whether the redrive was [stopped](RedriveHandle::stop) before the end of its letters.
    pub is_stopped: bool,
}

impl Redrive {
    /// Makes a redrive into this stream.
    pub fn into_stream<R>(stream: &KinesisStream<R>) -> Self {
        Self {
            stream: stream.with_record_type(),
            redrives_max: REDRIVES_MAX,
            skip: 0,
            is_of_any_stream: false,
            spent: None,
            handle: RedriveHandle::new(),
        }
    }

    /// Returns a handle that stops the redrive and reports its progress.
    #[must_use]
    pub fn handle(&self) -> RedriveHandle {
        self.handle.clone()
    }

    /// Sets the limit of redrives for one record. Default: 3.
    pub fn redrives_max(mut self, redrives: u32) -> Self {
        self.redrives_max = redrives;
        self
    }

    /// Skips the first `letters` letters, which an earlier redrive has put back: see [`RedriveError::number`].
    pub fn skip(mut self, letters: u64) -> Self {
        self.skip = letters;
        self
    }

    /// Puts letters of every stream back. By default only those of a stream with the same name are put back.
    pub fn of_any_stream(mut self) -> Self {
        self.is_of_any_stream = true;
        self
    }

    /// Copies letters that were put back too often to this place. By default they are only counted and logged.
    pub fn spent_to(mut self, place: impl DeadLetters) -> Self {
        self.spent = Some(Arc::new(place));
        self
    }

    /// Puts the letters of a file back, one JSON object per line, as [`FileDeadLetters`](super::FileDeadLetters) writes
    /// them.
    ///
    /// # Errors
    /// [`RedriveError`].
    pub async fn from_file(self, path: impl AsRef<Path>) -> Result<RedriveReport, RedriveError> {
        let path = path.as_ref().to_owned();
        let opened = File::open(&path);
        let file = opened.map_err(|source| RedriveError::Open { path, source })?;
        self.run(Lines::new(BufReader::new(file))).await
    }

    /// Puts the letters of a reader back, one JSON object per line. The reader may block: it is read on a blocking
    /// thread.
    ///
    /// # Errors
    /// [`RedriveError`].
    pub async fn from_reader(
        self,
        reader: impl BufRead + Send + 'static,
    ) -> Result<RedriveReport, RedriveError> {
        self.run(Lines::new(reader)).await
    }

    /// Puts the letters of a stream back, from its oldest record to its tip, as
    /// [`StreamDeadLetters`](super::StreamDeadLetters) wrote them. The letters of one shard are put back in their
    /// order.
    ///
    /// # Errors
    /// [`RedriveError`].
    pub async fn from_stream<R>(
        self,
        letters: &KinesisStream<R>,
    ) -> Result<RedriveReport, RedriveError> {
        if letters.id().name() == self.stream.id().name() {
            let stream = letters.id().clone();
            return Err(RedriveError::SameStream { stream });
        }
        let reader = letters.with_record_type::<EncodedRecord>().reader();
        let reader = reader.start(StartAt::TrimHorizon).until(Until::Tip);
        let opened = reader.open().await;
        let records = opened.map_err(|source| RedriveError::Stream {
            number: 1,
            source: Box::new(source),
        })?;
        self.run(StreamLetters::new(records)).await
    }

    /// Puts these letters back.
    ///
    /// # Errors
    /// [`RedriveError`].
    pub async fn from_letters<I>(self, letters: I) -> Result<RedriveReport, RedriveError>
    where
        I: IntoIterator<Item = DeadLetter>,
        I::IntoIter: Send,
    {
        let letters = (1..).zip(letters);
        self.run(Letters(letters)).await
    }

    async fn run(self, mut source: impl Source) -> Result<RedriveReport, RedriveError> {
        let producer = self.stream.producer().order(Order::PerKey).build();
        let producer = producer.map_err(|source| RedriveError::Producer { source })?;
        let mut report = RedriveReport::default();
        loop {
            let batch = tokio::select! {
                biased;
                () = self.handle.stopped() => {
                    report.is_stopped = true;
                    return Ok(report);
                }
                batch = source.next_batch() => batch,
            };
            // The letters before an error are put back first.
            let (letters, error) = batch;
            let is_end = letters.is_empty();
            self.put_batch(&producer, letters, &mut report).await?;
            self.handle.report.send_replace(report);
            match error {
                Some(error) => return Err(error),
                None if is_end => return Ok(report),
                None => {}
            }
        }
    }

    async fn put_batch(
        &self,
        producer: &Producer<EncodedRecord>,
        letters: Vec<Numbered>,
        report: &mut RedriveReport,
    ) -> Result<(), RedriveError> {
        let last = letters.last().map_or(0, |(number, _)| *number);
        let (mut to_put, mut places, mut spent) = (Vec::new(), Vec::new(), Vec::new());
        for (number, letter) in letters {
            match self.decide(number, &letter) {
                LetterDecision::Skipped => {}
                LetterDecision::OfAnotherStream => report.of_other_streams += 1,
                LetterDecision::Spent => {
                    tracing::warn!(position = %letter.position, redrives = letter.redrives, "put back too often");
                    report.spent += 1;
                    spent.push(letter);
                }
                LetterDecision::Put => {
                    to_put.push(record_of(&letter));
                    places.push((number, letter.position));
                }
            }
        }
        if let (Some(place), false) = (&self.spent, spent.is_empty()) {
            let put = place.put(spent).await;
            put.map_err(|source| RedriveError::Spent {
                number: last,
                source,
            })?;
        }
        report.put += put_all(producer, to_put, places).await?;
        report.letters = report.letters.max(last);
        Ok(())
    }

    /// Decides whether a letter is put back, skipped, or left.
    fn decide(&self, number: u64, letter: &DeadLetter) -> LetterDecision {
        if number <= self.skip {
            LetterDecision::Skipped
        } else if !self.is_of_any_stream && letter.stream != self.stream.id().name() {
            LetterDecision::OfAnotherStream
        } else if letter.redrives >= self.redrives_max {
            LetterDecision::Spent
        } else {
            LetterDecision::Put
        }
    }
}

/// The decision on a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LetterDecision {
    Skipped,
    OfAnotherStream,
    Spent,
    Put,
}

/// Puts records and waits for all receipts. Returns the number of records.
async fn put_all(
    producer: &Producer<EncodedRecord>,
    records: Vec<EncodedRecord>,
    places: Vec<(u64, Position)>,
) -> Result<u64, RedriveError> {
    let count = records.len() as u64;
    let stored = producer.put_all(records).await;
    for (stored, (number, position)) in stored.into_iter().zip(places) {
        stored.map_err(|failure| RedriveError::Put {
            number,
            position: Box::new(position),
            source: Box::new(failure.error),
        })?;
    }
    Ok(count)
}

/// Returns the record of a letter, with the number of its redrives increased by one.
fn record_of(letter: &DeadLetter) -> EncodedRecord {
    let mut user_record = EncodedRecord::new(letter.partition_key.clone(), letter.data.clone());
    user_record.explicit_hash_key = letter.explicit_hash_key;
    let bytes = aggregate::empty_bytes() + aggregate::record_bytes_max(&user_record);
    let mut writer = aggregate::Writer::with_capacity(bytes + aggregate::REDRIVES_BYTES_MAX);
    writer.push(&user_record);
    writer.put_redrives(letter.redrives.saturating_add(1));
    EncodedRecord {
        data: writer.finish(),
        ..user_record
    }
}
