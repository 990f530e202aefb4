//! The handles that users hold: the producer and its builder, the stream of results of `put_stream`, and the `Sink`.
//!
//! The highest room. A handle encodes a record, waits for memory, and leaves the record in the queue of the pipeline.

pub(super) mod builder;
pub(super) mod producer;
pub(super) mod put_stream;
pub(super) mod results;
pub(super) mod shared_put;
pub(super) mod sink;
