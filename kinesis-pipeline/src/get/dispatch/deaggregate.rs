use std::{collections::VecDeque, time::SystemTime, vec};

use crate::{
    digest,
    record::EncodedRecord,
    service::{EncryptionType, StoredRecord},
    shard::{HashKeyRange, Position, SequenceNumber, ShardId},
    wire::{aggregate, frame},
};

/// A user record: what was put, and where it stands.
#[derive(Debug)]
pub(crate) struct UserRecord {
    pub(crate) position: Position,
    pub(crate) encoded: EncodedRecord,
    pub(crate) arrived_at: SystemTime,
    pub(crate) encryption_type: Option<EncryptionType>,
    /// Whether it is the last of its Kinesis record: then nothing of that is left to read.
    pub(crate) is_last: bool,
}

/// The part of a Kinesis record that was finished before: its user records up to this index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) sequence_number: SequenceNumber,
    pub(crate) sub_sequence_number: u64,
}

/// Gives out the user records of a page, those of an aggregate one by one.
#[derive(Debug)]
pub(crate) struct UserRecords {
    shard_id: ShardId,
    records: vec::IntoIter<StoredRecord>,
    /// Of the next records, whether each has the frame of an aggregate.
    framed: VecDeque<bool>,
    aggregate: Option<OpenAggregate>,
    finished: Option<Finished>,
    keeps_aggregates: bool,
    /// The shard's part of the key space, if it is known.
    range: Option<HashKeyRange>,
    drops_strays: bool,
    /// How many records of aggregates were outside of it.
    strays: u64,
    /// How many Kinesis records there are.
    count: usize,
    /// How many of these were aggregates that were opened, and how many user records they had.
    aggregates: usize,
    aggregated: usize,
    /// How many user records were finished before.
    skipped: usize,
}

/// An aggregate that is being given out.
#[derive(Debug)]
struct OpenAggregate {
    sequence_number: SequenceNumber,
    arrived_at: SystemTime,
    encryption_type: Option<EncryptionType>,
    /// Each with its sub-sequence number.
    records: vec::IntoIter<(u64, EncodedRecord)>,
}

impl UserRecords {
    /// `finished` is left out if the page begins with that Kinesis record.
    pub(crate) fn new(
        shard_id: ShardId,
        records: Vec<StoredRecord>,
        finished: Option<Finished>,
        keeps_aggregates: bool,
    ) -> Self {
        Self {
            shard_id,
            count: records.len(),
            records: records.into_iter(),
            framed: VecDeque::new(),
            aggregate: None,
            finished,
            keeps_aggregates,
            range: None,
            drops_strays: false,
            strays: 0,
            aggregates: 0,
            aggregated: 0,
            skipped: 0,
        }
    }

    /// Counts the records of aggregates that are outside of the shard's range, and drops them if wanted.
    pub(crate) fn within(mut self, range: Option<HashKeyRange>, drops_strays: bool) -> Self {
        self.range = range;
        self.drops_strays = drops_strays;
        self
    }

    /// How many records of aggregates were outside of the shard's range so far.
    pub(crate) fn strays(&self) -> u64 {
        self.strays
    }

    /// How many user records were given out so far.
    pub(crate) fn given(&self) -> u64 {
        let left = |aggregate: &OpenAggregate| aggregate.records.as_slice().len();
        let left = self.aggregate.as_ref().map_or(0, left);
        let begun = self.count - self.records.as_slice().len();
        let given = begun - self.aggregates + self.aggregated - left - self.skipped;
        given as u64
    }

    pub(crate) fn shard_id(&self) -> &ShardId {
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
        let mut records: Vec<_> = (0..).zip(aggregate.iter()).collect();
        if let Some(range) = self.range {
            let mut is_stray = aggregate.hash_keys().map(|key| !range.contains(key));
            if self.drops_strays {
                let all = records.len();
                records.retain(|_| !is_stray.next().unwrap_or(false));
                self.strays += (all - records.len()) as u64;
            } else {
                self.strays += is_stray.filter(|is_stray| *is_stray).count() as u64;
            }
        }
        self.aggregates += 1;
        self.aggregated += records.len();
        Some(OpenAggregate {
            sequence_number: stored.sequence_number.clone(),
            arrived_at: stored.arrived_at,
            encryption_type: stored.encryption_type,
            records: records.into_iter(),
        })
    }

    fn next_of_page(&mut self) -> Option<UserRecord> {
        if let Some(aggregate) = &mut self.aggregate {
            let record = aggregate.next(&self.shard_id);
            if record.as_ref().is_none_or(|record| record.is_last) {
                self.aggregate = None;
            }
            if record.is_some() {
                return record;
            }
        }
        let stored = self.records.next()?;
        self.aggregate = self.open(&stored);
        if self.aggregate.is_some() {
            return self.next_of_page();
        }
        Some(UserRecord {
            position: Position::new(self.shard_id.clone(), stored.sequence_number),
            encoded: EncodedRecord::new(stored.partition_key, stored.data),
            arrived_at: stored.arrived_at,
            encryption_type: stored.encryption_type,
            is_last: true,
        })
    }
}

impl Iterator for UserRecords {
    type Item = UserRecord;

    fn next(&mut self) -> Option<UserRecord> {
        loop {
            let record = self.next_of_page()?;
            match &self.finished {
                None => return Some(record),
                Some(finished) if finished.covers(&record.position) => self.skipped += 1,
                Some(_) => {
                    self.finished = None;
                    return Some(record);
                }
            }
        }
    }
}

impl Finished {
    fn covers(&self, position: &Position) -> bool {
        position.sequence_number == self.sequence_number
            && position.sub_sequence_number <= self.sub_sequence_number
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
            is_last: self.records.as_slice().is_empty(),
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::PartitionKey;

    fn key(text: &str) -> PartitionKey {
        PartitionKey::new(text).unwrap()
    }

    /// A Kinesis record with these many user records; a raw one for 0.
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
            // The page of an iterator at that number begins with its Kinesis record.
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

    #[test]
    fn aggregates_are_kept_whole_on_request() {
        let records = vec![stored(1, 3)];
        let kept: Vec<_> = UserRecords::new("s".into(), records, None, true).collect();
        assert_eq!((kept.len(), &kept[0].encoded.data), (1, &stored(1, 3).data));
    }
}
