//! Aggregates: many user records in the data of one Kinesis record, in the format of the Kinesis Producer
//! Library (KPL), which the Kinesis Client Library (KCL) and every other consumer library splits again. The guide has
//! a page on [when to use them](crate::guide::producing).
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

pub use super::view::{UserRecordView, UserRecordViews, UserRecords};
use super::{
    frame::{self, FRAME_BYTES, MAGIC, MD5_BYTES},
    java_text::java_text,
    key_table::KeyTable,
    protobuf::{Fields, Malformed, Value, put_bytes, put_varint},
    table::Table,
    user_record::{self, RECORDS, UserRecord},
};
use crate::{
    digest::{self, Digest},
    prefetch::Touched,
    record::{Encoded, EncodedRecord, PartitionKey},
    shard::{HashKey, HashKeyRange},
};

const PARTITION_KEY_TABLE: u8 = 1;
const EXPLICIT_HASH_KEY_TABLE: u8 = 2;
/// The field of this library that counts redrives. Other readers skip it, as protobuf readers skip unknown fields.
const REDRIVES: u8 = 100;
/// The largest size of the field, in bytes.
pub(crate) const REDRIVES_BYTES_MAX: usize = 7;

/// The largest size of an index, in bytes: an aggregate has fewer than 2^28 records.
const INDEX_BYTES_MAX: usize = 4;
/// The largest size of a length, in bytes: a record has less than 256 MiB.
const LENGTH_BYTES_MAX: usize = 4;

/// The number of partition keys that are hashed at a time: enough to fill the SIMD lanes of the digest.
const HASHED_KEYS_MAX: usize = 256;

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

/// A checked aggregate. It shares the bytes of the Kinesis record.
///
/// Its records are decoded as they are iterated: a list of them would take many times the bytes of tiny records.
#[derive(Clone, Debug)]
pub struct Aggregate {
    data: Bytes,
    partition_keys: Table<PartitionKey>,
    hash_keys: Table<Option<HashKey>>,
    len: usize,
    redrives: u32,
}

/// Checks whether the data of a Kinesis record is an aggregate.
///
/// Returns `None` if the magic bytes, the MD5 or the protobuf is wrong, or if there is no record in it: then the data
/// is one plain record. No data is copied. Memory is bounded by the size of the data, whatever lengths it claims. In a
/// partition key that is not UTF-8, invalid bytes become U+FFFD, as in the readers in Java.
#[must_use]
pub fn split(data: &Bytes) -> Option<Aggregate> {
    let (body, checksum) = frame::body_and_checksum(data)?;
    (digest::of(body)[..] == *checksum).then_some(())?;
    Aggregate::read(data).ok()
}

/// Checks whether each of these is an aggregate, as [`split`] does.
///
/// Their MD5s are computed side by side (SIMD): eight of like size take as long as two or three. The result of each is at
/// its place. The key tables of all are in memory at once.
///
/// ```
/// # use kinesis_pipeline::{EncodedRecord, PartitionKey, wire::aggregate};
/// # let mut writer = aggregate::Writer::new();
/// # writer.push(&EncodedRecord::new(PartitionKey::new("key")?, "data".into()));
/// # let page = vec![writer.finish(), "a plain record".into()];
/// let aggregates = aggregate::split_each(&page);
/// for (data, aggregate) in page.iter().zip(aggregates) {
///     match aggregate {
///         Some(aggregate) => println!("an aggregate of {} records", aggregate.len()),
///         None => println!("a plain record of {} bytes", data.len()),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn split_each<'a>(datas: impl IntoIterator<Item = &'a Bytes>) -> Vec<Option<Aggregate>> {
    let datas: Vec<_> = datas.into_iter().collect();
    let framed = frame::are_framed(datas.iter().copied()).into_iter();
    let each = datas.into_iter().zip(framed);
    each.map(|(data, is_framed)| is_framed.then(|| split_framed(data)).flatten())
        .collect()
}

/// Splits data for which [`are_framed`](frame::are_framed) was true, without checking the MD5 again.
pub(crate) fn split_framed(data: &Bytes) -> Option<Aggregate> {
    Aggregate::read(data).ok()
}

impl Aggregate {
    fn read(data: &Bytes) -> Result<Self, Malformed> {
        let mut aggregate = Self {
            data: data.clone(),
            partition_keys: Table::new(),
            hash_keys: Table::new(),
            len: 0,
            redrives: 0,
        };
        // The tables may stand behind the records, so their lengths are checked at the end.
        let (mut keys, mut hash_keys) = (0, 0);
        let mut fields = fields(data);
        while let Some((field, value)) = fields.next_likely(RECORDS)? {
            match (u8::try_from(field), value) {
                (Ok(RECORDS), Value::Bytes { start, end }) => {
                    let record = UserRecord::read(data, start, end)?;
                    keys = keys.max(record.keys());
                    hash_keys = hash_keys.max(record.hash_keys());
                    aggregate.len += 1;
                }
                (Ok(PARTITION_KEY_TABLE), Value::Bytes { start, end }) => {
                    let make = || partition_key(&data[start..end]);
                    aggregate.partition_keys.push(data.len(), make);
                }
                (Ok(EXPLICIT_HASH_KEY_TABLE), Value::Bytes { start, end }) => {
                    let make = || hash_key(&data[start..end]);
                    aggregate.hash_keys.push(data.len(), make);
                }
                (Ok(PARTITION_KEY_TABLE | EXPLICIT_HASH_KEY_TABLE | RECORDS), _) => {
                    return Err(Malformed);
                }
                (Ok(REDRIVES), Value::Varint(count)) => {
                    aggregate.redrives = u32::try_from(count).unwrap_or(u32::MAX);
                }
                // A field of a later version.
                _ => {}
            }
        }
        let is_whole = aggregate.len > 0
            && keys <= aggregate.partition_keys.len()
            && hash_keys <= aggregate.hash_keys.len();
        is_whole.then_some(()).ok_or(Malformed)?;
        aggregate.finish_tables()?;
        Ok(aggregate)
    }

    fn finish_tables(&mut self) -> Result<(), Malformed> {
        let (keys, hash_keys, data) = (&mut self.partition_keys, &mut self.hash_keys, &self.data);
        keys.finish(PARTITION_KEY_TABLE, data, fields(data), partition_key)?;
        hash_keys.finish(EXPLICIT_HASH_KEY_TABLE, data, fields(data), hash_key)
    }

    /// Returns the number of user records, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an aggregate is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns the number of times that the records were put back after they could not be processed.
    pub(crate) fn redrives(&self) -> u32 {
        self.redrives
    }

    /// Returns the user records in their order. The index of each is its sub-sequence number.
    ///
    /// Each shares the bytes of the aggregate, and keeps all of them in memory.
    #[must_use]
    pub fn iter(&self) -> UserRecords<'_> {
        UserRecords::new(self)
    }

    /// Returns views of the user records, in their order. The index of each is its sub-sequence number.
    ///
    /// A view copies nothing and counts no reference: use it for records that are read and not kept.
    ///
    /// ```
    /// # use kinesis_pipeline::{EncodedRecord, PartitionKey, wire::aggregate};
    /// # let mut writer = aggregate::Writer::new();
    /// # writer.push(&EncodedRecord::new(PartitionKey::new("device-1")?, "21.5".into()));
    /// # let stored = writer.finish();
    /// let aggregate = aggregate::split(&stored).expect("an aggregate");
    /// let mut of_device = aggregate.views().filter(|view| view.partition_key() == "device-1");
    /// assert_eq!(of_device.next().map(|view| view.data()), Some(&b"21.5"[..]));
    /// # Ok::<(), kinesis_pipeline::KeyError>(())
    /// ```
    #[must_use]
    pub fn views(&self) -> UserRecordViews<'_> {
        UserRecordViews::new(self)
    }

    #[inline]
    pub(super) fn view(&self, read: UserRecord) -> UserRecordView<'_> {
        UserRecordView::new(self, read)
    }

    /// Returns for each partition key whether its hash key is outside of the range. A key is hashed once, however many
    /// records have it.
    pub(super) fn keys_outside(&self, range: HashKeyRange) -> Vec<bool> {
        let mut are_outside = Vec::with_capacity(self.partition_keys.len());
        let mut keys = self.partition_keys.iter(&self.data, partition_key);
        loop {
            let some: Vec<_> = keys.by_ref().take(HASHED_KEYS_MAX).collect();
            if some.is_empty() {
                return are_outside;
            }
            let some: Vec<_> = some.iter().map(|key| key.as_bytes()).collect();
            let is_outside = |digest| !range.contains(HashKey::of_digest(digest));
            are_outside.extend(digest::of_each(&some).into_iter().map(is_outside));
        }
    }

    #[inline]
    pub(super) fn hash_key(&self, read: &UserRecord) -> Option<HashKey> {
        let index = read.hash_key?;
        self.hash_keys.get(&self.data, index, hash_key).flatten()
    }

    #[inline]
    pub(super) fn partition_key(&self, read: &UserRecord) -> Option<PartitionKey> {
        self.partition_keys.get(&self.data, read.key, partition_key)
    }

    #[inline]
    pub(super) fn data(&self, read: &UserRecord) -> &[u8] {
        &self.data[read.start as usize..read.end as usize]
    }

    #[inline]
    pub(super) fn shared_data(&self, read: &UserRecord) -> Bytes {
        self.data.slice(read.start as usize..read.end as usize)
    }
}

/// Returns the fields of an aggregate.
fn fields(data: &[u8]) -> Fields<'_> {
    Fields::new(data, MAGIC.len(), data.len() - MD5_BYTES)
}

/// A cursor over the records of an aggregate.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    at: usize,
    left: usize,
}

impl Cursor {
    pub(super) fn new(aggregate: &Aggregate) -> Self {
        Self {
            at: MAGIC.len(),
            left: aggregate.len,
        }
    }

    /// Returns the number of records that are left.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Returns the next record of the aggregate that the cursor was made for.
    #[inline]
    pub(super) fn next(&mut self, aggregate: &Aggregate) -> Option<UserRecord> {
        let data = &aggregate.data;
        let mut fields = Fields::new(data, self.at, data.len() - MD5_BYTES);
        while self.left > 0 {
            // The whole aggregate was read without an error by `split`.
            if let (field, Value::Bytes { start, end }) = fields.next_likely(RECORDS).ok()??
                && field == u64::from(RECORDS)
            {
                self.at = end;
                self.left -= 1;
                return UserRecord::read(data, start, end).ok();
            }
        }
        None
    }
}

fn partition_key(text: &[u8]) -> PartitionKey {
    PartitionKey::stored(java_text(text))
}

/// Reads an explicit hash key; `None` if it is no number. The record is kept then: readers need no hash key of it.
fn hash_key(text: &[u8]) -> Option<HashKey> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().map(HashKey::new)
}

#[cfg(test)]
#[path = "aggregate_tests.rs"]
mod tests;
