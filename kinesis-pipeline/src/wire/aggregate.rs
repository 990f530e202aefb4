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

use bytes::Bytes;

pub(crate) use super::writer::encoded_bytes_max;
use super::{
    frame::{self, MAGIC, MD5_BYTES},
    java_text::java_text,
    protobuf::{Fields, Malformed, Value},
    table::Table,
    user_record::{RECORDS, UserRecord},
};
pub use super::{
    view::{UserRecordView, UserRecordViews, UserRecords},
    writer::{Writer, empty_bytes, record_bytes_max},
};
use crate::{
    digest,
    record::PartitionKey,
    shard::{HashKey, HashKeyRange},
};

pub(super) const PARTITION_KEY_TABLE: u8 = 1;
pub(super) const EXPLICIT_HASH_KEY_TABLE: u8 = 2;
/// The field of this library that counts redrives. Other readers skip it, as protobuf readers skip unknown fields.
pub(super) const REDRIVES: u8 = 100;
/// The largest size of the field, in bytes.
pub(crate) const REDRIVES_BYTES_MAX: usize = 7;

/// The number of partition keys that are hashed at a time: enough to fill the SIMD lanes of the digest.
const HASHED_KEYS_MAX: usize = 256;

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

    /// Returns the bytes, and their fields from this offset on.
    #[inline]
    pub(super) fn fields_from(&self, at: usize) -> (&[u8], Fields<'_>) {
        let data = &self.data[..];
        (data, Fields::new(data, at, data.len() - MD5_BYTES))
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
