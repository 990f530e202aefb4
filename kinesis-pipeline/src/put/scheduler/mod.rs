pub(super) mod on_response;
pub(super) mod on_shards;
pub(super) mod retry;
pub(super) mod scheduler;
pub(super) mod split;
