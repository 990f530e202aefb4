//! Effects on the object store: each object is written once, or found to be there with the same bytes.
//!
//! ```text
//!   destination: the store, and the same by parts of uploads that can be sent again
//!   probe ──> Guard: does the store create only if absent?
//!   SealedObject ── put: create if absent ── already there ── compare ──> written, or found, or an error
//!   Spill ── upload: part after part ── complete
//!   each call: target.retry ── fault: what failed ── tries: again or not ──> trouble: shown by the health
//! ```

mod destination;
mod fault;
mod probe;
mod put;
mod target;
mod tries;
mod trouble;
mod upload;

pub(crate) use destination::Destination;
pub use fault::StoreFault;
pub use probe::Guard;
pub(crate) use probe::probe;
pub(crate) use put::Put;
pub(crate) use target::Target;
pub(crate) use tries::RetryLimits;
pub use trouble::StoreTrouble;
pub(crate) use trouble::Troubles;
pub(crate) use upload::Uploads;
