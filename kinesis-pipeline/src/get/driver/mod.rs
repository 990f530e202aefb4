//! The one task of a reader: it makes all calls.
//!
//! - `driver`: the loop: events in, calls out.
//! - `members`: each shard that is read: it begins, goes on, ends.
//! - `calls`: the calls that are due, and the kinds of their answers.
//! - `on_answer`: an answer of `GetRecords` or `GetShardIterator`, or its failure.
//! - `subscriptions`: the events of enhanced fan-out.
//! - `listing`: when to list the shards again.
//! - `lost`: shards that the service answers not to know. Listings find out whether they are new, expired or gone.
//! - `elsewhere`: children of a merge with a parent that another reader of the same application reads.
//! - `retention`: shards that were not read for so long that records may have expired; asks for the stream's retention.
//! - `budget`: the memory limit of prefetched pages.
//! - `save_timer`: when to save checkpoints.

pub(super) mod budget;
pub(super) mod calls;
pub(super) mod driver;
pub(super) mod elsewhere;
pub(super) mod listing;
pub(super) mod lost;
pub(super) mod members;
pub(super) mod on_answer;
pub(super) mod retention;
pub(super) mod save_timer;
pub(super) mod subscriptions;
