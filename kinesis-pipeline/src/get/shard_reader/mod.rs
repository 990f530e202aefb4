pub(super) mod current;
pub(super) mod fan_out;
pub(super) mod lag;
pub(super) mod poll_pacer;
pub(super) mod retry;
pub(super) mod shard_reader;
