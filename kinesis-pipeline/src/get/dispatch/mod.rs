//! From pages to records, on the task of the caller.
//!
//! - `channel`: the queue of pages between the driver and the caller.
//! - `taker`: the next record, in the order of its shard.
//! - `deaggregate`: the user records of an aggregate.
//! - `ranges`: the hash-key ranges of shards, by which strays are recognized.
//! - `decode`: bytes to a record of the user, or one error item.
//! - `ack`: records that the user finishes in any order.
//! - `checkpoint_handle`: saving what was acked, also after the reader is gone.
//! - `record`, `records`, `by_shard`: the public types.

pub(super) mod ack;
pub(super) mod by_shard;
pub(super) mod channel;
pub(super) mod checkpoint_handle;
pub(super) mod deaggregate;
pub(super) mod decode;
pub(super) mod ranges;
pub(super) mod record;
pub(super) mod records;
pub(super) mod taker;
