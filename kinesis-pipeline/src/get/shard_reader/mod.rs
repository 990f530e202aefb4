//! The reading of one shard: a state machine without I/O, by polling or by enhanced fan-out.
//!
//! - `shard_reader`: the state machine: the fetched position, the call in flight, the next call.
//! - `fan_out`: its rules for subscriptions.
//! - `expiry`: the time up to which a shard was read, by which its expired records are noticed.
//! - `current`: the note that the shard was read to its tip.
//! - `poll_pacer`: the time of the next `GetRecords`, and the size of its page.
//! - `retry`: the retry policy of calls.
//! - `lag`: the warning about a shard that falls behind.

pub(super) mod current;
pub(super) mod expiry;
pub(super) mod fan_out;
pub(super) mod lag;
pub(super) mod poll_pacer;
pub(super) mod retry;
pub(super) mod shard_reader;
