use std::path::PathBuf;

use super::BoxError;
use crate::{GetError, InvalidPutOption, PutError, service::StreamId, shard::Position};

/// The error that ended a redrive before its last letter.
///
/// `number` counts letters from 1. All letters before it were put back; letters after it may have been put back too. To
/// continue at this letter, use [`Redrive::skip`](super::Redrive::skip) with `number - 1`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedriveError {
    /// The file of letters cannot be opened.
    #[error("the dead letters at {path:?} cannot be opened: check the path")]
    Open {
        /// The path.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The reader of letters failed.
    #[error("dead letter {number} cannot be read")]
    Read {
        /// The number of the letter.
        number: u64,
        /// The reason.
        source: std::io::Error,
    },
    /// The stream of letters cannot be read.
    #[error("dead letter {number} cannot be read from its stream")]
    Stream {
        /// The number of the letter.
        number: u64,
        /// The reader's error.
        source: Box<GetError>,
    },
    /// A line or record is not a dead letter.
    #[error("dead letter {number} is not in the form of an envelope: mend the line, or skip it")]
    Envelope {
        /// The number of the letter.
        number: u64,
        /// The error of the envelope's reader.
        source: BoxError,
    },
    /// A line is longer than any dead letter can be.
    #[error(
        "dead letter {number} is longer than {bytes_max} bytes: is this a file of dead letters?"
    )]
    TooLong {
        /// The number of the letter.
        number: u64,
        /// The limit of a line, in bytes.
        bytes_max: u64,
    },
    /// The letters are in the stream that they would be put into.
    #[error("the dead letters in stream {stream} cannot be put back into the same stream")]
    SameStream {
        /// The stream.
        stream: StreamId,
    },
    /// A record was not stored.
    #[error("dead letter {number}, of the record at {position}, was not put back")]
    Put {
        /// The number of the letter.
        number: u64,
        /// The position that the record had when it failed.
        position: Box<Position>,
        /// The producer's error.
        source: Box<PutError>,
    },
    /// The producer of the stream cannot be built.
    #[error("no producer of the stream can be built")]
    Producer {
        /// The reason.
        source: InvalidPutOption,
    },
    /// The place for letters that were put back too often did not accept some.
    #[error("letters up to {number} were put back too often, and their place does not take them")]
    Spent {
        /// The number of the last letter.
        number: u64,
        /// The error of the place.
        source: BoxError,
    },
}

impl RedriveError {
    /// Returns the number of the letter at which the redrive ended, counted from 1; `None` if no letter was read.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Open { .. } | Self::SameStream { .. } | Self::Producer { .. } => None,
            Self::Read { number, .. }
            | Self::Stream { number, .. }
            | Self::Envelope { number, .. }
            | Self::TooLong { number, .. }
            | Self::Put { number, .. }
            | Self::Spent { number, .. } => Some(*number),
        }
    }
}
