//! MessagePack, in the current format and in the old one that py-triton reads.
//!
//! ```text
//!   write:  value ── rmp-serde, structs as maps ──> bytes ── compat: no str8, no bin ──> the record
//!   read:   the record ── items: one value, not cut, not too deep ── rmp-serde ──> value
//! ```

mod compat;
mod items;
pub mod triton_time;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

use super::{Codec, DecodeError, EncodeError, Format};

/// The codec `msgpack`: structs as maps by field name, in the current `MessagePack` format.
///
/// It reads what py-triton and go-triton write: the old raw strings, str8, bin, and their times through
/// [`triton_time`]. Nesting is limited to 128 levels on reading.
///
/// Types that have a text form, such as `Uuid` and `IpAddr`, are written as text, as in JSON. Bytes are written
/// as bytes by fields that say so (`#[serde(with = "serde_bytes")]`, `bytes::Bytes`); a plain `Vec<u8>` is a
/// list of integers.
#[derive(Clone, Copy, Debug)]
pub struct MsgPack;

/// The codec `msgpack` with `compat`: the old `MessagePack` form, which py-triton, a [Python library](crate::guide::words),
/// reads and writes.
///
/// Strings and bytes are both "raw" (fixraw, raw16, raw32), never str8 and never bin. It reads all that
/// [`MsgPack`] reads, except integers of 128 bits, which have no form in either library.
#[derive(Clone, Copy, Debug)]
pub struct MsgPackCompat;

impl Format for MsgPack {
    const NAME: &'static str = "msgpack";

    fn write<T: Serialize + ?Sized>(value: &T, out: &mut BytesMut) -> Result<(), EncodeError> {
        let mut serializer = rmp_serde::Serializer::new(out.writer())
            .with_struct_map()
            .with_human_readable();
        value
            .serialize(&mut serializer)
            .map_err(|source| EncodeError::new(Self::NAME, source))
    }

    fn read<T: DeserializeOwned>(data: &[u8]) -> Result<T, DecodeError> {
        items::check(data)
            .map_err(|malformed| DecodeError::new(Self::NAME, data.len(), malformed))?;
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(data).with_human_readable();
        T::deserialize(&mut deserializer)
            .map_err(|error| DecodeError::new(Self::NAME, data.len(), error))
    }
}

impl Format for MsgPackCompat {
    const NAME: &'static str = "msgpack";

    fn write<T: Serialize + ?Sized>(value: &T, out: &mut BytesMut) -> Result<(), EncodeError> {
        let start = out.len();
        MsgPack::write(value, out)?;
        compat::to_old_form(out, start).map_err(|source| EncodeError::new(Self::NAME, source))
    }

    fn read<T: DeserializeOwned>(data: &[u8]) -> Result<T, DecodeError> {
        MsgPack::read(data)
    }
}

impl<T: Serialize + DeserializeOwned> Codec<T> for MsgPack {
    fn encode(value: &T, out: &mut BytesMut) -> Result<(), EncodeError> {
        Self::write(value, out)
    }

    fn decode(data: &Bytes) -> Result<T, DecodeError> {
        Self::read(data)
    }
}

impl<T: Serialize + DeserializeOwned> Codec<T> for MsgPackCompat {
    fn encode(value: &T, out: &mut BytesMut) -> Result<(), EncodeError> {
        Self::write(value, out)
    }

    fn decode(data: &Bytes) -> Result<T, DecodeError> {
        Self::read(data)
    }
}

#[cfg(test)]
mod tests;
