//! The pipeline as its handles share it.
//!
//! - `pipeline`: the acceptance of records: size limit, memory budget, queue.
//! - `handover`: the way of a record from a put to the driver: starting, waking, parking. Its races are told there.
//! - `flush`: flush and close.

mod flush;
mod handover;
pub(super) mod pipeline;
#[cfg(test)]
mod tests;
