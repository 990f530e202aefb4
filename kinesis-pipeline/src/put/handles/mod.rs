pub(super) mod builder;
pub(super) mod producer;
pub(super) mod put_stream;
pub(super) mod sink;
