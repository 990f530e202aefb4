use std::{io, path::PathBuf};

use kinesis_pipeline::{
    InvalidPutOption, PutError,
    record::row::{HeaderError, RowError},
    service::ServiceError,
};

/// The reason why a load ended before the end of its input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The input could not be opened or read.
    #[error("{file}: {problem}")]
    #[non_exhaustive]
    Input {
        /// The file.
        file: String,
        /// The problem, and the line where there is one.
        problem: String,
        /// The system's error.
        source: Option<io::Error>,
    },
    /// The table does not fit the mapping.
    #[error("{file}: {source}")]
    #[non_exhaustive]
    Header {
        /// The file.
        file: String,
        /// The problem.
        source: HeaderError,
    },
    /// A row is not valid, and the policy is to stop.
    #[error(
        "{file}, {source}; correct the row, or choose to skip such rows or to write them to a rejects file"
    )]
    #[non_exhaustive]
    Row {
        /// The file.
        file: String,
        /// The line, the column, the value and what was expected.
        source: Box<RowError>,
    },
    /// A record could not be put.
    #[error("{file}, line {line}: {source}")]
    #[non_exhaustive]
    Put {
        /// The file.
        file: String,
        /// The line on which the record's row begins.
        line: u64,
        /// The put's error.
        source: PutError,
    },
    /// A marker of the snapshot could not be put.
    #[error("a marker of the snapshot: {0}")]
    Marker(#[source] PutError),
    /// All records are stored, and the stream could not be scaled back.
    #[error(
        "the load is done, and the stream could not be scaled back to {shards} shard(s): scale it yourself"
    )]
    #[non_exhaustive]
    ScaleBack {
        /// The number of shards before the load.
        shards: u32,
        /// The reason.
        source: Box<LoadError>,
    },
    /// The stream could not be described or scaled.
    #[error(transparent)]
    Stream(Box<ServiceError>),
    /// The rejects, export or resume file could not be written.
    #[error("{}: cannot be written: {source}", path.display())]
    #[non_exhaustive]
    Output {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The resume file does not belong to this load.
    #[error("{}: {problem}", path.display())]
    #[non_exhaustive]
    Resume {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: ResumeProblem,
    },
    /// Options that exclude each other.
    #[error("{0}")]
    Options(String),
    /// An option of the producer is out of its range.
    #[error(transparent)]
    PutOption(#[from] InvalidPutOption),
    /// The thread that reads rows panicked: a function of the model did, or this crate has a fault.
    #[error("the thread that reads rows panicked: see its message on standard error")]
    ReaderPanicked,
}

/// The reason why a resume file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeProblem {
    /// It is no resume file, or has another version.
    #[error("this is no resume file: name another, or remove it to begin from the start ({0})")]
    Unreadable(String),
    /// It belongs to other files, another stream or other tables.
    #[error(
        "this file belongs to another load ({0}): name another, or remove it to begin from the start"
    )]
    OtherLoad(String),
    /// Another load has it open.
    #[error("another load uses this file: wait for its end, or name another")]
    InUse,
    /// The input cannot be read a second time.
    #[error("a load can be resumed from files only: {0} is gone once it is read")]
    NotAFile(String),
}

impl From<ServiceError> for LoadError {
    fn from(error: ServiceError) -> Self {
        Self::Stream(Box::new(error))
    }
}

impl LoadError {
    pub(crate) fn input(file: &str, problem: impl Into<String>) -> Self {
        Self::Input {
            file: file.to_owned(),
            problem: problem.into(),
            source: None,
        }
    }

    pub(crate) fn io(file: &str, doing: &str, source: io::Error) -> Self {
        Self::Input {
            file: file.to_owned(),
            problem: format!("{doing}: {source}"),
            source: Some(source),
        }
    }

    pub(crate) fn output(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Output { path, source }
    }

    /// Whether a second run with the same resume file may get further.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Put { source, .. } | Self::Marker(source) => source.is_retryable(),
            Self::Stream(error) => error.class.is_retryable(),
            _ => false,
        }
    }
}
