//! One queue per shard, and what holds a queue back.
//!
//! - `queues`: all queues of a pipeline, and the choice of records for the next request: round robin over the shards.
//! - `fresh`: records that need no queue of their own: they are sent as they are and keep no order.
//! - `columns`: a queue of new records in two columns, of which a request takes a run at once.
//! - `shard_queue`: the queue of one shard, with its open aggregate. It enforces linger and order.
//! - `landing`: whether a stored entry is in the shard that takes it.
//! - `load`: the account of what waits: records and bytes.
//! - `pacer`: a token bucket per shard that learns its rate by additive increase and multiplicative decrease.
//! - `retry_queue`: records that wait until their back-off is over.
//! - `remap`: the move of all that waits to the queues of a new shard map.

pub(super) mod columns;
mod fresh;
mod landing;
pub(super) mod load;
pub(super) mod pacer;
pub(super) mod queues;
pub(super) mod remap;
pub(super) mod retry_queue;
pub(super) mod shard_queue;
