//! The shards and their records.

use super::*;

impl State {
    pub(super) fn add_even_shards(&mut self, count: usize) {
        let width = u128::MAX / (count.max(1) as u128);
        for number in 0..count as u128 {
            let is_last = number + 1 == count as u128;
            let end = if is_last {
                u128::MAX
            } else {
                (number + 1) * width - 1
            };
            let range = HashKeyRange::new((number * width).into(), end.into());
            self.add_shard(&[], range);
        }
    }

    pub(super) fn range(&self, shard: usize) -> HashKeyRange {
        self.shards[shard].shard.hash_key_range
    }

    pub(super) fn add_shard(&mut self, parents: &[usize], range: HashKeyRange) -> usize {
        let id = |number: usize| ShardId::from(format!("shardId-{number:012}"));
        let number = self.shards.len();
        let mut shard = Shard::new(id(number), range, (self.last_number + 1).into());
        shard.parent_id = parents.first().copied().map(id);
        shard.adjacent_parent_id = parents.get(1).copied().map(id);
        self.shards.push(TestShard {
            shard,
            horizon: 0,
            is_forgotten: false,
            records: Vec::new(),
        });
        number
    }

    pub(super) fn close(&mut self, shard: usize) {
        assert!(self.shards[shard].shard.is_open(), "{shard} is closed");
        self.shards[shard].shard.ending_sequence_number = Some(self.last_number.into());
    }

    pub(super) fn put(&mut self, shard: usize, data: Bytes, now: SystemTime) -> SequenceNumber {
        assert!(self.shards[shard].shard.is_open(), "{shard} is closed");
        self.last_number += 1;
        let number = SequenceNumber::from(self.last_number);
        let key = PartitionKey::new(format!("key-{shard}")).unwrap();
        let record = StoredRecord::new(number.clone(), now, data, key);
        self.shards[shard].records.push(record);
        number
    }

    pub(super) fn next_fault(&mut self, key: (&'static str, usize)) -> Option<&'static str> {
        let fault = self.faults.get_mut(&key).filter(|fault| fault.times > 0)?;
        fault.times -= 1;
        Some(fault.code)
    }

    pub(super) fn number_of(&self, id: &ShardId) -> Option<usize> {
        self.shards.iter().position(|shard| shard.shard.id == *id)
    }

    pub(super) fn iterator(&mut self, place: Place) -> ShardIterator {
        self.iterators.push(place);
        ShardIterator::from((self.iterators.len() - 1).to_string())
    }

    pub(super) fn index_of(
        &self,
        shard: usize,
        start: &IteratorStart,
        now: SystemTime,
    ) -> Option<usize> {
        let (records, horizon) = (&self.shards[shard].records, self.shards[shard].horizon);
        let first = |is_reached: &dyn Fn(&StoredRecord) -> bool| {
            records.iter().position(is_reached).unwrap_or(records.len())
        };
        let is_known = |number: &SequenceNumber| {
            let known = if self.moves_expired_places {
                0
            } else {
                horizon
            };
            records[known..]
                .iter()
                .any(|record| record.sequence_number == *number)
        };
        let index = match start {
            IteratorStart::TrimHorizon => Some(self.shards[shard].horizon),
            IteratorStart::Latest => Some(records.len()),
            IteratorStart::AtTimestamp(time) if *time > now => None,
            IteratorStart::AtTimestamp(time) => Some(first(&|record| record.arrived_at >= *time)),
            IteratorStart::AtSequenceNumber(number) => {
                is_known(number).then(|| first(&|record| record.sequence_number >= *number))
            }
            IteratorStart::AfterSequenceNumber(number) => {
                is_known(number).then(|| first(&|record| record.sequence_number > *number))
            }
        };
        index.map(|index| index.max(horizon))
    }

    pub(super) fn page(
        &mut self,
        place: Place,
        limit: usize,
        now: SystemTime,
        at: Instant,
    ) -> RecordPage {
        let shard = &self.shards[place.shard];
        let end = shard.records.len().min(place.index + limit);
        let is_hidden = self.hides_end_of_full_pages && end > place.index;
        let is_last = !shard.shard.is_open() && end == shard.records.len() && !is_hidden;
        let behind = match shard.records.get(end) {
            Some(next) => now.duration_since(next.arrived_at).unwrap() + Duration::from_millis(1),
            None => Duration::ZERO,
        };
        let mut page = RecordPage {
            records: shard.records[place.index..end].to_vec(),
            behind_latest: (!self.hides_behind_latest).then_some(behind),
            ..RecordPage::default()
        };
        if is_last && !self.hides_children {
            page.child_shards = self.children(place.shard);
        }
        if !is_last {
            let next = Place {
                index: end,
                made_at: at,
                ..place
            };
            page.next_iterator = Some(self.iterator(next));
        }
        page
    }

    fn children(&self, shard: usize) -> Vec<ChildShard> {
        let parent = &self.shards[shard].shard.id;
        let shards = self.shards.iter().map(|shard| &shard.shard);
        shards
            .filter(|child| child.parents().any(|id| id == parent))
            .map(|child| {
                let parents = child.parents().cloned().collect();
                ChildShard::new(child.id.clone(), parents, child.hash_key_range)
            })
            .collect()
    }
}
