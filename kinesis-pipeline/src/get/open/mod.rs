pub(super) mod begin;
pub(super) mod gap;
pub(super) mod open;
pub(super) mod options;
pub(super) mod plan;
pub(super) mod reader;
pub(super) mod retained;
pub(super) mod start;
