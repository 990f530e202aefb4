//! What the code that `#[derive(KinesisRecord)]` writes needs. No part of the public API.

pub use bytes::BytesMut;
pub use serde::{Serialize, de::DeserializeOwned};

pub use crate::record::{
    Codec, DecodeError, EncodeContext, EncodeError, EncodedRecord, Json, KeyError, KinesisRecord,
    MsgPack, MsgPackCompat, PartitionKey, Raw, RawBytes, ToHashKey, ToPartitionKey,
    envelope::{EventMeta, decode_enveloped, encode_enveloped},
};
pub use crate::shard::HashKey;
