//! The traits by which derived records use serde, so that a missing derive gives one error in this library's words.
//!
//! Otherwise the compiler would name serde's traits once for writing and once for reading, each with a list of types
//! that implement them. `do_not_recommend` keeps it from looking behind these traits.

use bytes::BytesMut;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    DecodeError, EncodeError, EncodedRecord,
    envelope::{decode_enveloped, encode_enveloped},
    format::Format,
};

/// A type that serde writes and reads.
#[diagnostic::on_unimplemented(
    message = "serde cannot write and read `{Self}`, as it must for a record",
    label = "needs `#[derive(serde::Serialize, serde::Deserialize)]`",
    note = "a record that is only put needs `Serialize` alone: add `#[kinesis(put_only)]`; one that is only read needs `Deserialize` alone: add `#[kinesis(get_only)]`"
)]
pub trait SerdeRecord: Sized {
    /// Appends the record.
    ///
    /// # Errors
    /// The format's.
    fn encode_plain<F: Format>(&self, out: &mut BytesMut) -> Result<(), EncodeError>;

    /// Appends the record with its envelope in front.
    ///
    /// # Errors
    /// The format's, and that of a record that is no object.
    fn encode_enveloped<F: Format, M: Serialize>(
        &self,
        meta: &M,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError>;

    /// Reads the record.
    ///
    /// # Errors
    /// The format's.
    fn decode_plain<F: Format>(data: &[u8]) -> Result<Self, DecodeError>;

    /// Reads the record, with an envelope or without.
    ///
    /// # Errors
    /// The format's.
    fn decode_enveloped<F: Format>(data: &[u8]) -> Result<Self, DecodeError>;
}

#[diagnostic::do_not_recommend]
impl<R: Serialize + DeserializeOwned> SerdeRecord for R {
    fn encode_plain<F: Format>(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        F::write(self, out)
    }

    fn encode_enveloped<F: Format, M: Serialize>(
        &self,
        meta: &M,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        encode_enveloped::<F, _, _>(meta, self, out)
    }

    fn decode_plain<F: Format>(data: &[u8]) -> Result<Self, DecodeError> {
        F::read(data)
    }

    fn decode_enveloped<F: Format>(data: &[u8]) -> Result<Self, DecodeError> {
        decode_enveloped::<F, _>(data)
    }
}

/// A type that serde writes.
#[diagnostic::on_unimplemented(
    message = "serde cannot write `{Self}`, as it must for a record that is put",
    label = "needs `#[derive(serde::Serialize)]`"
)]
pub trait SerdePutRecord {
    /// Appends the record.
    ///
    /// # Errors
    /// The format's.
    fn encode_plain<F: Format>(&self, out: &mut BytesMut) -> Result<(), EncodeError>;

    /// Appends the record with its envelope in front.
    ///
    /// # Errors
    /// The format's, and that of a record that is no object.
    fn encode_enveloped<F: Format, M: Serialize>(
        &self,
        meta: &M,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError>;
}

#[diagnostic::do_not_recommend]
impl<R: Serialize> SerdePutRecord for R {
    fn encode_plain<F: Format>(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        F::write(self, out)
    }

    fn encode_enveloped<F: Format, M: Serialize>(
        &self,
        meta: &M,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        encode_enveloped::<F, _, _>(meta, self, out)
    }
}

/// A type that serde reads.
#[diagnostic::on_unimplemented(
    message = "serde cannot read `{Self}`, as it must for a record that is read",
    label = "needs `#[derive(serde::Deserialize)]`"
)]
pub trait SerdeGetRecord: Sized {
    /// Reads the record.
    ///
    /// # Errors
    /// The format's.
    fn decode_plain<F: Format>(data: &[u8]) -> Result<Self, DecodeError>;

    /// Reads the record, with an envelope or without.
    ///
    /// # Errors
    /// The format's.
    fn decode_enveloped<F: Format>(data: &[u8]) -> Result<Self, DecodeError>;
}

#[diagnostic::do_not_recommend]
impl<R: DeserializeOwned> SerdeGetRecord for R {
    fn decode_plain<F: Format>(data: &[u8]) -> Result<Self, DecodeError> {
        F::read(data)
    }

    fn decode_enveloped<F: Format>(data: &[u8]) -> Result<Self, DecodeError> {
        decode_enveloped::<F, _>(data)
    }
}

/// An error: the record's type is only put, or only read.
#[derive(Debug, thiserror::Error)]
#[error("records of this type are only {0}")]
struct OneWay(&'static str);

/// Refuses to read a record of a type that is only put. Pipelines never call it: such programs do not build.
///
/// # Errors
/// Always.
pub fn refuse_decode<R>(stored: &EncodedRecord) -> Result<R, DecodeError> {
    Err(DecodeError::new(
        "put_only",
        stored.data.len(),
        OneWay("put"),
    ))
}

/// Refuses to write a record of a type that is only read. Pipelines never call it: such programs do not build.
///
/// # Errors
/// Always.
pub fn refuse_encode() -> Result<(), EncodeError> {
    Err(EncodeError::new("get_only", OneWay("read")))
}
