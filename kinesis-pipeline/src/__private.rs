//! Items that code written by `#[derive(KinesisRecord)]` uses. Not part of the public API.

pub use crate::record::{
    Codec, DecodeError, Direction, EncodeContext, EncodeError, EncodedRecord, Json, KeyError,
    KinesisRecord, MsgPack, MsgPackCompat, PartitionKey, Raw, RawBytes, ToHashKey, ToPartitionKey,
    derived::{SerdeGetRecord, SerdePutRecord, SerdeRecord, refuse_decode, refuse_encode},
    envelope::EventMeta,
    row::{
        Anonymized, Column, ColumnSource, DropReason, FromCell, FromFormatted, FromRow, FromTime,
        FromUuid, IntoParsed, MaxLength, NotValidated, OnDuplicate, RowMapping, RowScan, RowStop,
        scan::{NoNull, NullOf},
    },
};
pub use crate::shard::HashKey;
pub use bytes::{Bytes, BytesMut};

/// Appends a value's own bytes.
///
/// # Errors
/// None: the signature is that of every codec.
pub fn encode_raw<T: RawBytes>(value: &T, out: &mut BytesMut) -> Result<(), EncodeError> {
    Raw::encode(value, out)
}

/// Appends the bytes of a value that is only put.
///
/// # Errors
/// None: the signature is that of every codec.
pub fn encode_bytes<T: AsRef<[u8]> + ?Sized>(
    value: &T,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    out.extend_from_slice(value.as_ref());
    Ok(())
}

/// Reads a value from its own bytes.
///
/// # Errors
/// No value has these bytes.
pub fn decode_raw<T: RawBytes>(data: &Bytes) -> Result<T, DecodeError> {
    Raw::decode(data)
}

/// Panics unless the CBOR scanner and `ciborium` agree on these bytes.
#[cfg(fuzzing)]
pub fn cbor_agrees(cbor: &[u8]) {
    crate::cbor::agrees(cbor);
}

/// Panics unless the JSON scanner and `serde_json` agree on this text.
#[cfg(fuzzing)]
pub fn json_agrees(json: &[u8]) {
    crate::json::agrees(json);
}
