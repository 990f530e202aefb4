pub(super) mod budget;
pub(super) mod encode;
pub(super) mod metrics;
pub(super) mod record_limit;
pub(super) mod shared;
pub(super) mod stats;
