//! Several processors at work on one shard.
//!
//! ```text
//!                 lanes: the driver, on the consumer's task
//!   RawBatch ── window: has room? ── step of the watermark ── lane_map: which lane ──┐
//!       ^                                                                            v
//!       └──── processed <── lane_task: queue ── batch ── Lane ── Processor <── one queue per lane
//!                               │
//!                           drain_mark: which queued records are still begun
//! ```
//!
//! Each record is a step of the shard's watermark (`Progress`), begun in the order of the shard and finished by its
//! lane, so the checkpoint never passes a record that is not processed. The bounds: `Window` for records and bytes
//! between the reader and the processors, `UNFINISHED_MAX` for steps behind a record that takes long.

mod drain_mark;
mod lane_map;
mod lane_task;
mod lanes;
mod window;

pub(super) use lanes::Lanes;
