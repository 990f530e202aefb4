//! Records of one shard that follow each other, as the bytes of one value.
//!
//! Each is its arrival in milliseconds (8 bytes), the lengths of key and data (4 each), the key and the data.

use bytes::{Buf, BufMut};
use bytestring::ByteString;

use crate::local::state::log::LogRecord;

/// The bytes of a record beside its key and data.
const HEAD_BYTES: usize = 16;

/// A record as it is read back; its counter follows from its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChunkRecord<'a> {
    pub(super) arrived_millis: u64,
    pub(super) partition_key: ByteString,
    pub(super) data: &'a [u8],
}

pub(super) fn encode(records: &[LogRecord]) -> Vec<u8> {
    let sizes = records
        .iter()
        .map(|record| HEAD_BYTES + record.partition_key.len() + record.data.len());
    let mut bytes = Vec::with_capacity(sizes.sum());
    for record in records {
        bytes.put_u64(record.arrived_millis);
        bytes.put_u32(length(record.partition_key.len()));
        bytes.put_u32(length(record.data.len()));
        bytes.put_slice(record.partition_key.as_bytes());
        bytes.put_slice(&record.data);
    }
    bytes
}

/// Reads a chunk; returns nothing if the bytes are not a chunk's.
pub(super) fn decode(mut bytes: &[u8]) -> Option<Vec<ChunkRecord<'_>>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let arrived_millis = bytes.try_get_u64().ok()?;
        let key_bytes = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
        let data_bytes = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
        let (key, rest) = bytes.split_at_checked(key_bytes)?;
        let (data, rest) = rest.split_at_checked(data_bytes)?;
        bytes = rest;
        records.push(ChunkRecord {
            arrived_millis,
            partition_key: str::from_utf8(key).ok()?.into(),
            data,
        });
    }
    Some(records)
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("no request brings a key or data of 4 GiB")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_survive_their_bytes(
            records in prop::collection::vec((any::<u64>(), ".{0,9}", prop::collection::vec(any::<u8>(), 0..50)), 0..9),
        ) {
            let given: Vec<_> = records.iter().map(|(arrived_millis, key, data)| LogRecord {
                counter: 0,
                arrived_millis: *arrived_millis,
                partition_key: key.as_str().into(),
                data: Bytes::from(data.clone()),
            }).collect();
            let bytes = encode(&given);
            let read = decode(&bytes).unwrap();
            prop_assert_eq!(read.len(), given.len());
            for (read, given) in read.iter().zip(&given) {
                prop_assert_eq!(read.arrived_millis, given.arrived_millis);
                prop_assert_eq!(&read.partition_key, &given.partition_key);
                prop_assert_eq!(read.data, &given.data[..]);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode(&bytes);
        }
    }
}
