//! Effects on the object store: each object is written once, or found to be there with the same bytes.
//!
//! ```text
//!   probe ──> Guard: does the store create only if absent?
//!   SealedObject ── put: create if absent ── already there ── compare ──> written, or found, or an error
//!   Spill ── upload: part after part ── complete
//! ```

mod probe;
mod put;
mod upload;

pub use probe::Guard;
pub(crate) use probe::probe;
pub(crate) use put::{Put, Target};
pub(crate) use upload::Uploads;
