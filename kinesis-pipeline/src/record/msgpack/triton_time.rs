//! Times as go-triton writes them: `#[serde(with = "kinesis_pipeline::record::triton_time")]` on a `SystemTime`
//! field of a `MessagePack` record.
//!
//! Written as extension type 5 of 12 bytes: seconds since the Unix epoch (`i64`) and nanoseconds (`i32`), both
//! big-endian. Read from that, and from a number of Unix seconds, as Python programs put it.
//!
//! ```
//! use std::time::SystemTime;
//!
//! use kinesis_pipeline::KinesisRecord;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, KinesisRecord)]
//! #[kinesis(codec = "msgpack", compat)]
//! struct Visit {
//!     #[kinesis(partition_key)]
//!     user: String,
//!     #[serde(with = "kinesis_pipeline::record::triton_time")]
//!     at: SystemTime,
//! }
//! ```

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, SeqAccess, Visitor},
    ser::Error as _,
};

const EXTENSION: i8 = 5;
const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// Writes the time as extension type 5.
///
/// # Errors
/// The serializer's, and a time whose seconds do not fit 64 bits.
pub fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let (seconds, nanos) =
        to_parts(*time).ok_or_else(|| S::Error::custom("the time is out of range"))?;
    let mut data = [0; 12];
    data[..8].copy_from_slice(&seconds.to_be_bytes());
    data[8..].copy_from_slice(&nanos.to_be_bytes());
    serializer.serialize_newtype_struct(
        rmp_serde::MSGPACK_EXT_STRUCT_NAME,
        &(EXTENSION, RawTime(data)),
    )
}

/// Reads a time from extension type 5, or from a number of Unix seconds.
///
/// # Errors
/// Anything else, and a time that the system cannot hold.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
    deserializer.deserialize_any(TimeVisitor)
}

/// Seconds since the epoch, rounded down, and the nanoseconds after them.
fn to_parts(time: SystemTime) -> Option<(i64, u32)> {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => Some((i64::try_from(after.as_secs()).ok()?, after.subsec_nanos())),
        Err(error) => {
            let before = error.duration();
            let seconds = 0_i64.checked_sub_unsigned(before.as_secs())?;
            match before.subsec_nanos() {
                0 => Some((seconds, 0)),
                nanos => Some((seconds.checked_sub(1)?, NANOS_PER_SECOND - nanos)),
            }
        }
    }
}

fn from_parts(seconds: i64, nanos: u32) -> Option<SystemTime> {
    if nanos >= NANOS_PER_SECOND {
        return None;
    }
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = match seconds {
        0.. => SystemTime::UNIX_EPOCH.checked_add(whole),
        _ => SystemTime::UNIX_EPOCH.checked_sub(whole),
    };
    base?.checked_add(Duration::from_nanos(nanos.into()))
}

fn from_seconds(seconds: f64) -> Option<SystemTime> {
    let distance = Duration::try_from_secs_f64(seconds.abs()).ok()?;
    if seconds < 0.0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

struct TimeVisitor;

impl<'de> Visitor<'de> for TimeVisitor {
    type Value = SystemTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time: extension type 5 of 12 bytes, or Unix seconds")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, ext: D) -> Result<SystemTime, D::Error> {
        ext.deserialize_tuple(2, self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut ext: A) -> Result<SystemTime, A::Error> {
        let extension: Option<i8> = ext.next_element()?;
        let data: Option<RawTime> = ext.next_element()?;
        let (Some(EXTENSION), Some(RawTime(data))) = (extension, data) else {
            return Err(A::Error::custom("a time is an extension of type 5"));
        };
        let [s0, s1, s2, s3, s4, s5, s6, s7, n0, n1, n2, n3] = data;
        let seconds = i64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        let nanos = u32::from_be_bytes([n0, n1, n2, n3]);
        from_parts(seconds, nanos).ok_or_else(out_of_range)
    }

    fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<SystemTime, E> {
        from_parts(seconds, 0).ok_or_else(out_of_range)
    }

    fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<SystemTime, E> {
        let seconds = i64::try_from(seconds).map_err(|_| out_of_range())?;
        self.visit_i64(seconds)
    }

    fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<SystemTime, E> {
        from_seconds(seconds).ok_or_else(out_of_range)
    }
}

fn out_of_range<E: serde::de::Error>() -> E {
    E::custom("the time is out of range")
}

/// The 12 bytes of the extension.
struct RawTime([u8; 12]);

impl Serialize for RawTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for RawTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(RawTimeVisitor)
    }
}

struct RawTimeVisitor;

impl Visitor<'_> for RawTimeVisitor {
    type Value = RawTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("12 bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, data: &[u8]) -> Result<RawTime, E> {
        data.try_into()
            .map(RawTime)
            .map_err(|_| E::invalid_length(data.len(), &self))
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Format, MsgPack};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct At(#[serde(with = "super")] SystemTime);

    fn written(time: SystemTime) -> BytesMut {
        let mut out = BytesMut::new();
        MsgPack::write(&At(time), &mut out).unwrap();
        out
    }

    #[test]
    fn a_time_is_extension_5_of_big_endian_seconds_and_nanoseconds() {
        let time = SystemTime::UNIX_EPOCH + Duration::new(0x0102_0304, 5);
        assert_eq!(
            &written(time)[..],
            b"\xc7\x0c\x05\0\0\0\0\x01\x02\x03\x04\0\0\0\x05"
        );
    }

    #[test]
    fn numbers_are_unix_seconds() {
        let read = |data: &[u8]| MsgPack::read::<At>(data).unwrap().0;
        let second = Duration::from_secs(1);
        assert_eq!(read(b"\x01"), SystemTime::UNIX_EPOCH + second);
        assert_eq!(read(b"\xff"), SystemTime::UNIX_EPOCH - second);
        // 1.5
        let half = read(b"\xcb\x3f\xf8\0\0\0\0\0\0");
        assert_eq!(half, SystemTime::UNIX_EPOCH + second * 3 / 2);
    }

    #[test]
    fn the_zero_time_of_go_is_read() {
        let zero = from_parts(-62_135_596_800, 0).unwrap();
        assert_eq!(MsgPack::read::<At>(&written(zero)).unwrap(), At(zero));
    }

    #[test]
    fn other_extensions_and_impossible_times_are_errors() {
        for data in [
            &b"\xc7\x0c\x06\0\0\0\0\0\0\0\0\0\0\0\0"[..],
            b"\xd7\x05\0\0\0\0\0\0\0\0",
            b"\xc7\x0c\x05\0\0\0\0\0\0\0\0\xff\0\0\0",
            b"\xcb\x7f\xf0\0\0\0\0\0\0",
            b"\xa0",
        ] {
            assert!(MsgPack::read::<At>(data).is_err(), "{data:x?}");
        }
    }

    proptest! {
        #[test]
        fn times_read_back_to_the_nanosecond(
            seconds in -1_i64 << 40..1 << 40,
            nanos in 0..NANOS_PER_SECOND,
        ) {
            let time = from_parts(seconds, nanos).unwrap();
            prop_assert_eq!(to_parts(time), Some((seconds, nanos)));
            prop_assert_eq!(MsgPack::read::<At>(&written(time)).unwrap(), At(time));
        }
    }
}
