//! Byte formats that others read and write too.
//!
//! [`aggregate`] writes many records into one, as the Kinesis Producer Library does, so that a shard takes more than
//! its limit of 1,000 records a second.

pub mod aggregate;
pub(crate) mod frame;
mod java_text;
mod key_table;
mod protobuf;
pub(crate) mod shard_records;
mod table;
mod user_record;
