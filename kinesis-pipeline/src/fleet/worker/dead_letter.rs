use std::{
    fmt,
    fs::OpenOptions,
    future::Future,
    io::{self, Write as _},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::BoxError;
use crate::{
    EncodedRecord, KinesisStream, PartitionKey,
    clock::{epoch_millis, from_epoch_millis},
    shard::{HashKey, Position},
};

/// A record that could not be processed, as it was, and why.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The stream that the record was read from.
    pub stream: String,
    /// Where in the stream the record stands.
    pub position: Position,
    /// The key that the record was put with.
    pub partition_key: PartitionKey,
    /// The hash key that the record was put with, if it is known.
    pub explicit_hash_key: Option<HashKey>,
    /// When the service took the record; milliseconds count.
    pub arrived_at: SystemTime,
    /// The error of the last try.
    pub error: String,
    /// How often the record was tried; 0 for one that could not be decoded.
    pub attempts: u32,
    /// The record's bytes.
    pub data: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    stream: String,
    shard_id: String,
    sequence_number: String,
    sub_sequence_number: u64,
    partition_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    explicit_hash_key: Option<String>,
    arrived_at_millis: u64,
    error: String,
    attempts: u32,
    data_base64: String,
}

impl DeadLetter {
    /// The letter as one line of JSON, without the line's end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let position = &self.position;
        let envelope = Envelope {
            stream: self.stream.clone(),
            shard_id: position.shard_id.to_string(),
            sequence_number: position.sequence_number.to_string(),
            sub_sequence_number: position.sub_sequence_number,
            partition_key: self.partition_key.to_string(),
            explicit_hash_key: self.explicit_hash_key.map(|key| key.to_string()),
            arrived_at_millis: epoch_millis(self.arrived_at),
            error: self.error.clone(),
            attempts: self.attempts,
            data_base64: BASE64.encode(&self.data),
        };
        serde_json::to_string(&envelope).unwrap_or_default()
    }

    /// A letter from its JSON.
    ///
    /// # Errors
    /// The text is not what [`to_json`](Self::to_json) writes.
    pub fn from_json(json: &str) -> Result<Self, BoxError> {
        let envelope: Envelope = serde_json::from_str(json)?;
        let number = envelope.sequence_number.parse()?;
        let position = Position::new(envelope.shard_id.into(), number);
        let hash_key = envelope.explicit_hash_key.map(|key| key.parse());
        Ok(Self {
            stream: envelope.stream,
            position: position.at_sub_sequence_number(envelope.sub_sequence_number),
            partition_key: PartitionKey::new(envelope.partition_key)?,
            explicit_hash_key: hash_key.transpose()?,
            arrived_at: from_epoch_millis(envelope.arrived_at_millis),
            error: envelope.error,
            attempts: envelope.attempts,
            data: BASE64.decode(envelope.data_base64)?.into(),
        })
    }
}

/// Future of [`DeadLetters::put`].
pub type DeadLetterFuture<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>>;

/// A place for records that could not be processed: a file, a stream, or a function of yours.
///
/// The shard goes on when [`put`](Self::put) returns `Ok`; after an error the same letters come again. A worker that
/// is killed in between puts letters twice.
pub trait DeadLetters: fmt::Debug + Send + Sync + 'static {
    /// Stores letters, durably as far as the place is meant to be.
    fn put(&self, letters: Vec<DeadLetter>) -> DeadLetterFuture<'_>;
}

impl<D: DeadLetters + ?Sized> DeadLetters for Arc<D> {
    fn put(&self, letters: Vec<DeadLetter>) -> DeadLetterFuture<'_> {
        (**self).put(letters)
    }
}

/// Dead letters in a file, one JSON object per line, appended and synced to the disk. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FileDeadLetters {
    path: Arc<Path>,
    writes: Arc<Mutex<()>>,
}

impl FileDeadLetters {
    /// A place in the file at this path. The file need not exist; its folder must.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into().into(),
            writes: Arc::default(),
        }
    }
}

impl DeadLetters for FileDeadLetters {
    fn put(&self, letters: Vec<DeadLetter>) -> DeadLetterFuture<'_> {
        let (path, writes) = (self.path.clone(), self.writes.clone());
        let write = move || -> io::Result<()> {
            let _one_at_a_time = writes.lock().unwrap_or_else(PoisonError::into_inner);
            let mut lines = String::new();
            for letter in &letters {
                lines += &letter.to_json();
                lines.push('\n');
            }
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            file.write_all(lines.as_bytes())?;
            file.sync_data()
        };
        Box::pin(async move { Ok(tokio::task::spawn_blocking(write).await??) })
    }
}

/// Dead letters in a stream: each as a record of JSON, under the key that the record had.
#[derive(Clone, Debug)]
pub struct StreamDeadLetters {
    stream: KinesisStream<EncodedRecord>,
}

impl StreamDeadLetters {
    /// A place in this stream.
    #[must_use]
    pub fn new<R>(stream: &KinesisStream<R>) -> Self {
        let service = stream.service().clone();
        let clock = stream.target.clock.clone();
        Self {
            stream: KinesisStream::with_service(service, stream.id().clone()).with_clock(clock),
        }
    }
}

impl DeadLetters for StreamDeadLetters {
    fn put(&self, letters: Vec<DeadLetter>) -> DeadLetterFuture<'_> {
        let record = |letter: &DeadLetter| {
            let mut record =
                EncodedRecord::new(letter.partition_key.clone(), letter.to_json().into());
            record.explicit_hash_key = letter.explicit_hash_key;
            record
        };
        let records: Vec<_> = letters.iter().map(record).collect();
        Box::pin(async move {
            for stored in self.stream.put_all(records).await {
                stored?;
            }
            Ok(())
        })
    }
}

/// A function as a place for dead letters: see [`dead_letters_to`].
struct Function<F>(F);

impl<F> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Function")
    }
}

impl<F, W> DeadLetters for Function<F>
where
    F: Fn(Vec<DeadLetter>) -> W + Send + Sync + 'static,
    W: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    fn put(&self, letters: Vec<DeadLetter>) -> DeadLetterFuture<'_> {
        Box::pin((self.0)(letters))
    }
}

/// Returns a place for dead letters that calls this function.
pub fn dead_letters_to<F, W>(put: F) -> impl DeadLetters
where
    F: Fn(Vec<DeadLetter>) -> W + Send + Sync + 'static,
    W: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    Function(put)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn letters()(
            stream: String,
            number: u128,
            sub_sequence_number: u64,
            key in "[a-z]{1,9}",
            hash_key: Option<u128>,
            millis in 0..u64::from(u32::MAX),
            error: String,
            attempts: u32,
            data: Vec<u8>,
        ) -> DeadLetter {
            let position = Position::new("shardId-000000000000".into(), number.into());
            DeadLetter {
                stream,
                position: position.at_sub_sequence_number(sub_sequence_number),
                partition_key: PartitionKey::new(key).unwrap(),
                explicit_hash_key: hash_key.map(HashKey::new),
                arrived_at: from_epoch_millis(millis),
                error,
                attempts,
                data: data.into(),
            }
        }
    }

    proptest! {
        #[test]
        fn a_letter_comes_back_as_it_was_written(letter in letters()) {
            let json = letter.to_json();
            prop_assert!(!json.contains('\n'));
            prop_assert_eq!(DeadLetter::from_json(&json).unwrap(), letter);
        }
    }
}
