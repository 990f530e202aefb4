//! The records of an aggregate as the reader of a shard returns them.

use super::{aggregate::Aggregate, user_record::UserRecord, view::Cursor};
use crate::{record::EncodedRecord, shard::HashKeyRange};

/// An iterator over the user records of an aggregate.
///
/// It counts strays, which are records whose keys do not belong to the shard, and drops them on request.
#[derive(Debug)]
pub(crate) struct ShardRecords {
    aggregate: Aggregate,
    cursor: Cursor,
    /// The next record with its sub-sequence number; `None` at the end. It is read ahead, so that the last record is known
    /// as such.
    next: Option<(u64, UserRecord)>,
    index: u64,
    shard: Option<ShardKeys>,
    drops_strays: bool,
    strays: u64,
}

/// The hash keys of the shard.
#[derive(Debug)]
struct ShardKeys {
    range: HashKeyRange,
    /// For each partition key of the aggregate, whether it does not belong to the shard.
    keys_outside: Vec<bool>,
}

impl ShardRecords {
    /// Makes the iterator. Without a `range` there are no strays.
    pub(crate) fn new(
        aggregate: Aggregate,
        range: Option<HashKeyRange>,
        drops_strays: bool,
    ) -> Self {
        let keys = |range| ShardKeys {
            range,
            keys_outside: aggregate.keys_outside(range),
        };
        let mut records = Self {
            shard: range.map(keys),
            cursor: Cursor::new(&aggregate),
            aggregate,
            next: None,
            index: 0,
            drops_strays,
            strays: 0,
        };
        records.next = records.look();
        records
    }

    /// Whether no record is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.next.is_none()
    }

    /// Returns the number of times that the records were put back after they could not be processed.
    pub(crate) fn redrives(&self) -> u32 {
        self.aggregate.redrives()
    }

    /// Returns the number of strays since the last call.
    pub(crate) fn take_strays(&mut self) -> u64 {
        std::mem::take(&mut self.strays)
    }

    /// Reads ahead to the next record that is not dropped.
    fn look(&mut self) -> Option<(u64, UserRecord)> {
        loop {
            let record = self.cursor.next(&self.aggregate)?;
            let index = self.index;
            self.index += 1;
            let is_stray = self.is_stray(&record);
            self.strays += u64::from(is_stray);
            if !(is_stray && self.drops_strays) {
                return Some((index, record));
            }
        }
    }

    fn is_stray(&self, record: &UserRecord) -> bool {
        let Some(shard) = &self.shard else {
            return false;
        };
        match self.aggregate.hash_key(record) {
            Some(explicit) => !shard.range.contains(explicit),
            None => shard
                .keys_outside
                .get(record.key as usize)
                .is_some_and(|is_outside| *is_outside),
        }
    }
}

impl Iterator for ShardRecords {
    type Item = (u64, EncodedRecord);

    /// Returns the next record and its sub-sequence number.
    #[inline]
    fn next(&mut self) -> Option<(u64, EncodedRecord)> {
        let (index, read) = self.next.take()?;
        self.next = self.look();
        Some((index, self.aggregate.view(read).to_encoded()))
    }
}
