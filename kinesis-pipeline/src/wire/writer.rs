//! Aggregates that are written.

use std::collections::{HashMap, hash_map::Entry};

use bytes::Bytes;

use super::{
    aggregate::{EXPLICIT_HASH_KEY_TABLE, PARTITION_KEY_TABLE, REDRIVES},
    frame::{FRAME_BYTES, MAGIC, MD5_BYTES},
    key_table::KeyTable,
    protobuf::{put_bytes, put_varint},
    user_record,
};
use crate::{
    digest::{self, Digest},
    prefetch::Touched,
    record::{Encoded, EncodedRecord},
    shard::HashKey,
};

/// The largest size of an index, in bytes: an aggregate has fewer than 2^28 records.
const INDEX_BYTES_MAX: usize = 4;
/// The largest size of a length, in bytes: a record has less than 256 MiB.
const LENGTH_BYTES_MAX: usize = 4;

/// A writer of one aggregate.
///
/// The caller has to check that all records belong to one shard, and that the aggregate fits a Kinesis record:
/// [`record_bytes_max`] returns the most bytes that a record adds.
///
/// ```
/// use bytes::Bytes;
/// use kinesis_pipeline::{EncodedRecord, PartitionKey, wire::aggregate};
///
/// let record = |key: &str, text: &'static str| {
///     Ok::<_, kinesis_pipeline::KeyError>(EncodedRecord::new(PartitionKey::new(key)?, Bytes::from(text)))
/// };
/// let mut writer = aggregate::Writer::new();
/// writer.push(&record("device-1", "21.5")?);
/// writer.push(&record("device-2", "19.0")?);
/// let stored = writer.finish();
///
/// let user_records = aggregate::split(&stored).expect("an aggregate");
/// assert_eq!(user_records.iter().nth(1), Some(record("device-2", "19.0")?));
/// # Ok::<(), kinesis_pipeline::KeyError>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    keys: KeyTable,
    hash_keys: HashMap<HashKey, u64>,
    records: usize,
}

impl Writer {
    /// Makes an empty aggregate.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// Makes an empty aggregate with memory for this number of bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self::expecting(bytes, 0)
    }

    /// Makes an empty aggregate with memory for this number of bytes and partition keys.
    pub(crate) fn expecting(bytes: usize, keys: usize) -> Self {
        let mut out = Vec::with_capacity(bytes);
        out.extend(MAGIC);
        Self {
            out,
            keys: KeyTable::expecting(keys),
            hash_keys: HashMap::new(),
            records: 0,
        }
    }

    /// Returns the number of user records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records
    }

    /// Whether it has no record yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Appends a record.
    ///
    /// Keys stand right before the first record that uses them. Protobuf leaves the order of fields free, so one pass is
    /// enough.
    #[inline]
    pub fn push(&mut self, record: &EncodedRecord) {
        self.push_encoded(record.into());
    }

    #[inline]
    pub(crate) fn push_encoded(&mut self, record: Encoded<'_>) {
        let key = record.partition_key.as_bytes();
        let key = self.keys.index_of(key, PARTITION_KEY_TABLE, &mut self.out);
        let hash_key = record.explicit_hash_key.map(|key| self.hash_key_index(key));
        let data = record.data.bytes();
        user_record::put(&mut self.out, key, hash_key, data);
        self.records += 1;
    }

    /// Writes the number of times that the records were put back after they could not be processed.
    pub(crate) fn put_redrives(&mut self, count: u32) {
        put_varint(&mut self.out, u64::from(REDRIVES) << 3);
        put_varint(&mut self.out, u64::from(count));
    }

    /// Prefetches the memory that a push of this record will read.
    #[inline]
    pub(crate) fn prefetch(&self, record: Encoded<'_>) -> Touched {
        let end = self.out.last().map_or(0, |byte| usize::from(*byte));
        let key = record.partition_key.as_bytes();
        Touched::read(end).and(self.keys.prefetch(key))
    }

    /// Returns the bytes of the aggregate.
    #[must_use]
    pub fn finish(self) -> Bytes {
        let checksum = digest::of(self.body());
        self.finish_with(checksum)
    }

    /// Returns the number of partition keys in the table.
    pub(crate) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Returns the size of the finished aggregate, in bytes.
    pub(crate) fn finished_bytes(&self) -> usize {
        self.out.len() + MD5_BYTES
    }

    /// Returns the protobuf, whose MD5 ends the aggregate.
    pub(crate) fn body(&self) -> &[u8] {
        &self.out[MAGIC.len()..]
    }

    /// Returns the bytes of the aggregate, with the given MD5 of its body.
    pub(crate) fn finish_with(mut self, checksum: Digest) -> Bytes {
        self.out.extend_from_slice(&checksum);
        Bytes::from(self.out)
    }

    fn hash_key_index(&mut self, key: HashKey) -> u64 {
        let next = self.hash_keys.len() as u64;
        match self.hash_keys.entry(key) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(vacant) => {
                let text = key.to_string();
                put_bytes(&mut self.out, EXPLICIT_HASH_KEY_TABLE, text.as_bytes());
                *vacant.insert(next)
            }
        }
    }
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the size of an aggregate without records, in bytes.
#[must_use]
pub const fn empty_bytes() -> usize {
    FRAME_BYTES
}

/// Returns the most bytes that a record adds to an aggregate: less if another record has the same key.
#[must_use]
pub fn record_bytes_max(record: &EncodedRecord) -> usize {
    encoded_bytes_max(record.into())
}

#[inline]
pub(crate) fn encoded_bytes_max(record: Encoded<'_>) -> usize {
    let field = |bytes: usize| 1 + LENGTH_BYTES_MAX + bytes;
    let hash_key = match record.explicit_hash_key {
        Some(_) => field(HashKey::DIGITS_MAX) + 1 + INDEX_BYTES_MAX,
        None => 0,
    };
    let message = 1 + INDEX_BYTES_MAX + field(record.data.bytes().len());
    field(record.partition_key.len()) + hash_key + field(message)
}
