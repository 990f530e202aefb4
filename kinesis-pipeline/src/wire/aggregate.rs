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

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, Hasher},
};

use bytes::Bytes;
use bytestring::ByteString;
use md5::{Digest, Md5};

use super::protobuf::{Fields, Malformed, Value, put_varint, varint_len};
use crate::{
    record::{EncodedRecord, PartitionKey},
    shard::HashKey,
};

/// What every aggregate begins with.
const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const MD5_BYTES: usize = 16;
/// What an aggregate has besides its protobuf.
const FRAME_BYTES: usize = MAGIC.len() + MD5_BYTES;

const PARTITION_KEY_TABLE: u8 = 1;
const EXPLICIT_HASH_KEY_TABLE: u8 = 2;
const RECORDS: u8 = 3;
const PARTITION_KEY_INDEX: u8 = 1;
const EXPLICIT_HASH_KEY_INDEX: u8 = 2;
const DATA: u8 = 3;

/// The most digits of an explicit hash key.
const HASH_KEY_DIGITS_MAX: usize = 39;
/// The most bytes that an index takes: an aggregate has fewer than 2^28 records.
const INDEX_BYTES_MAX: usize = 4;
/// The most bytes that a length takes: a record has less than 256 MiB.
const LENGTH_BYTES_MAX: usize = 4;

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
    keys: HashMap<ByteString, u64, KeyHash>,
    /// The key of the record before: often the next one has the same.
    last_key: Option<(ByteString, u64)>,
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
        let mut out = Vec::with_capacity(bytes);
        out.extend(MAGIC);
        Self {
            out,
            keys: HashMap::with_hasher(KeyHash::random()),
            last_key: None,
            hash_keys: HashMap::new(),
            records: 0,
        }
    }

    /// How many records it has.
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
        let key = self.key_index(&record.partition_key);
        let hash_key = record.explicit_hash_key.map(|key| self.hash_key_index(key));
        let data = &record.data[..];
        let hash_key_len = hash_key.map_or(0, |index| 1 + varint_len(index));
        let len =
            1 + varint_len(key) + hash_key_len + 1 + varint_len(data.len() as u64) + data.len();
        self.out.push(RECORDS << 3 | 2);
        put_varint(&mut self.out, len as u64);
        self.out.push(PARTITION_KEY_INDEX << 3);
        put_varint(&mut self.out, key);
        if let Some(index) = hash_key {
            self.out.push(EXPLICIT_HASH_KEY_INDEX << 3);
            put_varint(&mut self.out, index);
        }
        put_bytes(&mut self.out, DATA, data);
        self.records += 1;
    }

    /// The bytes of the aggregate.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        let checksum = Md5::digest(&self.out[MAGIC.len()..]);
        self.out.extend_from_slice(&checksum);
        Bytes::from(self.out)
    }

    #[inline]
    fn key_index(&mut self, key: &PartitionKey) -> u64 {
        if let Some((last, index)) = &self.last_key
            && last == key.as_str()
        {
            return *index;
        }
        let next = self.keys.len() as u64;
        let text = key.to_byte_string();
        let index = match self.keys.entry(text.clone()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(vacant) => {
                put_bytes(&mut self.out, PARTITION_KEY_TABLE, key.as_bytes());
                *vacant.insert(next)
            }
        };
        self.last_key = Some((text, index));
        index
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

#[inline]
fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The bytes of an aggregate without records.
#[must_use]
pub const fn empty_bytes() -> usize {
    FRAME_BYTES
}

/// How many bytes a record adds to an aggregate at most: less if another record of it has the same key.
#[must_use]
pub fn record_bytes_max(record: &EncodedRecord) -> usize {
    let field = |bytes: usize| 1 + LENGTH_BYTES_MAX + bytes;
    let hash_key = match record.explicit_hash_key {
        Some(_) => field(HASH_KEY_DIGITS_MAX) + 1 + INDEX_BYTES_MAX,
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
    records: usize,
}

/// Checks whether the data of a Kinesis record is an aggregate.
///
/// `None` if the magic bytes, the MD5 or the protobuf does not fit, or if it holds no record: then the data
/// is one raw record. Nothing is copied; besides the two tables of keys nothing is allocated.
#[must_use]
pub fn split(data: &Bytes) -> Option<Aggregate> {
    let body = data.strip_prefix(&MAGIC)?;
    let (body, checksum) = body.split_at_checked(body.len().checked_sub(MD5_BYTES)?)?;
    (Md5::digest(body)[..] == *checksum).then_some(())?;
    Aggregate::check(data).ok().flatten()
}

impl Aggregate {
    fn check(data: &Bytes) -> Result<Option<Self>, Malformed> {
        let mut aggregate = Self {
            data: data.clone(),
            partition_keys: Vec::new(),
            hash_keys: Vec::new(),
            records: 0,
        };
        // The least tables that all indices fit.
        let (mut keys_needed, mut hash_keys_needed) = (0, 0);
        let mut fields = aggregate.fields();
        let (mut keys, mut hash_keys, mut records) = (Vec::new(), Vec::new(), 0);
        while let Some((field, value)) = fields.next()? {
            match (u8::try_from(field), value) {
                (Ok(PARTITION_KEY_TABLE), Value::Bytes { start, end }) => {
                    keys.push(partition_key(data.slice(start..end))?);
                }
                (Ok(EXPLICIT_HASH_KEY_TABLE), Value::Bytes { start, end }) => {
                    hash_keys.push(hash_key(&data[start..end])?);
                }
                (Ok(RECORDS), Value::Bytes { start, end }) => {
                    let record = UserRecord::read(data, start, end)?;
                    keys_needed = keys_needed.max(record.key.saturating_add(1));
                    hash_keys_needed = hash_keys_needed
                        .max(record.hash_key.map_or(0, |key| key.saturating_add(1)));
                    records += 1;
                }
                (Ok(PARTITION_KEY_TABLE | EXPLICIT_HASH_KEY_TABLE | RECORDS), _) => {
                    return Err(Malformed);
                }
                // A field of a later version.
                _ => {}
            }
        }
        let indices_fit =
            keys_needed <= keys.len() as u64 && hash_keys_needed <= hash_keys.len() as u64;
        aggregate.partition_keys = keys;
        aggregate.hash_keys = hash_keys;
        aggregate.records = records;
        Ok((indices_fit && records > 0).then_some(aggregate))
    }

    fn fields(&self) -> Fields<'_> {
        Fields::new(&self.data, MAGIC.len(), self.data.len() - MD5_BYTES)
    }

    /// How many user records it has, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an aggregate is never empty")]
    pub fn len(&self) -> usize {
        self.records
    }

    /// The user records in their order: the index of each is its sub-sequence number.
    ///
    /// Each holds a part of the bytes that the aggregate was made of, and keeps all of them in memory.
    #[must_use]
    pub fn iter(&self) -> UserRecords<'_> {
        UserRecords {
            aggregate: self,
            fields: self.fields(),
            left: self.records,
        }
    }

    fn record(&self, read: UserRecord) -> Option<EncodedRecord> {
        let partition_key = self.partition_keys.get(usize::try_from(read.key).ok()?)?;
        let explicit_hash_key = match read.hash_key {
            Some(index) => *self.hash_keys.get(usize::try_from(index).ok()?)?,
            None => None,
        };
        Some(EncodedRecord {
            data: self.data.slice(read.data.0..read.data.1),
            partition_key: partition_key.clone(),
            explicit_hash_key,
        })
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
    fields: Fields<'a>,
    left: usize,
}

impl Iterator for UserRecords<'_> {
    type Item = EncodedRecord;

    fn next(&mut self) -> Option<EncodedRecord> {
        // It was read once before: nothing in it is malformed.
        while let Ok(Some((field, value))) = self.fields.next() {
            if let (3, Value::Bytes { start, end }) = (field, value) {
                let read = UserRecord::read(&self.aggregate.data, start, end).ok()?;
                self.left -= 1;
                return self.aggregate.record(read);
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for UserRecords<'_> {}

/// A user record as it is written: indices into the tables, and where its data is.
#[derive(Clone, Copy, Debug)]
struct UserRecord {
    key: u64,
    hash_key: Option<u64>,
    data: (usize, usize),
}

impl UserRecord {
    #[inline]
    fn read(input: &[u8], start: usize, end: usize) -> Result<Self, Malformed> {
        let (mut key, mut hash_key, mut data) = (None, None, None);
        let mut fields = Fields::new(input, start, end);
        while let Some((field, value)) = fields.next()? {
            match (field, value) {
                (1, Value::Varint(index)) => key = Some(index),
                (2, Value::Varint(index)) => hash_key = Some(index),
                (3, Value::Bytes { start, end }) => data = Some((start, end)),
                (1..=3, _) => return Err(Malformed),
                _ => {}
            }
        }
        Ok(Self {
            key: key.ok_or(Malformed)?,
            hash_key,
            data: data.ok_or(Malformed)?,
        })
    }
}

fn partition_key(text: Bytes) -> Result<PartitionKey, Malformed> {
    let text = ByteString::try_from(text).map_err(|_| Malformed)?;
    Ok(PartitionKey::stored(text))
}

/// Consumers place nothing by it: a hash key that is no number is left out, the record is not.
fn hash_key(text: &[u8]) -> Result<Option<HashKey>, Malformed> {
    let text = std::str::from_utf8(text).map_err(|_| Malformed)?;
    Ok(text.parse().ok().map(HashKey::new))
}

/// Hashes short keys in a few cycles. The seed is random, so that nobody can choose keys that collide.
#[derive(Clone, Copy, Debug)]
struct KeyHash {
    seed: u64,
}

impl KeyHash {
    fn random() -> Self {
        Self {
            seed: fastrand::u64(..),
        }
    }
}

impl BuildHasher for KeyHash {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(self.seed)
    }
}

struct KeyHasher(u64);

impl KeyHasher {
    #[inline]
    fn mix(&mut self, word: u64) {
        // An odd number without a pattern: the fraction of the golden ratio.
        const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(self.0 ^ word).wrapping_mul(FACTOR);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are folded")]
        let folded = (product >> 64) as u64 ^ product as u64;
        self.0 = folded.rotate_left(23).wrapping_add(word);
    }
}

impl Hasher for KeyHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last) ^ bytes.len() as u64);
    }

    #[inline]
    fn write_u8(&mut self, _: u8) {
        // What ends a text in a hash: its length is hashed already.
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
#[path = "aggregate_tests.rs"]
mod tests;
