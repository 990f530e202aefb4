pub(super) mod begin;
pub(super) mod options;
pub(super) mod plan;
pub(super) mod start;
pub(super) mod trimmed;
