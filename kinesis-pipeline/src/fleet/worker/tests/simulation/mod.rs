//! Virtual minutes of a fleet, by seed: workers that come, stop, are killed and stand still; a lease table that
//! throttles, loses answers and makes writes late; rows that are deleted; splits and merges; a leader that assigns
//! leases and a worker that steals them. What happened is held against the promises.
//!
//! `KINESIS_PIPELINE_SEEDS=200` runs 200 times as many seeds, 10,000; `KINESIS_PIPELINE_SEED=17` runs one of them.

mod processor;
mod store;
mod world;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::{sync::watch, task::JoinHandle};

use self::{
    processor::{Mode, Witness},
    store::{FaultyLeases, StoreFaults},
    world::{APP, FAILOVER, World},
};
use crate::{
    Checkpointing, Clock, EncodedRecord, HashKey, KinesisStream, LocalKinesis, PartitionKey, Shard,
    ShardId, StartAt, WorkerHandle,
    fleet::lease::{Lease, LeaseChange, LeaseStore as _, LeaseWrite, WorkerId},
    local::Fault,
    service::{MergeShards, PutRecords, SplitShard},
    trials::seeds,
    wire::aggregate,
};

const SEEDS: u64 = 50;
const STEPS: usize = 60;
/// Most steps end with a sleep of up to this time.
const STEP_MAX: Duration = Duration::from_secs(8);
/// After all disturbance has ended, everything is processed and balanced within this time.
const CALM: Duration = Duration::from_mins(8);
const WORKERS_MAX: usize = 8;

#[test]
fn fleets_keep_their_promises_whatever_goes_wrong() {
    let of = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = of("KINESIS_PIPELINE_SEED") {
        return simulate(seed);
    }
    let seeds = seeds(SEEDS);
    let next_seed = Arc::new(AtomicU64::new(0));
    let threads = thread::available_parallelism().map_or(2, usize::from);
    let threads: Vec<_> = (0..threads)
        .map(|_| {
            let next_seed = next_seed.clone();
            thread::spawn(move || {
                while let seed = next_seed.fetch_add(1, Ordering::Relaxed)
                    && seed < seeds
                {
                    let run = std::panic::catch_unwind(|| simulate(seed));
                    if let Err(panic) = run {
                        eprintln!("run it again with KINESIS_PIPELINE_SEED={seed}");
                        std::panic::resume_unwind(panic);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("the promises are kept");
    }
}

fn simulate(seed: u64) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    fastrand::seed(seed);
    runtime.block_on(async { Simulation::start(seed).await.run().await });
}

struct Simulation {
    random: fastrand::Rng,
    local: LocalKinesis,
    stream: KinesisStream<Bytes>,
    world: Arc<World>,
    workers: Vec<Member>,
    faults: Arc<Mutex<StoreFaults>>,
    shards: Vec<Shard>,
    shards_max: usize,
    /// Whether leases are taken from live workers, or assigned.
    is_rude: bool,
    mode: Mode,
    checkpoint_interval: Duration,
    batch_records_max: usize,
    next_worker: usize,
}

struct Member {
    id: WorkerId,
    handle: WorkerHandle,
    paused: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Simulation {
    async fn start(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let clock = Clock::tokio(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));
        let builder = LocalKinesis::builder().clock(clock.clone()).seed(seed);
        let local = builder.start().await.unwrap();
        let shards_max: usize = random.choice([4, 4, 8, 8, 16, 64]).unwrap();
        let first = random.usize(1..=shards_max / 2 + 1);
        let first = u32::try_from(first).unwrap();
        let stream = local.stream("test", first).await.unwrap();
        let world = World::new(store::table(), clock, seed);
        let is_rude = random.u8(..4) == 0;
        if is_rude {
            world.on_rude_actor();
        }
        let mut simulation = Self {
            local,
            stream,
            world,
            workers: Vec::new(),
            faults: Arc::default(),
            shards: Vec::new(),
            shards_max,
            is_rude,
            mode: random
                .choice([Mode::Returns, Mode::Checkpoints, Mode::Acks])
                .unwrap(),
            checkpoint_interval: Duration::from_secs(random.choice([0, 2, 20]).unwrap()),
            batch_records_max: random.choice([1, 5, 1_000]).unwrap(),
            next_worker: 0,
            random,
        };
        simulation.world.set_calm(true);
        simulation.list().await;
        simulation
    }

    async fn run(mut self) {
        for _ in 0..self.random.usize(1..4) {
            self.add_worker();
        }
        for _ in 0..STEPS {
            self.step().await;
            self.world.check();
        }
        self.come_to_rest().await;
        self.world.check_complete();
        self.check_balance().await;
        let (given, repeated) = self.world.counts();
        eprintln!("{given} records, {repeated} of them again");
    }

    async fn step(&mut self) {
        match self.random.u8(..32) {
            0 | 1 => self.add_worker(),
            2 => self.kill(),
            3 => self.stop(),
            4 => self.pause(),
            5 => self.wake(),
            6 => self.disturb(),
            7 => self.clear(),
            8 => self.delete_row().await,
            9 | 10 => self.reshard().await,
            11 | 12 if self.is_rude => self.be_rude().await,
            13..20 => self.put().await,
            _ => {
                let part = self.random.f64();
                tokio::time::sleep(STEP_MAX.mul_f64(part)).await;
            }
        }
    }

    fn add_worker(&mut self) {
        if self.workers.len() >= WORKERS_MAX {
            return;
        }
        let id = WorkerId::from(format!("worker-{}", self.next_worker));
        self.next_worker += 1;
        let (paused, is_paused) = watch::channel(false);
        let leases = FaultyLeases {
            world: self.world.clone(),
            worker: id.clone(),
            faults: self.faults.clone(),
            paused: is_paused.clone(),
        };
        let builder = self.stream.worker(APP).leases(leases).id(id.as_str());
        let worker = builder
            .start(StartAt::TrimHorizon)
            .failover(FAILOVER)
            .hand_over_max(FAILOVER * 3)
            .stop_max(FAILOVER * 3)
            .poll_interval(Duration::from_secs(5))
            .checkpoint_interval(self.checkpoint_interval)
            .batch_records_max(self.batch_records_max)
            .checkpointing(match self.mode {
                Mode::Returns => Checkpointing::Automatic,
                Mode::Checkpoints => Checkpointing::Manual,
                Mode::Acks => Checkpointing::Ack,
            })
            .build()
            .unwrap();
        let handle = worker.handle();
        let (world, mode, me) = (self.world.clone(), self.mode, id.clone());
        let make = move |shard_id: &ShardId| {
            world.set_running(&me, shard_id, true);
            Witness {
                world: world.clone(),
                worker: me.clone(),
                shard_id: shard_id.clone(),
                paused: is_paused.clone(),
                mode,
            }
        };
        let task = tokio::spawn(async move {
            worker.run(make).await.expect("a worker does not give up");
        });
        self.workers.push(Member {
            id,
            handle,
            paused,
            task,
        });
    }

    fn pick(&mut self) -> Option<usize> {
        (!self.workers.is_empty()).then(|| self.random.usize(..self.workers.len()))
    }

    fn kill(&mut self) {
        if let Some(index) = self.pick() {
            let member = self.workers.swap_remove(index);
            member.task.abort();
            self.on_gone(member.id, true);
        }
    }

    fn stop(&mut self) {
        if let Some(index) = self.pick() {
            let member = self.workers.swap_remove(index);
            member.handle.stop();
            // It is not waited for: the others go on meanwhile.
            member.paused.send_replace(false);
            self.on_gone(member.id, false);
        }
    }

    fn on_gone(&mut self, id: WorkerId, was_killed: bool) {
        self.world.on_gone(id, was_killed);
        if self.workers.is_empty() {
            self.world.on_empty();
        }
    }

    fn pause(&mut self) {
        if let Some(index) = self.pick() {
            self.world.set_calm(false);
            self.workers[index].paused.send_replace(true);
        }
    }

    fn wake(&mut self) {
        for member in &self.workers {
            member.paused.send_replace(false);
        }
    }

    fn disturb(&mut self) {
        self.world.set_calm(false);
        let chance = |random: &mut fastrand::Rng| random.f64() * 0.2;
        *self.faults.lock().unwrap() = StoreFaults {
            throttled: chance(&mut self.random),
            lost: chance(&mut self.random),
            late: chance(&mut self.random),
            slow: chance(&mut self.random),
        };
        let fault = match self.random.u8(..4) {
            0 => Fault::throttle().on("GetRecords"),
            1 => Fault::fail().on("GetShardIterator"),
            2 => Fault::expire_iterator(),
            _ => Fault::throttle().on("ListShards"),
        };
        let fault = fault.probability(self.random.f64() * 0.4).always();
        self.local.faults().add(fault).unwrap();
    }

    fn clear(&mut self) {
        *self.faults.lock().unwrap() = StoreFaults::default();
        self.local.faults().clear();
        self.wake();
        self.world.set_calm(true);
    }

    async fn any_lease(&mut self) -> Option<Lease> {
        let leases = self.world.leases.list(APP).await.unwrap();
        self.random.choice(leases)
    }

    /// As by hand, in the console.
    async fn delete_row(&mut self) {
        if let Some(lease) = self.any_lease().await {
            self.world.on_deletion(lease.shard_id.clone());
            let delete = LeaseWrite::new(lease, LeaseChange::Delete);
            self.world.leases.write(APP, delete).await.unwrap();
        }
    }

    /// Assigns a lease as a leader of KCL 3 does, or takes it as a worker of KCL 2 does.
    async fn be_rude(&mut self) {
        let Some(lease) = self.any_lease().await.filter(|lease| lease.owner.is_some()) else {
            return;
        };
        let other = match self.pick() {
            Some(index) if self.random.bool() => self.workers[index].id.clone(),
            _ => "java".into(),
        };
        let change = if self.random.bool() {
            LeaseChange::HandOver(other)
        } else {
            LeaseChange::Take("java".into())
        };
        if lease.owner.as_ref() != Some(&WorkerId::from("java")) {
            let write = LeaseWrite::new(lease, change);
            self.world.leases.write(APP, write).await.unwrap();
        }
    }

    /// Ends all disturbance and waits until the fleet has caught up.
    async fn come_to_rest(&mut self) {
        self.clear();
        if self.workers.is_empty() {
            self.add_worker();
        }
        tokio::time::sleep(CALM).await;
    }

    async fn check_balance(&self) {
        let takes = self.world.takes();
        tokio::time::sleep(FAILOVER * 6).await;
        assert_eq!(self.world.takes(), takes, "leases still change hands");
        let leases = self.world.leases.list(APP).await.unwrap();
        let owned = |member: &Member| {
            let mine = leases
                .iter()
                .filter(|lease| lease.owner.as_ref() == Some(&member.id));
            mine.filter(|lease| !lease.is_finished()).count()
        };
        let loads: Vec<_> = self.workers.iter().map(owned).collect();
        let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
        assert!(most - least <= 1, "{loads:?} of {leases:#?}");
        for member in &self.workers {
            assert!(!member.task.is_finished(), "{} gave up", member.id);
        }
    }

    /// Puts some records, alone or as an aggregate.
    async fn put(&mut self) {
        let is_aggregated = self.random.bool();
        let hash_key = HashKey::new(self.random.u128(..));
        let count = self.random.usize(1..12);
        let records: Vec<_> = (0..count).map(|n| record(hash_key, n)).collect();
        let sent = if is_aggregated {
            vec![aggregate_of(&records, hash_key)]
        } else {
            records
        };
        let call = PutRecords::new(self.stream.id().clone(), sent);
        let answer = self.stream.service().put_records(call).await.unwrap();
        for stored in answer.results {
            let stored = stored.expect("puts are not disturbed");
            for sub in 0..if is_aggregated { count as u64 } else { 1 } {
                let place = (stored.sequence_number.clone(), sub);
                self.world.store(&stored.shard_id, place);
            }
        }
    }

    /// Splits a random shard or merges two that touch.
    async fn reshard(&mut self) {
        let mut open: Vec<_> = self.shards.iter().filter(|shard| shard.is_open()).collect();
        open.sort_by_key(|shard| shard.hash_key_range.start);
        let (id, index) = (self.stream.id().clone(), self.random.usize(..open.len()));
        let shard = open[index];
        let wants_merge = open.len() >= self.shards_max || self.random.bool();
        let service = self.stream.service();
        match open.get(index + 1) {
            Some(next) if wants_merge => {
                let call = MergeShards::new(id, shard.id.clone(), next.id.clone());
                service.merge_shards(call).await.unwrap();
            }
            _ if open.len() < self.shards_max => {
                let call = SplitShard::new(id, shard.id.clone(), shard.hash_key_range.middle());
                service.split_shard(call).await.unwrap();
            }
            _ => return,
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.list().await;
    }

    async fn list(&mut self) {
        let call = crate::service::list_all::list_all;
        // The disturbance of listings is for the workers.
        let shards = loop {
            match call(&**self.stream.service(), self.stream.id()).await {
                Ok(shards) => break shards,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        for shard in &shards {
            self.world
                .add_shard(&shard.id, shard.parents().cloned().collect());
        }
        self.shards = shards;
    }
}

fn record(hash_key: HashKey, number: usize) -> EncodedRecord {
    let name = PartitionKey::new("key").unwrap();
    let mut record = EncodedRecord::new(name, Bytes::from(format!("record {number}")));
    record.explicit_hash_key = Some(hash_key);
    record
}

fn aggregate_of(records: &[EncodedRecord], hash_key: HashKey) -> EncodedRecord {
    let mut writer = aggregate::Writer::new();
    for record in records {
        writer.push(record);
    }
    let mut whole = EncodedRecord::new(PartitionKey::new("a").unwrap(), writer.finish());
    whole.explicit_hash_key = Some(hash_key);
    whole
}
