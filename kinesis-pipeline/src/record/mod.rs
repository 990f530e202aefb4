//! Records: the trait of a type that goes through a stream, and the codecs that write and read its bytes.
//!
//! ```text
//!   put:  R ── partition_key, explicit_hash_key ──┐
//!         R ── encode (codec, `_meta` envelope) ──┴─> EncodedRecord ──> the stream
//!   get:  the stream ──> EncodedRecord ── decode (codec) ──> R
//! ```
//!
//! # Which type to use
//!
//! | you have | use |
//! |---|---|
//! | a struct or an enum | `#[derive(KinesisRecord)]` next to serde's derives |
//! | JSON of any shape | [`serde_json::Value`] |
//! | a stream of Triton, a Python library ([words](crate::guide::words)) | [`TritonRecord`], or a struct with `codec = "msgpack", compat` |
//! | lines of text, bytes | `String`, [`Bytes`], `Vec<u8>` |
//! | any of these, and a key that is no part of it | [`Keyed`] |
//! | keys and bytes, nothing decoded | [`EncodedRecord`] |
//!
//! # Which codec to choose
//!
//! [`Json`] unless there is a reason: every tool reads it, and Firehose, Athena and Lambda expect it. [`MsgPack`]
//! is smaller and has bytes. [`MsgPackCompat`] is for streams that py-triton, a Python library, reads. [`Raw`] is for text and bytes
//! that have a format already.
//!
//! What the codecs promise: a record is read back as it was written, floats to the last bit; bytes after the
//! value are an error; nesting is limited to 128 levels, so that no record overflows the stack; and whatever the
//! bytes are, reading ends in a value or in a [`DecodeError`].
//!
//! Limits that come from serde: in JSON, `NaN` and the infinities are written as `null`; in types with `flatten`,
//! or in enums with `tag` or `untagged`, integers of 128 bits cannot be read (for hash keys use
//! [`HashKey`], which is a text).
//!
//! # A codec of your own
//!
//! A codec is a type that implements [`Codec`] for one type or for many:
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use kinesis_pipeline::{Codec, DecodeError, EncodeError, KinesisRecord};
//!
//! /// `device,temperature`
//! struct Csv;
//!
//! impl Codec<Reading> for Csv {
//!     fn encode(value: &Reading, out: &mut BytesMut) -> Result<(), EncodeError> {
//!         let line = format!("{},{}", value.device, value.temperature);
//!         out.extend_from_slice(line.as_bytes());
//!         Ok(())
//!     }
//!
//!     fn decode(data: &Bytes) -> Result<Reading, DecodeError> {
//!         let parsed = std::str::from_utf8(data).ok().and_then(|line| {
//!             let (device, temperature) = line.split_once(',')?;
//!             Some(Reading {
//!                 device: device.to_owned(),
//!                 temperature: temperature.parse().ok()?,
//!             })
//!         });
//!         parsed.ok_or_else(|| DecodeError::new("csv", data.len(), "not `device,temperature`"))
//!     }
//! }
//!
//! #[derive(KinesisRecord)]
//! #[kinesis(codec = Csv)]
//! struct Reading {
//!     #[kinesis(partition_key)]
//!     device: String,
//!     temperature: f64,
//! }
//! #
//! # let reading = Csv::decode(&Bytes::from("d7,21.5"))?;
//! # assert_eq!(reading.partition_key().unwrap(), "d7");
//! # Ok::<(), DecodeError>(())
//! ```
//!
//! # The trait by hand
//!
//! For a type whose keys or bytes depend on more than one value can tell:
//!
//! ```
//! use bytes::BytesMut;
//! use kinesis_pipeline::{
//!     DecodeError, EncodeError, EncodedRecord, KeyError, KinesisRecord, PartitionKey,
//!     record::EncodeContext,
//! };
//!
//! /// The tenant is in the key alone.
//! struct Line {
//!     tenant: String,
//!     text: String,
//! }
//!
//! impl KinesisRecord for Line {
//!     fn partition_key(&self) -> Result<PartitionKey, KeyError> {
//!         PartitionKey::new(&self.tenant)
//!     }
//!
//!     fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
//!         out.extend_from_slice(self.text.as_bytes());
//!         Ok(())
//!     }
//!
//!     fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
//!         let text = String::decode(stored)?;
//!         let tenant = stored.partition_key.to_string();
//!         Ok(Self { tenant, text })
//!     }
//! }
//! ```

pub(crate) mod derived;
mod direction;
mod encoded;
pub(crate) mod envelope;
mod error;
pub(crate) mod format;
mod hash_key_text;
mod json;
mod key;
mod keyed;
mod msgpack;
mod raw;
pub mod row;
mod scratch;
mod shared;
mod to_key;
mod triton;

pub use direction::Direction;
#[cfg(any(feature = "aws", test))]
pub(crate) use encoded::COPIED_BYTES_MAX;
pub(crate) use encoded::{Encoded, EncodedData, SHARED_BYTES_MAX, encode, own};
pub use encoded::{EncodedRecord, RecordError};
pub use error::{DecodeError, EncodeError, KeyError};
use format::Format;
pub use json::Json;
pub use key::{PARTITION_KEY_CHARS_MAX, PartitionKey};
pub use keyed::Keyed;
pub use msgpack::{MsgPack, MsgPackCompat, triton_time};
pub use raw::{Raw, RawBytes};
/// A `MessagePack` value of any type, as [`TritonRecord`] holds them.
pub use rmpv::Value as MsgPackValue;
pub use to_key::{ToHashKey, ToPartitionKey};
pub use triton::TritonRecord;

use std::time::SystemTime;

use bytes::{Bytes, BytesMut};

use crate::{clock::Clock, shard::HashKey};

/// A type that can be put to a stream and read back.
///
/// Derive it: `#[derive(KinesisRecord)]` next to serde's derives. Write it by hand for a type whose bytes or
/// keys need code of yours.
///
/// # Examples
///
/// ```
/// use bytes::BytesMut;
/// use kinesis_pipeline::{
///     DecodeError, EncodeError, EncodedRecord, KeyError, KinesisRecord, PartitionKey, record::EncodeContext,
/// };
///
/// /// A temperature as four bytes, under the key of its device.
/// #[derive(Debug, PartialEq)]
/// struct Reading {
///     device: String,
///     celsius: f32,
/// }
///
/// impl KinesisRecord for Reading {
///     fn partition_key(&self) -> Result<PartitionKey, KeyError> {
///         PartitionKey::new(&self.device)
///     }
///
///     fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
///         out.extend_from_slice(&self.celsius.to_be_bytes());
///         Ok(())
///     }
///
///     fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
///         let bytes: [u8; 4] = stored.data[..]
///             .try_into()
///             .map_err(|_| DecodeError::new("reading", stored.data.len(), "not four bytes"))?;
///         Ok(Self {
///             device: stored.partition_key.to_string(),
///             celsius: f32::from_be_bytes(bytes),
///         })
///     }
/// }
///
/// let reading = Reading { device: "attic".into(), celsius: 21.5 };
/// let mut data = BytesMut::new();
/// reading.encode(&EncodeContext::at(std::time::SystemTime::UNIX_EPOCH), &mut data)?;
/// let stored = EncodedRecord::new(reading.partition_key()?, data.freeze());
/// assert_eq!(Reading::decode(&stored)?, reading);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait KinesisRecord: Sized {
    /// The ways that these records go: both by default. A type that goes one way only returns an error from the
    /// function of the other, which no pipeline then calls.
    const DIRECTION: Direction = Direction::Both;

    /// Returns the partition key of this record: records with one key go to one shard.
    ///
    /// # Errors
    /// The record has no usable key: it is missing, empty or longer than 256 characters.
    fn partition_key(&self) -> Result<PartitionKey, KeyError>;

    /// Returns the partition key in the field of this name, for streams whose configuration names one.
    ///
    /// Only untyped records, such as `serde_json::Value`, look the field up; a typed record knows its key and
    /// ignores `field`.
    ///
    /// # Errors
    /// As [`partition_key`](Self::partition_key).
    fn partition_key_in(&self, field: &str) -> Result<PartitionKey, KeyError> {
        let _ = field;
        self.partition_key()
    }

    /// Returns a hash key that replaces the MD5 of the partition key, if this record has one.
    ///
    /// # Errors
    /// The record's field is not a hash key.
    fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        Ok(None)
    }

    /// Appends this record's bytes to `out`.
    ///
    /// # Errors
    /// The codec cannot write this value. What it wrote to `out` before is the caller's to drop.
    fn encode(&self, context: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError>;

    /// This record's bytes, if they are in shared memory already: [`encode`](Self::encode) is not called then.
    fn shared_data(&self) -> Option<Bytes> {
        None
    }

    /// Reads a record back.
    ///
    /// # Errors
    /// The bytes are not what the codec writes for this type.
    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError>;

    /// Decodes as [`decode`](Self::decode) does, and consumes the record: a type that keeps the bytes as they are
    /// takes them over.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    fn decode_owned(stored: EncodedRecord) -> Result<Self, DecodeError> {
        Self::decode(&stored)
    }

    /// Decodes as [`decode`](Self::decode) does. A type that keeps the bytes as they are takes them out of the record,
    /// which costs no reference count. An implementation that returns an error must leave the record whole.
    #[doc(hidden)]
    fn decode_taking(stored: &mut EncodedRecord) -> Result<Self, DecodeError> {
        Self::decode(stored)
    }
}

/// The context of an encoder: facts besides the record.
#[derive(Clone, Debug)]
pub struct EncodeContext {
    time: Time,
}

#[derive(Clone, Debug)]
enum Time {
    At(SystemTime),
    Of(Clock),
}

impl EncodeContext {
    /// Makes a context at this time.
    #[must_use]
    pub fn at(now: SystemTime) -> Self {
        Self {
            time: Time::At(now),
        }
    }

    /// Makes a context whose time is read when an encoder asks for it: most do not.
    pub(crate) fn of(clock: &Clock) -> Self {
        Self {
            time: Time::Of(clock.clone()),
        }
    }

    /// Returns the time of the put, for envelopes that carry one.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        match &self.time {
            Time::At(now) => *now,
            Time::Of(clock) => clock.now(),
        }
    }
}

/// A codec of `T`: encodes values to bytes and decodes them. It is the `codec` of a derived record.
///
/// A codec is a type without values; name it in `#[kinesis(codec = path::to::MyCodec)]`.
pub trait Codec<T> {
    /// Appends the bytes of `value` to `out`.
    ///
    /// # Errors
    /// This codec cannot write the value.
    fn encode(value: &T, out: &mut BytesMut) -> Result<(), EncodeError>;

    /// Reads a value back from the whole of `data`.
    ///
    /// # Errors
    /// The bytes are not a `T` in this codec.
    fn decode(data: &Bytes) -> Result<T, DecodeError>;
}
