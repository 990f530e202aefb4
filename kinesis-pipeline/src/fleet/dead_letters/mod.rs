//! Dead letters: their envelope, the places that store them, and the redrive. A dead letter is a record that could not
//! be processed.
//!
//! ```text
//!   a worker's ErrorPolicy ── DeadLetter ──> DeadLetters: file, stream, function
//!                                                │
//!   the stream, under the record's key <── Redrive, which counts: redrives_max
//! ```

mod letter;
mod places;
mod redrive;
mod redrive_error;
mod source;
#[cfg(feature = "local")]
#[cfg(test)]
mod tests;

use std::error::Error;

pub use letter::DeadLetter;
pub use places::{
    DeadLetterFuture, DeadLetters, FileDeadLetters, StreamDeadLetters, dead_letters_to,
};
pub use redrive::{Redrive, RedriveHandle, RedriveReport};
pub use redrive_error::RedriveError;

/// An error of a processor, or of another function of yours.
pub type BoxError = Box<dyn Error + Send + Sync>;
