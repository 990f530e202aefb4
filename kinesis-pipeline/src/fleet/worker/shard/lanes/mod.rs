//! Several processors that work on one shard.
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
//! Each record is a step of the shard's watermark (`Progress`). The driver begins the steps in the order of the shard,
//! and the lanes finish them, so the checkpoint never passes an unprocessed record. The bounds are `Window`, for
//! records and bytes between the reader and the processors, and `UNFINISHED_MAX`, for steps behind a slow record.

mod drain_mark;
mod lane_map;
mod lane_task;
mod lanes;
mod window;

pub(super) use lanes::Lanes;
