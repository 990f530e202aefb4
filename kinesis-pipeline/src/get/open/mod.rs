pub(super) mod open;
pub(super) mod reader;
pub(super) mod retained;
