//! Byte formats that others read and write too.
//!
//! [`aggregate`] writes many user records into one Kinesis record, as the Kinesis Producer Library (KPL) does, and
//! splits such a record again. A shard takes 1,000 Kinesis records a second; an aggregate counts as one of them,
//! whatever number of user records is in it.
//!
//! The private modules:
//!
//! - `frame`: the magic bytes before an aggregate, and the MD5 behind it.
//! - `protobuf`: the part of the protobuf encoding that aggregates need.
//! - `user_record`: one user record of an aggregate.
//! - `key_table`: the keys of an aggregate that is written, each stored once.
//! - `table`: the keys of an aggregate that is read.
//! - `java_text`: text that may not be UTF-8, decoded as readers in Java do it.
//! - `writer`: an aggregate that is written.
//! - `view`: the user records of an aggregate, where they lie in it or as records to keep.
//! - `shard_records`: the user records of an aggregate as the reader of a shard returns them; strays are counted.

pub mod aggregate;
pub(crate) mod frame;
mod java_text;
mod key_table;
mod protobuf;
pub(crate) mod shard_records;
mod table;
mod user_record;
mod view;
mod writer;
