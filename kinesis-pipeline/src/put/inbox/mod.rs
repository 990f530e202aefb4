//! The inbox of a pipeline: puts add records, and the driver takes all of them at once.
//!
//! ```text
//!   put ──┐ lock, push                          lock, swap
//!   put ──┼───────────> arrivals ┌──────────────────────────> the driver goes through them without a lock
//!   flush ┘                      └ wakes the driver once there is enough
//! ```
//!
//! Under one lock a put learns whether the pipeline is closed, gets its place before or behind a flush, is counted as
//! accepted, gets its receipt, and wakes the driver if it has to. The lock is held while one record is moved and up to 8 KiB
//! are copied. A queue without a lock would need an atomic access for each of these, and two more for each record on the
//! driver's side.
//!
//! - `inbox`: the queue, and the end of those who put.
//! - `outlet`: the driver's end.
//! - `arena`: memory for the bytes of small records.
//! - `high_water`: for how many records memory is kept from one take to the next.

mod arena;
pub(super) mod high_water;
pub(super) mod inbox;
pub(super) mod outlet;
