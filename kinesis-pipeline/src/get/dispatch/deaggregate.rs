use std::{collections::VecDeque, time::SystemTime, vec};

use bytes::Bytes;

use crate::{
    digest,
    record::EncodedRecord,
    service::{EncryptionType, StoredRecord},
    shard::{HashKeyRange, Position, SequenceNumber, ShardId},
    wire::{aggregate, frame, shard_records::ShardRecords},
};

/// A user record as it was put, with its position.
#[derive(Debug)]
pub(crate) struct UserRecord {
    pub(crate) position: Position,
    pub(crate) encoded: EncodedRecord,
    pub(crate) arrived_at: SystemTime,
    pub(crate) encryption_type: Option<EncryptionType>,
    /// The number of times that it was put back after it could not be processed.
    pub(crate) redrives: u32,
    /// Whether it is the last one of its Kinesis record.
    pub(super) is_last: bool,
    /// Whether it is a Kinesis record as it was stored: a plain record, or an aggregate that is kept.
    is_whole: bool,
}

/// The part of a Kinesis record that was finished before this reader: its user records up to this index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::get) struct Finished {
    pub(in crate::get) sequence_number: SequenceNumber,
    pub(in crate::get) sub_sequence_number: u64,
}

/// An iterator over the user records of a page, those of an aggregate one by one.
#[derive(Debug)]
pub(in crate::get) struct UserRecords {
    shard_id: ShardId,
    records: vec::IntoIter<StoredRecord>,
    /// Whether each of the next records has the frame of an aggregate. Checked for several records side by side.
    framed: VecDeque<bool>,
    aggregate: Option<OpenAggregate>,
    finished: Option<Finished>,
    keeps_aggregates: bool,
    /// The shard's part of the key space, if it is known.
    range: Option<HashKeyRange>,
    drops_strays: bool,
    /// The number of strays: records of aggregates outside of that part.
    strays: u64,
    /// The number of user records given out.
    given: u64,
}

/// An aggregate whose records are being given out.
#[derive(Debug)]
struct OpenAggregate {
    sequence_number: SequenceNumber,
    arrived_at: SystemTime,
    encryption_type: Option<EncryptionType>,
    records: ShardRecords,
}

impl UserRecords {
    /// Makes the iterator. It skips the `finished` part if the page begins with that Kinesis record.
    pub(in crate::get) fn new(
        shard_id: ShardId,
        records: Vec<StoredRecord>,
        finished: Option<Finished>,
        keeps_aggregates: bool,
    ) -> Self {
        Self {
            shard_id,
            records: records.into_iter(),
            framed: VecDeque::new(),
            aggregate: None,
            finished,
            keeps_aggregates,
            range: None,
            drops_strays: false,
            strays: 0,
            given: 0,
        }
    }

    /// Counts the strays: records of aggregates outside of the shard's range. Drops them if wanted.
    pub(in crate::get) fn within(
        mut self,
        range: Option<HashKeyRange>,
        drops_strays: bool,
    ) -> Self {
        self.range = range;
        self.drops_strays = drops_strays;
        self
    }

    /// Returns the number of strays so far.
    pub(super) fn strays(&self) -> u64 {
        self.strays
    }

    /// Returns the number of user records given out so far.
    pub(in crate::get) fn given(&self) -> u64 {
        self.given
    }

    pub(in crate::get) fn shard_id(&self) -> &ShardId {
        &self.shard_id
    }

    fn open(&mut self, stored: &StoredRecord) -> Option<OpenAggregate> {
        if self.keeps_aggregates {
            return None;
        }
        if self.framed.is_empty() {
            let ahead = self.records.as_slice().iter().take(digest::LANES - 1);
            let datas = std::iter::once(stored).chain(ahead);
            self.framed = frame::are_framed(datas.map(|stored| &stored.data)).into();
        }
        self.framed.pop_front().filter(|framed| *framed)?;
        let aggregate = aggregate::split_framed(&stored.data)?;
        Some(OpenAggregate {
            sequence_number: stored.sequence_number.clone(),
            arrived_at: stored.arrived_at,
            encryption_type: stored.encryption_type,
            records: ShardRecords::new(aggregate, self.range, self.drops_strays),
        })
    }

    fn next_of_page(&mut self) -> Option<UserRecord> {
        loop {
            if let Some(record) = self.next_of_aggregate() {
                return Some(record);
            }
            let stored = self.records.next()?;
            // The next round skips one without records.
            self.aggregate = self.open(&stored);
            if self.aggregate.is_some() {
                continue;
            }
            return Some(UserRecord {
                position: Position::new(self.shard_id.clone(), stored.sequence_number),
                encoded: EncodedRecord::new(stored.partition_key, stored.data),
                arrived_at: stored.arrived_at,
                encryption_type: stored.encryption_type,
                redrives: 0,
                is_last: true,
                is_whole: true,
            });
        }
    }

    /// Returns the next record of the open aggregate, and drops the aggregate once it has none left.
    fn next_of_aggregate(&mut self) -> Option<UserRecord> {
        let aggregate = self.aggregate.as_mut()?;
        let record = aggregate.next(&self.shard_id);
        self.strays += aggregate.records.take_strays();
        if aggregate.records.is_empty() {
            self.aggregate = None;
        }
        record
    }
}

impl UserRecord {
    /// Returns a copy without the record's bytes, which would cost a reference count.
    pub(crate) fn without_data(&self) -> Self {
        Self {
            position: self.position.clone(),
            encoded: EncodedRecord {
                data: Bytes::new(),
                partition_key: self.encoded.partition_key.clone(),
                explicit_hash_key: self.encoded.explicit_hash_key,
            },
            arrived_at: self.arrived_at,
            encryption_type: self.encryption_type,
            redrives: self.redrives,
            is_last: self.is_last,
            is_whole: self.is_whole,
        }
    }
}

impl Iterator for UserRecords {
    type Item = UserRecord;

    fn next(&mut self) -> Option<UserRecord> {
        loop {
            let record = self.next_of_page()?;
            if let Some(finished) = &self.finished {
                if finished.covers(&record) {
                    continue;
                }
                self.finished = None;
            }
            self.given += 1;
            return Some(record);
        }
    }
}

impl Finished {
    /// Whether the record was finished before. An aggregate that is kept whole counts as finished only if its last record
    /// is: there is no smaller part to go on with.
    fn covers(&self, record: &UserRecord) -> bool {
        record.position.sequence_number == self.sequence_number
            && record.position.sub_sequence_number <= self.sub_sequence_number
            && !(record.is_whole && self.is_part_of(&record.encoded.data))
    }

    /// Whether this is an aggregate with more records than the finished ones.
    fn is_part_of(&self, data: &Bytes) -> bool {
        aggregate::split(data)
            .is_some_and(|aggregate| aggregate.len() as u64 - 1 > self.sub_sequence_number)
    }
}

impl OpenAggregate {
    fn next(&mut self, shard_id: &ShardId) -> Option<UserRecord> {
        let (index, encoded) = self.records.next()?;
        let position = Position::new(shard_id.clone(), self.sequence_number.clone());
        Some(UserRecord {
            position: position.at_sub_sequence_number(index),
            encoded,
            arrived_at: self.arrived_at,
            encryption_type: self.encryption_type,
            redrives: self.records.redrives(),
            is_last: self.records.is_empty(),
            is_whole: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PartitionKey;

    fn key(text: &str) -> PartitionKey {
        PartitionKey::new(text).unwrap()
    }

    /// Makes a Kinesis record with this number of user records; a plain one for 0.
    fn stored(number: u128, users: usize) -> StoredRecord {
        let mut writer = aggregate::Writer::new();
        for user in 0..users {
            writer.push(&EncodedRecord::new(
                key("k"),
                Bytes::from(format!("{number}.{user}")),
            ));
        }
        let data = if users == 0 {
            Bytes::from(format!("{number}.0"))
        } else {
            writer.finish()
        };
        StoredRecord::new(number.into(), SystemTime::UNIX_EPOCH, data, key("a"))
    }

    fn split(sizes: &[usize], finished: Option<Finished>) -> Vec<UserRecord> {
        let records = (1..)
            .zip(sizes)
            .map(|(number, users)| stored(number, *users))
            .collect();
        UserRecords::new("s".into(), records, finished, false).collect()
    }

    proptest! {
        #[test]
        fn raw_records_and_aggregates_come_out_in_order_with_their_positions(
            sizes in prop::collection::vec(0_usize..5, 0..10),
        ) {
            let all = split(&sizes, None);
            prop_assert_eq!(all.len(), sizes.iter().map(|users| (*users).max(1)).sum::<usize>());
            prop_assert!(all.is_sorted_by(|a, b| a.position < b.position));
            for record in &all {
                let Position { sequence_number, sub_sequence_number, .. } = &record.position;
                let text = format!("{sequence_number}.{sub_sequence_number}");
                prop_assert_eq!(&record.encoded.data, text.as_bytes());
            }
            prop_assert_eq!(all.iter().filter(|record| record.is_last).count(), sizes.len());
        }

        #[test]
        fn going_on_inside_an_aggregate_gives_the_rest_of_it_only(
            sizes in prop::collection::vec(0_usize..5, 1..10),
            after in any::<prop::sample::Index>(),
        ) {
            let all = split(&sizes, None);
            let index = after.index(all.len());
            let Position { sequence_number, sub_sequence_number, .. } = all[index].position.clone();
            // The page of an iterator at that number begins with that Kinesis record.
            let skipped = all.iter().filter(|record| {
                record.is_last && record.position.sequence_number < sequence_number
            }).count();
            let records = (1..).zip(&sizes).skip(skipped).map(|(number, users)| stored(number, *users)).collect();
            let finished = Some(Finished { sequence_number, sub_sequence_number });
            let mut records = UserRecords::new("s".into(), records, finished, false);
            let mut rest = Vec::new();
            while let Some(record) = records.next() {
                rest.push(record.position);
                prop_assert_eq!(records.given(), rest.len() as u64);
            }
            prop_assert_eq!(records.given(), rest.len() as u64);
            let expected: Vec<_> = all[index + 1..].iter().map(|record| record.position.clone()).collect();
            prop_assert_eq!(rest, expected);
        }
    }

    #[test]
    fn records_outside_of_the_shard_are_counted_and_dropped_on_request() {
        let inside = HashKeyRange {
            start: crate::HashKey::of_partition_key(&key("k")),
            end: crate::HashKey::of_partition_key(&key("k")),
        };
        let mut writer = aggregate::Writer::new();
        for name in ["stray", "k", "stray", "k"] {
            writer.push(&EncodedRecord::new(key(name), Bytes::new()));
        }
        let data = writer.finish();
        let page = |data: &Bytes| {
            let number = 1_u128.into();
            let stored = StoredRecord::new(number, SystemTime::UNIX_EPOCH, data.clone(), key("a"));
            UserRecords::new("s".into(), vec![stored], None, false)
        };
        for (drops, expected) in [(false, vec![0, 1, 2, 3]), (true, vec![1, 3])] {
            let mut records = page(&data).within(Some(inside), drops);
            let given: Vec<_> = records.by_ref().collect();
            let numbers = given
                .iter()
                .map(|record| record.position.sub_sequence_number);
            assert_eq!(numbers.collect::<Vec<_>>(), expected);
            assert!(given.last().is_some_and(|record| record.is_last));
            assert_eq!(records.strays(), 2);
            assert_eq!(records.given(), given.len() as u64);
        }
    }

    /// Makes a Kinesis record whose only user record belongs to the last point of the key space.
    fn stray(number: u128) -> StoredRecord {
        let mut record = EncodedRecord::new(key("k"), Bytes::new());
        record.explicit_hash_key = Some(crate::HashKey::MAX);
        let mut writer = aggregate::Writer::new();
        writer.push(&record);
        StoredRecord::new(
            number.into(),
            SystemTime::UNIX_EPOCH,
            writer.finish(),
            key("a"),
        )
    }

    #[test]
    fn aggregates_with_nothing_left_to_give_are_passed_over_on_a_small_stack() {
        const STACK_BYTES: usize = 256 * 1024;
        const AGGREGATES: u128 = 20_000;
        let mut records: Vec<_> = (1..=AGGREGATES).map(stray).collect();
        records.push(stored(AGGREGATES + 1, 0));
        let range = HashKeyRange {
            start: crate::HashKey::MIN,
            end: crate::HashKey::new(1),
        };
        let read = move || {
            let page = UserRecords::new("s".into(), records, None, false);
            let mut page = page.within(Some(range), true);
            let given: Vec<_> = page.by_ref().map(|record| record.position).collect();
            (given, page.strays(), page.given())
        };
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let (given, strays, count) = thread.spawn(read).unwrap().join().unwrap();
        assert_eq!(given, [Position::new("s".into(), (AGGREGATES + 1).into())]);
        assert_eq!((u128::from(strays), count), (AGGREGATES, 1));
    }

    #[test]
    fn an_explicit_hash_key_decides_before_the_partition_key_whose_record_is_a_stray() {
        let of_key = crate::HashKey::of_partition_key(&key("k"));
        let range = |start, end| Some(HashKeyRange { start, end });
        let strays = |range| {
            let mut page = UserRecords::new("s".into(), vec![stray(1)], None, false);
            page = page.within(range, false);
            assert_eq!(page.by_ref().count(), 1);
            page.strays()
        };
        assert_eq!(strays(range(of_key, of_key)), 1);
        assert_eq!(strays(range(crate::HashKey::MAX, crate::HashKey::MAX)), 0);
        assert_eq!(strays(None), 0);
    }

    #[test]
    fn a_kept_aggregate_that_was_finished_in_part_is_given_out_again() {
        let kept = |users: usize, sub_sequence_number| {
            let finished = Finished {
                sequence_number: 1.into(),
                sub_sequence_number,
            };
            let records = vec![stored(1, users), stored(2, 3)];
            let records = UserRecords::new("s".into(), records, Some(finished), true);
            let given: Vec<_> = records
                .map(|record| record.position.sequence_number)
                .collect();
            given
        };
        let both: [SequenceNumber; 2] = [1.into(), 2.into()];
        assert_eq!(kept(10, 0), both);
        assert_eq!(kept(10, 2), both);
        assert_eq!(kept(10, 8), both);
        assert_eq!(kept(10, 9), both[1..]);
        assert_eq!(kept(1, 0), both[1..]);
        assert_eq!(kept(0, 0), both[1..], "no aggregate");
    }

    #[test]
    fn aggregates_are_kept_whole_on_request() {
        let records = vec![stored(1, 3)];
        let kept: Vec<_> = UserRecords::new("s".into(), records, None, true).collect();
        assert_eq!((kept.len(), &kept[0].encoded.data), (1, &stored(1, 3).data));
    }
}
