//! The pipeline as its handles share it.
//!
//! - `pipeline`: the acceptance of records: size limit, memory budget, queue.
//! - `handover`: the driver's beginning and end: starting, parking, abandoning. Its race with puts is told there.
//! - `flush`: flush and close.

mod flush;
mod handover;
pub(super) mod pipeline;
#[cfg(test)]
mod tests;
