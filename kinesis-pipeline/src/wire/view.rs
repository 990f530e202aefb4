//! User records where they lie in their aggregate.

use std::{fmt, iter::FusedIterator};

use super::{
    aggregate::Aggregate,
    frame::MAGIC,
    protobuf::Value,
    user_record::{RECORDS, UserRecord},
};
use crate::{
    record::{EncodedRecord, PartitionKey},
    shard::HashKey,
};

/// A user record where it lies in its aggregate. Making one copies nothing and allocates nothing.
#[derive(Clone, Copy)]
pub struct UserRecordView<'a> {
    aggregate: &'a Aggregate,
    read: UserRecord,
}

impl<'a> UserRecordView<'a> {
    #[inline]
    pub(super) fn new(aggregate: &'a Aggregate, read: UserRecord) -> Self {
        Self { aggregate, read }
    }

    /// Returns the data.
    #[inline]
    #[must_use]
    pub fn data(self) -> &'a [u8] {
        self.aggregate.data(&self.read)
    }

    /// Returns the partition key: a key of up to 23 bytes is copied, a longer one is shared.
    ///
    /// It is as it was stored, so it may be empty or longer than the service takes.
    #[inline]
    #[must_use]
    pub fn partition_key(self) -> PartitionKey {
        let key = self.aggregate.partition_key(&self.read);
        // Each record's index was compared with the length of the table when the aggregate was checked.
        key.unwrap_or(PartitionKey::known(""))
    }

    /// Returns the explicit hash key; `None` if the record has none, or one that is no number below 2^128.
    #[inline]
    #[must_use]
    pub fn explicit_hash_key(self) -> Option<HashKey> {
        self.aggregate.hash_key(&self.read)
    }

    /// Returns the record as one to keep. It shares the bytes of the aggregate, and keeps all of them in memory.
    #[inline]
    #[must_use]
    pub fn to_encoded(self) -> EncodedRecord {
        EncodedRecord {
            data: self.aggregate.shared_data(&self.read),
            partition_key: self.partition_key(),
            explicit_hash_key: self.explicit_hash_key(),
        }
    }
}

impl fmt::Debug for UserRecordView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRecordView")
            .field("data", &format_args!("b\"{}\"", self.data().escape_ascii()))
            .field("partition_key", &self.partition_key())
            .field("explicit_hash_key", &self.explicit_hash_key())
            .finish()
    }
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
            left: aggregate.len(),
        }
    }

    /// Returns the next record of the aggregate that the cursor was made for.
    #[inline]
    pub(super) fn next(&mut self, aggregate: &Aggregate) -> Option<UserRecord> {
        let (data, mut fields) = aggregate.fields_from(self.at);
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

/// An iterator over the user records of an aggregate where they lie, in their order.
#[derive(Clone, Debug)]
pub struct UserRecordViews<'a> {
    aggregate: &'a Aggregate,
    cursor: Cursor,
}

impl<'a> UserRecordViews<'a> {
    pub(super) fn new(aggregate: &'a Aggregate) -> Self {
        Self {
            aggregate,
            cursor: Cursor::new(aggregate),
        }
    }
}

impl<'a> Iterator for UserRecordViews<'a> {
    type Item = UserRecordView<'a>;

    #[inline]
    fn next(&mut self) -> Option<UserRecordView<'a>> {
        let read = self.cursor.next(self.aggregate)?;
        Some(self.aggregate.view(read))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.cursor.left, Some(self.cursor.left))
    }
}

impl ExactSizeIterator for UserRecordViews<'_> {}
impl FusedIterator for UserRecordViews<'_> {}

/// An iterator over the user records of an aggregate, in their order.
#[derive(Clone, Debug)]
pub struct UserRecords<'a>(UserRecordViews<'a>);

impl<'a> UserRecords<'a> {
    pub(super) fn new(aggregate: &'a Aggregate) -> Self {
        Self(UserRecordViews::new(aggregate))
    }
}

impl Iterator for UserRecords<'_> {
    type Item = EncodedRecord;

    #[inline]
    fn next(&mut self) -> Option<EncodedRecord> {
        self.0.next().map(UserRecordView::to_encoded)
    }

    /// Passes over records without making them.
    fn nth(&mut self, n: usize) -> Option<EncodedRecord> {
        self.0.nth(n).map(UserRecordView::to_encoded)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for UserRecords<'_> {}
impl FusedIterator for UserRecords<'_> {}

impl<'a> IntoIterator for &'a Aggregate {
    type Item = EncodedRecord;
    type IntoIter = UserRecords<'a>;

    fn into_iter(self) -> UserRecords<'a> {
        self.iter()
    }
}
