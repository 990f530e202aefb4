//! Readers that crash at random go on where they were.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;

use super::{
    checkpoints::{Store, reader},
    service::TestKinesis,
    text,
};
use crate::{Records, StartAt};

/// A stream with puts, splits, merges and faults, and what a reader of it has seen.
struct World {
    random: fastrand::Rng,
    service: TestKinesis,
    store: Store,
    needs_ack: bool,
    open_shards: Vec<usize>,
    parents: HashMap<usize, Vec<usize>>,
    /// How many records were put to each shard.
    puts: HashMap<usize, u32>,
    /// Up to which of them was read.
    reads: HashMap<usize, u32>,
    crashes: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let service = TestKinesis::new(2);
        service.state().hides_children = random.bool();
        Self {
            needs_ack: random.bool(),
            random,
            service,
            store: Store::default(),
            open_shards: vec![0, 1],
            parents: HashMap::new(),
            puts: HashMap::new(),
            reads: HashMap::new(),
            crashes: 0,
        }
    }

    async fn open(&self) -> Records<Bytes> {
        let reader = reader(&self.service, &self.store);
        let reader = reader.start(StartAt::TrimHorizon).page_records_max(3);
        let reader = if self.needs_ack {
            reader.require_ack()
        } else {
            reader
        };
        reader.open().await.unwrap()
    }

    fn take_shard(&mut self) -> usize {
        self.open_shards
            .swap_remove(self.random.usize(..self.open_shards.len()))
    }

    fn split(&mut self) {
        let shard = self.take_shard();
        let children = self.service.split(shard);
        self.open_shards.extend(children);
        self.parents
            .extend(children.map(|child| (child, vec![shard])));
    }

    fn merge(&mut self) {
        let parents = vec![self.take_shard(), self.take_shard()];
        let child = self.service.merge(parents[0], parents[1]);
        self.open_shards.push(child);
        self.parents.insert(child, parents);
    }

    fn put(&mut self) {
        let shard = self.random.choice(&self.open_shards).copied().unwrap();
        let count = self.puts.entry(shard).or_default();
        self.service.put(shard, format!("{shard}/{count}"));
        *count += 1;
    }

    fn fail(&mut self) {
        let codes = [
            "ProvisionedThroughputExceededException",
            "InternalFailureException",
            "ExpiredIteratorException",
            "timeout",
        ];
        let shard = self.random.choice(&self.open_shards).copied().unwrap();
        self.service
            .fail("GetRecords", shard, self.random.choice(codes).unwrap(), 2);
    }

    /// Reads until nothing comes for `wait`.
    async fn read(&mut self, records: &mut Records<Bytes>, wait: Duration) {
        while let Ok(Some(item)) = tokio::time::timeout(wait, records.next()).await {
            let record = item.unwrap();
            record.ack();
            self.check(&text(Some(Ok(record))));
        }
    }

    fn check(&mut self, text: &str) {
        let (shard, count) = text.split_once('/').unwrap();
        let (shard, count): (usize, u32) = (shard.parse().unwrap(), count.parse().unwrap());
        for parent in self.parents.get(&shard).into_iter().flatten() {
            let (read, put) = (self.reads.get(parent), self.puts.get(parent));
            assert_eq!(read, put, "{shard} before the end of {parent}");
        }
        let next = self.reads.entry(shard).or_default();
        // A reader that starts again may repeat, but never skip.
        let is_repeated = self.crashes > 0 && count < *next;
        assert!(
            count == *next || is_repeated,
            "{count} of {shard} instead of {next}"
        );
        *next = (*next).max(count + 1);
    }
}

async fn crash_at_random(seed: u64) {
    let mut world = World::new(seed);
    let mut records = world.open().await;
    for _ in 0..150 {
        match world.random.u8(..20) {
            0 => world.split(),
            1 if world.open_shards.len() > 1 => world.merge(),
            2 => world.fail(),
            3 if world.random.bool() => {
                drop(records);
                world.crashes += 1;
                records = world.open().await;
            }
            4..10 => {
                let wait = Duration::from_millis(world.random.u64(..3000));
                world.read(&mut records, wait).await;
            }
            _ => world.put(),
        }
    }
    world.read(&mut records, Duration::from_mins(5)).await;
    assert_eq!(world.reads, world.puts, "seed {seed}");
    records.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn readers_that_crash_at_random_miss_nothing_and_keep_the_order() {
    for seed in 0..crate::trials::seeds(8) {
        crash_at_random(seed).await;
    }
}
