//! Aggregates: many user records in the data of one Kinesis record, in the format of the Kinesis Producer
//! Library (KPL), which KCL and every other consumer library splits again.
//!
//! ```text
//!   F3 89 9A C2 │ protobuf AggregatedRecord │ MD5 of the protobuf, 16 bytes
//!
//!   AggregatedRecord { repeated string partition_key_table = 1; repeated string explicit_hash_key_table = 2;
//!                      repeated Record records = 3; }
//!   Record           { required uint64 partition_key_index = 1; optional uint64 explicit_hash_key_index = 2;
//!                      required bytes data = 3; repeated Tag tags = 4; }
//! ```

use std::collections::{HashMap, hash_map::Entry};

use bytes::Bytes;

use super::{
    frame::{self, FRAME_BYTES, MAGIC, MD5_BYTES},
    key_table::KeyTable,
    protobuf::{Fields, Malformed, Value, put_bytes},
    user_record::{self, RECORDS, UserRecord},
};
use crate::{
    digest::{self, Digest},
    record::{EncodedRecord, PartitionKey},
    shard::HashKey,
};

const PARTITION_KEY_TABLE: u8 = 1;
const EXPLICIT_HASH_KEY_TABLE: u8 = 2;

/// The most bytes that an index takes: an aggregate has fewer than 2^28 records.
const INDEX_BYTES_MAX: usize = 4;
/// The most bytes that a length takes: a record has less than 256 MiB.
const LENGTH_BYTES_MAX: usize = 4;

/// For how many records, at most, a reader makes room before it has seen them.
const RESERVED_MAX: usize = 1024;

/// Writes one aggregate.
///
/// The caller sees to it that all records belong to one shard, and that the whole fits a Kinesis record:
/// [`record_bytes_max`] says what each record adds at most.
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
    /// An empty aggregate.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty aggregate that expects this many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self::expecting(bytes, 0)
    }

    /// An empty aggregate that expects this many bytes and partition keys.
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
    /// Keys stand right before the first record that uses them: protobuf leaves the order of fields free, and
    /// one pass is enough.
    #[inline]
    pub fn push(&mut self, record: &EncodedRecord) {
        let key = record.partition_key.as_bytes();
        let key = self.keys.index_of(key, PARTITION_KEY_TABLE, &mut self.out);
        let hash_key = record.explicit_hash_key.map(|key| self.hash_key_index(key));
        let data = &record.data[..];
        user_record::put(&mut self.out, key, hash_key, data);
        self.records += 1;
    }

    /// Reads what a push of this record will need. One who is about to push to many writers, each of them elsewhere in
    /// memory, does so for all of them first: then the processor fetches them side by side. The sum means nothing.
    #[inline]
    pub(crate) fn peek(&self, record: &EncodedRecord) -> usize {
        let end = self.out.last().map_or(0, |byte| usize::from(*byte));
        end.wrapping_add(self.keys.peek(record.partition_key.as_bytes()))
    }

    /// The bytes of the aggregate.
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

    /// The part whose MD5 ends the aggregate.
    pub(crate) fn body(&self) -> &[u8] {
        &self.out[MAGIC.len()..]
    }

    /// The bytes of the aggregate, the MD5 of its body given.
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

/// The bytes of an aggregate without records.
#[must_use]
pub const fn empty_bytes() -> usize {
    FRAME_BYTES
}

/// Returns the most bytes that a record adds to an aggregate: less if another record has the same key.
#[must_use]
pub fn record_bytes_max(record: &EncodedRecord) -> usize {
    let field = |bytes: usize| 1 + LENGTH_BYTES_MAX + bytes;
    let hash_key = match record.explicit_hash_key {
        Some(_) => field(HashKey::DIGITS_MAX) + 1 + INDEX_BYTES_MAX,
        None => 0,
    };
    let message = 1 + INDEX_BYTES_MAX + field(record.data.len());
    field(record.partition_key.len()) + hash_key + field(message)
}

/// An aggregate that was checked. It shares the bytes that it was made of.
#[derive(Clone, Debug)]
pub struct Aggregate {
    data: Bytes,
    partition_keys: Vec<PartitionKey>,
    hash_keys: Vec<Option<HashKey>>,
    records: Vec<UserRecord>,
}

/// Checks whether the data of a Kinesis record is an aggregate.
///
/// `None` if the magic bytes, the MD5 or the protobuf does not fit, or if it holds no record: then the data
/// is one raw record. Nothing is copied; what is allocated is in proportion to the data, whatever it says.
#[must_use]
pub fn split(data: &Bytes) -> Option<Aggregate> {
    let (body, checksum) = frame::body_and_checksum(data)?;
    (digest::of(body)[..] == *checksum).then_some(())?;
    Aggregate::read(data).ok()
}

/// The same for data that [`are_framed`](frame::are_framed) was true of.
pub(crate) fn split_framed(data: &Bytes) -> Option<Aggregate> {
    Aggregate::read(data).ok()
}

impl Aggregate {
    fn read(data: &Bytes) -> Result<Self, Malformed> {
        let mut aggregate = Self {
            data: data.clone(),
            partition_keys: Vec::new(),
            hash_keys: Vec::new(),
            records: Vec::new(),
        };
        // The tables may stand behind the records: how long they must be is checked at the end.
        let (mut keys, mut hash_keys) = (0, 0);
        let body_end = data.len() - MD5_BYTES;
        let mut fields = Fields::new(data, MAGIC.len(), body_end);
        while let Some((field, value)) = fields.next()? {
            match (u8::try_from(field), value) {
                (Ok(RECORDS), Value::Bytes { start, end }) => {
                    let record = UserRecord::read(data, start, end)?;
                    keys = keys.max(record.keys());
                    hash_keys = hash_keys.max(record.hash_keys());
                    if aggregate.records.is_empty() {
                        let alike = (body_end - start) / (end - start);
                        aggregate.records.reserve(alike.min(RESERVED_MAX));
                    }
                    aggregate.records.push(record);
                }
                (Ok(PARTITION_KEY_TABLE), Value::Bytes { start, end }) => {
                    let key = partition_key(&data[start..end])?;
                    aggregate.partition_keys.push(key);
                }
                (Ok(EXPLICIT_HASH_KEY_TABLE), Value::Bytes { start, end }) => {
                    aggregate.hash_keys.push(hash_key(&data[start..end])?);
                }
                (Ok(PARTITION_KEY_TABLE | EXPLICIT_HASH_KEY_TABLE | RECORDS), _) => {
                    return Err(Malformed);
                }
                // A field of a later version.
                _ => {}
            }
        }
        let is_whole = !aggregate.records.is_empty()
            && keys <= aggregate.partition_keys.len()
            && hash_keys <= aggregate.hash_keys.len();
        is_whole.then_some(aggregate).ok_or(Malformed)
    }

    /// Returns the number of user records, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an aggregate is never empty")]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The user records in their order: the index of each is its sub-sequence number.
    ///
    /// Each holds a part of the bytes that the aggregate was made of, and keeps all of them in memory.
    #[must_use]
    pub fn iter(&self) -> UserRecords<'_> {
        UserRecords {
            aggregate: self,
            records: self.records.iter(),
        }
    }

    /// The point of the key space of each user record, in their order. A partition key is hashed once, however
    /// many records have it.
    pub(crate) fn hash_keys(&self) -> impl Iterator<Item = HashKey> {
        let keys: Vec<_> = self
            .partition_keys
            .iter()
            .map(|key| key.as_bytes())
            .collect();
        let of_keys = digest::of_each(&keys);
        self.records.iter().map(move |record| {
            let explicit = record
                .hash_key
                .and_then(|index| self.hash_keys[index as usize]);
            explicit.unwrap_or_else(|| HashKey::of_digest(of_keys[record.key as usize]))
        })
    }

    #[inline]
    fn record(&self, read: &UserRecord) -> EncodedRecord {
        EncodedRecord {
            data: self.data.slice(read.start as usize..read.end as usize),
            partition_key: self.partition_keys[read.key as usize].clone(),
            explicit_hash_key: read
                .hash_key
                .and_then(|index| self.hash_keys[index as usize]),
        }
    }
}

impl<'a> IntoIterator for &'a Aggregate {
    type Item = EncodedRecord;
    type IntoIter = UserRecords<'a>;

    fn into_iter(self) -> UserRecords<'a> {
        self.iter()
    }
}

/// The user records of an aggregate in their order.
#[derive(Clone, Debug)]
pub struct UserRecords<'a> {
    aggregate: &'a Aggregate,
    records: std::slice::Iter<'a, UserRecord>,
}

impl Iterator for UserRecords<'_> {
    type Item = EncodedRecord;

    #[inline]
    fn next(&mut self) -> Option<EncodedRecord> {
        let read = self.records.next()?;
        Some(self.aggregate.record(read))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

impl ExactSizeIterator for UserRecords<'_> {}

fn partition_key(text: &[u8]) -> Result<PartitionKey, Malformed> {
    let text = std::str::from_utf8(text).map_err(|_| Malformed)?;
    Ok(PartitionKey::stored(text))
}

/// Consumers place nothing by it: a hash key that is no number is left out, the record is not.
fn hash_key(text: &[u8]) -> Result<Option<HashKey>, Malformed> {
    let text = std::str::from_utf8(text).map_err(|_| Malformed)?;
    Ok(text.parse().ok().map(HashKey::new))
}

#[cfg(test)]
#[path = "aggregate_tests.rs"]
mod tests;
