use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
};

use crate::{Order, PartitionKey};

/// The assignment of records to lanes.
///
/// With [`Order::PerKey`] a record goes to the lane that still has records of its key, or else to the lane with the
/// fewest records. So one key is never in two lanes at a time, and few keys still fill all lanes. Keys are compared by
/// a 64-bit hash. Two keys with the same hash share a lane for a while, which does not break the order.
///
/// For the driver: call [`assign`](Self::assign) for each record in the order of the shard, and
/// [`on_processed`](Self::on_processed) for each record that a lane has processed.
#[derive(Debug)]
pub(super) struct LaneMap {
    order: Order,
    hasher: RandomState,
    /// The keys of the records in the lanes. The counts of one lane add up to its load.
    keys: HashMap<u64, KeyUse>,
    /// The number of records in each lane.
    loads: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct KeyUse {
    lane: usize,
    records: usize,
}

/// The lane of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Assigned {
    pub(super) lane: usize,
    pub(super) key_hash: u64,
}

impl LaneMap {
    pub(super) fn new(lanes: usize, order: Order) -> Self {
        Self {
            order,
            hasher: RandomState::new(),
            keys: HashMap::new(),
            loads: vec![0; lanes],
        }
    }

    pub(super) fn assign(&mut self, key: &PartitionKey) -> Assigned {
        let key_hash = self.hasher.hash_one(key);
        let lane = match self.order {
            Order::None => self.least_loaded(),
            Order::PerKey => self.lane_of(key_hash),
        };
        self.loads[lane] += 1;
        Assigned { lane, key_hash }
    }

    fn lane_of(&mut self, key_hash: u64) -> usize {
        let idle = self.least_loaded();
        match self.keys.entry(key_hash) {
            Entry::Occupied(mut used) => {
                used.get_mut().records += 1;
                used.get().lane
            }
            Entry::Vacant(unused) => {
                let used = KeyUse {
                    lane: idle,
                    records: 1,
                };
                unused.insert(used).lane
            }
        }
    }

    /// Notes that the lane has processed a record of this key.
    pub(super) fn on_processed(&mut self, lane: usize, key_hash: u64) {
        self.loads[lane] = self.loads[lane].saturating_sub(1);
        if let Entry::Occupied(mut used) = self.keys.entry(key_hash) {
            used.get_mut().records -= 1;
            if used.get().records == 0 {
                used.remove();
            }
        }
    }

    /// Returns the number of records in this lane.
    pub(super) fn load(&self, lane: usize) -> usize {
        self.loads[lane]
    }

    fn least_loaded(&self) -> usize {
        let loads = self.loads.iter().enumerate();
        loads
            .min_by_key(|(_, load)| **load)
            .map_or(0, |(lane, _)| lane)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn key(number: u8) -> PartitionKey {
        PartitionKey::new(format!("key-{number}")).unwrap()
    }

    proptest! {
        #[test]
        fn a_key_is_in_one_lane_at_a_time_and_lanes_end_empty(
            lanes in 1_usize..9,
            // `Ok` is a new record with this key; `Err` means that the oldest record of this lane is processed.
            events in prop::collection::vec(prop::result::maybe_ok(0_u8..12, 0_usize..9), 0..300),
        ) {
            let mut map = LaneMap::new(lanes, Order::PerKey);
            let mut queues = vec![VecDeque::new(); lanes];
            for event in events {
                match event {
                    Ok(number) => {
                        let assigned = map.assign(&key(number));
                        for (lane, queue) in queues.iter().enumerate() {
                            let has_key = queue.iter().any(|(other, _)| *other == number);
                            prop_assert!(!has_key || lane == assigned.lane);
                        }
                        queues[assigned.lane].push_back((number, assigned.key_hash));
                    }
                    Err(lane) => if let Some((_, hash)) = queues[lane % lanes].pop_front() {
                        map.on_processed(lane % lanes, hash);
                    }
                }
                let lens: Vec<_> = queues.iter().map(VecDeque::len).collect();
                prop_assert_eq!(&map.loads, &lens);
            }
            for (lane, queue) in queues.iter_mut().enumerate() {
                for (_, hash) in queue.drain(..) {
                    map.on_processed(lane, hash);
                }
            }
            prop_assert!(map.keys.is_empty(), "what is kept is in proportion to what is in the lanes");
        }

        #[test]
        fn without_an_order_lanes_have_the_same_load_within_one(
            lanes in 1_usize..9,
            keys in prop::collection::vec(0_u8..3, 0..100),
        ) {
            let mut map = LaneMap::new(lanes, Order::None);
            for number in keys {
                map.assign(&key(number));
            }
            let (least, most) = (map.loads.iter().min().unwrap(), map.loads.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{:?}", map.loads);
        }
    }

    #[test]
    fn as_many_keys_as_lanes_fill_all_lanes() {
        let mut map = LaneMap::new(16, Order::PerKey);
        let lanes: std::collections::BTreeSet<_> = (0..16)
            .map(|number| map.assign(&key(number)).lane)
            .collect();
        assert_eq!(lanes.len(), 16);
    }
}
