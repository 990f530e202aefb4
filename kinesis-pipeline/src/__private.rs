//! Items that code written by `#[derive(KinesisRecord)]` uses. Not part of the public API.

pub use bytes::{Bytes, BytesMut};
pub use serde::{Serialize, de::DeserializeOwned};

pub use crate::record::{
    Codec, DecodeError, EncodeContext, EncodeError, EncodedRecord, Json, KeyError, KinesisRecord,
    MsgPack, MsgPackCompat, PartitionKey, Raw, RawBytes, ToHashKey, ToPartitionKey,
    envelope::{EventMeta, decode_enveloped, encode_enveloped},
    format::Format,
    row::{
        Anonymized, Column, ColumnSource, DropReason, FromCell, FromFormatted, FromRow, FromTime,
        FromUuid, IntoParsed, MaxLength, NotValidated, OnDuplicate, RowMapping, RowScan, RowStop,
        scan::{NoNull, NullOf},
    },
};
pub use crate::shard::HashKey;

/// Appends the record.
///
/// # Errors
/// The format's.
pub fn encode_plain<F: Format, R: Serialize>(
    record: &R,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    F::write(record, out)
}

/// Reads the record.
///
/// # Errors
/// The format's.
pub fn decode_plain<F: Format, R: DeserializeOwned>(data: &[u8]) -> Result<R, DecodeError> {
    F::read(data)
}

/// Appends a value's own bytes.
///
/// # Errors
/// None: the signature is that of every codec.
pub fn encode_raw<T: RawBytes>(value: &T, out: &mut BytesMut) -> Result<(), EncodeError> {
    Raw::encode(value, out)
}

/// Reads a value from its own bytes.
///
/// # Errors
/// No value has these bytes.
pub fn decode_raw<T: RawBytes>(data: &Bytes) -> Result<T, DecodeError> {
    Raw::decode(data)
}

/// Panics unless the JSON scanner and `serde_json` agree on this text.
#[cfg(fuzzing)]
pub fn json_agrees(json: &[u8]) {
    crate::json::agrees(json);
}
