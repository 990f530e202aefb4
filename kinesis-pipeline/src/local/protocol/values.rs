//! Values whose form depends on the wire format.

use std::{fmt, time::SystemTime};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::clock::{epoch_millis, from_epoch_millis};

/// Has types read from a map alone: what serde derives would take a list for the members, in order.
///
/// The types derive `Deserialize` with `#[serde(remote = "Self")]`.
macro_rules! read_from_maps {
    ($($name:ident),*) => {
        $(impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Members;

                impl<'de> serde::de::Visitor<'de> for Members {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("struct ", stringify!($name)))
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        members: A,
                    ) -> Result<$name, A::Error> {
                        $name::deserialize(serde::de::value::MapAccessDeserializer::new(members))
                    }
                }

                deserializer.deserialize_map(Members)
            }
        })*
    };
}
pub(in crate::local) use read_from_maps;

/// Bytes: base64 text in JSON, a byte string in CBOR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::local) struct Blob(pub(in crate::local) Bytes);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&STANDARD.encode(&self.0))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(BlobVisitor)
        } else {
            deserializer.deserialize_byte_buf(BlobVisitor)
        }
    }
}

struct BlobVisitor;

impl de::Visitor<'_> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes, in base64 where the format is text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Blob, E> {
        STANDARD
            .decode(text)
            .map(|bytes| Blob(bytes.into()))
            .map_err(E::custom)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Blob, E> {
        Ok(Blob(Bytes::copy_from_slice(bytes)))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Blob, E> {
        Ok(Blob(bytes.into()))
    }
}

/// A time in milliseconds: seconds with three decimals in JSON, tagged in CBOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::local) struct Timestamp(pub(in crate::local) SystemTime);

impl Timestamp {
    /// Returns the time that is `millis` milliseconds after the Unix epoch.
    pub(in crate::local) fn from_millis(millis: u64) -> Self {
        Self(from_epoch_millis(millis))
    }

    /// Milliseconds since the Unix epoch.
    pub(in crate::local) fn millis(self) -> u64 {
        epoch_millis(self.0)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[cfg(feature = "local-server")]
        if !serializer.is_human_readable() {
            return super::cbor::write_time(*self, serializer);
        }
        serializer.serialize_f64(seconds_of_millis(self.millis()))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[cfg(feature = "local-server")]
        if !deserializer.is_human_readable() {
            return super::cbor::read_time(deserializer);
        }
        let seconds = f64::deserialize(deserializer)?;
        Ok(Self::from_millis(millis_of_seconds(seconds)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds fit in 53 bits")]
pub(super) fn seconds_of_millis(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// Returns the nearest millisecond; times before the epoch are the epoch.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is between 0 and the year 9999; not a number becomes 0"
)]
pub(super) fn millis_of_seconds(seconds: f64) -> u64 {
    (seconds * 1000.0).round().clamp(0.0, MILLIS_MAX) as u64
}

/// The year 9999: later times are taken for it, so that no arithmetic on times can overflow.
const MILLIS_MAX: f64 = 253_402_300_799_999.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn blobs_survive_json(bytes: Vec<u8>) {
            let blob = Blob(bytes.into());
            let text = serde_json::to_string(&blob).unwrap();
            prop_assert_eq!(serde_json::from_str::<Blob>(&text).unwrap(), blob);
        }

        #[test]
        fn times_survive_json_to_the_millisecond(millis in 0_u64..253_402_300_799_999) {
            let time = Timestamp::from_millis(millis);
            let text = serde_json::to_string(&time).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), time);
        }
    }
}
