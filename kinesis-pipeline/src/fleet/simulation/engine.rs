use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    sync::watch,
    task::{AbortHandle, JoinHandle},
};

use super::{
    Disturbance, FleetSimulation, Scenario, SimulatedRun,
    actors::{Leader, Stealer},
    store::{FaultyLeases, StoreFaults},
    watched::Watched,
    world::{APP, FAILOVER, World, lock},
};
use crate::{
    Clock, EncodedRecord, KinesisStream, LocalKinesis, PartitionKey, Shard, ShardId, StartAt,
    WorkerError, WorkerHandle, WorkerReport,
    fleet::lease::{
        Lease, LeaseChange, LeaseStore as _, LeaseWrite, WorkerId, plan::can_start,
        sightings::Sightings,
    },
    local::Fault,
    record::EncodeContext,
    service::{MergeShards, PutRecords, SplitShard, list_all::list_all},
    wire::aggregate,
};

/// Most steps end with a sleep of up to this time.
const STEP_MAX: Duration = Duration::from_secs(8);
/// After all disturbance has ended, everything is processed and balanced within this time.
const CALM: Duration = Duration::from_mins(8);
/// The most records of one step.
const RECORDS_MAX: usize = 12;
/// The furthest step of a wall clock.
const CLOCK_STEP_MAX: Duration = Duration::from_hours(24);

type Violations = Vec<String>;

/// One run under way.
pub(super) struct Simulation<'a, S: Scenario> {
    options: &'a FleetSimulation,
    scenario: Arc<S>,
    run: SimulatedRun,
    random: fastrand::Rng,
    local: LocalKinesis,
    stream: KinesisStream<S::Record>,
    world: Arc<World>,
    workers: Vec<Member>,
    /// The ids of the workers that run.
    alive: Arc<Mutex<Vec<WorkerId>>>,
    faults: Arc<Mutex<StoreFaults>>,
    shards: Vec<Shard>,
    shards_max: usize,
    /// Whether single leases are taken from live workers, or assigned.
    is_rude: bool,
    foreign: Option<AbortHandle>,
    next_worker: usize,
    next_record: u64,
}

struct Member {
    id: WorkerId,
    handle: WorkerHandle,
    paused: watch::Sender<bool>,
    clock_steps: Arc<AtomicI64>,
    task: JoinHandle<Result<WorkerReport, WorkerError>>,
}

impl<'a, S: Scenario> Simulation<'a, S> {
    pub(super) async fn start(
        options: &'a FleetSimulation,
        scenario: Arc<S>,
        seed: u64,
    ) -> Result<Self, Violations> {
        let mut random = fastrand::Rng::with_seed(seed);
        let clock = Clock::tokio(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));
        let builder = LocalKinesis::builder().clock(clock.clone()).seed(seed);
        let local = builder.start().await.map_err(|error| broken(&error))?;
        let drawn = random.choice([4, 4, 8, 8, 16, 64]).unwrap_or(4);
        let shards_max = options.shards_max.unwrap_or(drawn);
        let first = u32::try_from(random.usize(1..=shards_max.div_ceil(2))).unwrap_or(1);
        let stream = local.stream("test", first).await;
        let stream = stream.map_err(|error| broken(&error))?;
        let world = World::new(clock, seed);
        let run = SimulatedRun {
            seed,
            world: world.clone(),
        };
        let mut simulation = Self {
            options,
            scenario,
            run,
            local,
            stream,
            world,
            workers: Vec::new(),
            alive: Arc::default(),
            faults: Arc::default(),
            shards: Vec::new(),
            shards_max,
            is_rude: false,
            foreign: None,
            next_worker: 0,
            next_record: 0,
            random,
        };
        simulation.begin_foreign();
        simulation.world.set_calm(true);
        simulation.list().await;
        Ok(simulation)
    }

    /// One run in four has a worker of another library, or single rude writes.
    fn begin_foreign(&mut self) {
        let kind = self.random.u8(..12);
        if kind > 2 || !self.has(Disturbance::ForeignWorkers) {
            return;
        }
        self.world.on_rude_actor();
        let world = self.world.clone();
        match kind {
            0 => self.is_rude = true,
            1 => {
                let stealer = Stealer::new(world, self.stream.clone());
                self.foreign = Some(tokio::spawn(stealer.run()).abort_handle());
            }
            _ => {
                let leader = Leader {
                    world,
                    workers: self.alive.clone(),
                    sightings: Sightings::default(),
                };
                self.foreign = Some(tokio::spawn(leader.run()).abort_handle());
            }
        }
    }

    /// Returns how many records were given out, and how many of them again.
    pub(super) async fn run(mut self) -> Result<(u64, u64), Violations> {
        for _ in 0..self.random.usize(1..4) {
            self.add_worker()?;
        }
        for _ in 0..self.options.steps {
            self.step().await?;
            self.world.check()?;
        }
        self.come_to_rest().await?;
        self.world.check_complete()?;
        self.check_balance().await?;
        let checked = self.scenario.check(&self.run);
        checked.map_err(|error| vec![error.to_string()])?;
        Ok(self.world.counts())
    }

    fn has(&self, disturbance: Disturbance) -> bool {
        !self.options.without.contains(&disturbance)
    }

    async fn step(&mut self) -> Result<(), Violations> {
        match self.random.u8(..33) {
            0 | 1 => self.add_worker()?,
            2 if self.has(Disturbance::Kill) => self.kill(),
            3 if self.has(Disturbance::Stop) => self.stop(),
            4 if self.has(Disturbance::Pause) => self.pause(),
            5 => self.wake(),
            6 => self.disturb()?,
            7 => self.clear(),
            8 if self.has(Disturbance::DeletedRows) => self.delete_row().await,
            9 | 10 if self.has(Disturbance::Reshard) => self.reshard().await?,
            11 | 12 if self.is_rude => self.be_rude().await,
            13..20 => self.put().await?,
            20 if self.has(Disturbance::ClockStep) => self.step_clock(),
            _ => {
                let part = self.random.f64();
                tokio::time::sleep(STEP_MAX.mul_f64(part)).await;
            }
        }
        Ok(())
    }

    fn add_worker(&mut self) -> Result<(), Violations> {
        if self.workers.len() >= self.options.workers_max {
            return Ok(());
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
        let clock_steps = Arc::new(AtomicI64::new(0));
        let clock = self.world.clock.clone().with_steps(clock_steps.clone());
        let stream = self.stream.clone().with_clock(clock);
        let builder = stream.worker(APP).hand_over_max(FAILOVER * 3);
        let builder = builder.poll_interval(Duration::from_secs(5));
        let builder = self.scenario.worker(builder.stop_max(FAILOVER * 3));
        let builder = builder.leases(leases).id(id.as_str()).failover(FAILOVER);
        let worker = builder.start(StartAt::TrimHorizon).build();
        let worker = worker.map_err(|error| broken(&error))?;
        let (world, me, run) = (self.world.clone(), id.clone(), self.run.clone());
        let (finishes, has_lanes) = (worker.finishes_by_itself(), worker.has_lanes());
        let scenario = self.scenario.clone();
        let make = move |shard_id: &ShardId| {
            world.on_processor(&me, shard_id, true);
            Watched {
                inner: scenario.processor(shard_id, &run),
                world: world.clone(),
                worker: me.clone(),
                shard_id: shard_id.clone(),
                paused: is_paused.clone(),
                finishes,
                has_lanes,
            }
        };
        let handle = worker.handle();
        lock(&self.alive).push(id.clone());
        self.workers.push(Member {
            id,
            handle,
            paused,
            clock_steps,
            task: tokio::spawn(worker.run(make)),
        });
        Ok(())
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
        lock(&self.alive).retain(|alive| *alive != id);
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

    /// Sets a worker's wall clock, forth or back.
    fn step_clock(&mut self) {
        if let Some(index) = self.pick() {
            let max = i64::try_from(CLOCK_STEP_MAX.as_millis()).unwrap_or(i64::MAX);
            let step = self.random.i64(-max..=max);
            let steps = &self.workers[index].clock_steps;
            steps.store(step, Ordering::Relaxed);
        }
    }

    fn disturb(&mut self) -> Result<(), Violations> {
        self.world.set_calm(false);
        let chance = |random: &mut fastrand::Rng| random.f64() * 0.2;
        if self.has(Disturbance::LeaseTable) {
            *lock(&self.faults) = StoreFaults {
                throttled: chance(&mut self.random),
                lost: chance(&mut self.random),
                late: chance(&mut self.random),
                slow: chance(&mut self.random),
            };
        }
        if !self.has(Disturbance::Stream) {
            return Ok(());
        }
        let fault = match self.random.u8(..4) {
            0 => Fault::throttle().on("GetRecords"),
            1 => Fault::fail().on("GetShardIterator"),
            2 => Fault::expire_iterator(),
            _ => Fault::throttle().on("ListShards"),
        };
        let fault = fault.probability(self.random.f64() * 0.4).always();
        let added = self.local.faults().add(fault);
        added.map_err(|error| broken(&error))
    }

    fn clear(&mut self) {
        *lock(&self.faults) = StoreFaults::default();
        self.local.faults().clear();
        self.wake();
        self.world.set_calm(true);
    }

    async fn leases(&self) -> Vec<Lease> {
        self.world.leases.list(APP).await.unwrap_or_default()
    }

    async fn any_lease(&mut self) -> Option<Lease> {
        let leases = self.leases().await;
        self.random.choice(leases)
    }

    /// As by hand, in the console.
    async fn delete_row(&mut self) {
        if let Some(lease) = self.any_lease().await {
            let leases = self.leases().await;
            let by_id = leases
                .iter()
                .map(|lease| (&lease.shard_id, lease))
                .collect();
            // A finished shard needs no row, and one that waits for its parents gets it at their end.
            let is_missed = can_start(&lease, &by_id) && !self.workers.is_empty();
            self.world.on_deletion(&lease, is_missed);
            let delete = LeaseWrite::new(lease, LeaseChange::Delete);
            let _ = self.world.leases.write(APP, delete).await;
        }
    }

    /// Hands a lease over to anybody, or takes it for a worker that never does anything.
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
            let _ = self.world.leases.write(APP, write).await;
        }
    }

    /// Ends all disturbance and waits until the fleet has caught up.
    async fn come_to_rest(&mut self) -> Result<(), Violations> {
        self.clear();
        if let Some(foreign) = self.foreign.take() {
            foreign.abort();
        }
        if self.workers.is_empty() {
            self.add_worker()?;
        }
        tokio::time::sleep(CALM).await;
        Ok(())
    }

    async fn check_balance(&mut self) -> Result<(), Violations> {
        for member in &mut self.workers {
            if member.task.is_finished() {
                let ended = (&mut member.task).await;
                return Err(vec![format!("{} ended by itself: {ended:?}", member.id)]);
            }
        }
        let takes = self.world.takes();
        tokio::time::sleep(FAILOVER * 6).await;
        if self.world.takes() != takes {
            return Err(vec!["leases still change hands at rest".to_owned()]);
        }
        let leases = self.leases().await;
        let owned = |member: &Member| {
            let mine = leases
                .iter()
                .filter(|lease| lease.owner.as_ref() == Some(&member.id));
            mine.filter(|lease| !lease.is_finished()).count()
        };
        let loads: Vec<_> = self.workers.iter().map(owned).collect();
        let (least, most) = (loads.iter().min(), loads.iter().max());
        match (least, most) {
            (Some(least), Some(most)) if most - least > 1 => {
                Err(vec![format!("no balance: {loads:?} of {leases:#?}")])
            }
            _ => Ok(()),
        }
    }

    /// Puts some records: those of each key alone, or as an aggregate.
    async fn put(&mut self) -> Result<(), Violations> {
        let mut by_key: BTreeMap<PartitionKey, Vec<EncodedRecord>> = BTreeMap::new();
        for _ in 0..self.random.usize(1..RECORDS_MAX) {
            let record = self.scenario.record(self.next_record);
            self.next_record += 1;
            let context = EncodeContext::of(&self.world.clock);
            let record = EncodedRecord::of(&record, None, &context);
            let record = record.map_err(|error| broken(&error))?;
            let records = by_key.entry(record.partition_key.clone()).or_default();
            records.push(record);
        }
        for (key, records) in by_key {
            self.put_of_key(&key, records).await?;
        }
        Ok(())
    }

    async fn put_of_key(
        &mut self,
        key: &PartitionKey,
        records: Vec<EncodedRecord>,
    ) -> Result<(), Violations> {
        let is_aggregated = self.random.bool();
        let count = if is_aggregated { records.len() } else { 1 };
        let sent = if is_aggregated {
            vec![aggregate_of(key, &records)]
        } else {
            records
        };
        let call = PutRecords::new(self.stream.id().clone(), sent);
        let answer = self.stream.service().put_records(call).await;
        for stored in answer.map_err(|error| broken(&error))?.results {
            let stored = stored.map_err(|error| vec![format!("{error:?}")])?;
            for sub in 0..count as u64 {
                let position =
                    crate::Position::new(stored.shard_id.clone(), stored.sequence_number.clone());
                self.world.store(&position.at_sub_sequence_number(sub), key);
            }
        }
        Ok(())
    }

    /// Splits a random shard or merges two that touch.
    async fn reshard(&mut self) -> Result<(), Violations> {
        let mut open: Vec<_> = self.shards.iter().filter(|shard| shard.is_open()).collect();
        open.sort_by_key(|shard| shard.hash_key_range.start);
        let (id, index) = (self.stream.id().clone(), self.random.usize(..open.len()));
        let shard = open[index];
        let wants_merge = open.len() >= self.shards_max || self.random.bool();
        let service = self.stream.service();
        let resharded = match open.get(index + 1) {
            Some(next) if wants_merge => {
                let call = MergeShards::new(id, shard.id.clone(), next.id.clone());
                service.merge_shards(call).await
            }
            _ if open.len() < self.shards_max => {
                let call = SplitShard::new(id, shard.id.clone(), shard.hash_key_range.middle());
                service.split_shard(call).await
            }
            _ => return Ok(()),
        };
        resharded.map_err(|error| broken(&error))?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.list().await;
        Ok(())
    }

    async fn list(&mut self) {
        // The disturbance of listings is for the workers.
        let shards = loop {
            match list_all(&**self.stream.service(), self.stream.id()).await {
                Ok(shards) => break shards,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        for shard in &shards {
            let parents = shard.parents().cloned().collect();
            self.world.add_shard(&shard.id, parents);
        }
        self.shards = shards;
    }
}

/// A part of the simulation itself that failed.
fn broken(error: &dyn std::error::Error) -> Violations {
    vec![format!("the simulation cannot go on: {error}")]
}

fn aggregate_of(key: &PartitionKey, records: &[EncodedRecord]) -> EncodedRecord {
    let mut writer = aggregate::Writer::new();
    for record in records {
        writer.push(record);
    }
    EncodedRecord::new(key.clone(), writer.finish())
}
