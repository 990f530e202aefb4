pub(super) mod pacer;
pub(super) mod queues;
pub(super) mod remap;
pub(super) mod retry_queue;
pub(super) mod shard_queue;
