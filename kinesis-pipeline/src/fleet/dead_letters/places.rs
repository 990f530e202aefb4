//! Places for dead letters: a file, a stream, or a function of the user's.

use std::{
    fmt,
    fs::OpenOptions,
    future::Future,
    io::{self, Write as _},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use super::{BoxError, DeadLetter};
use crate::{EncodedRecord, KinesisStream};

/// The future of [`DeadLetters::put`].
pub type DeadLetterFuture<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>>;

/// A place for records that could not be processed: a file, a stream, or a function of yours.
///
/// The worker continues with the shard after [`put`](Self::put) returns `Ok`. After an error it calls `put` again with
/// the same letters. A worker that is killed in between puts letters twice.
pub trait DeadLetters: fmt::Debug + Send + Sync + 'static {
    /// Stores letters, as durably as the place allows.
    fn put(&self, letters: Vec<DeadLetter>) -> DeadLetterFuture<'_>;
}

impl<D: DeadLetters + ?Sized> DeadLetters for Arc<D> {
    fn put(&self, letters: Vec<DeadLetter>) -> DeadLetterFuture<'_> {
        (**self).put(letters)
    }
}

/// A file of dead letters, one JSON object per line, appended and synced to the disk. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FileDeadLetters {
    path: Arc<Path>,
    writes: Arc<Mutex<()>>,
}

impl FileDeadLetters {
    /// Makes a place in the file at this path. The file need not exist; its folder must.
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

/// A stream of dead letters. Each is a JSON record with the partition key of the failed record.
#[derive(Clone, Debug)]
pub struct StreamDeadLetters {
    stream: KinesisStream<EncodedRecord>,
}

impl StreamDeadLetters {
    /// Makes a place in this stream.
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

/// A function that stores dead letters: see [`dead_letters_to`].
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
