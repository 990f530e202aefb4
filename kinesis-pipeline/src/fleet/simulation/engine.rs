use std::{
    sync::{Arc, Mutex, atomic::AtomicI64},
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
    stream::SimulatedStream,
    watched::Watched,
    world::{APP, FAILOVER, World, lock},
};
use crate::{
    Clock, LocalKinesis, ShardId, StartAt, WorkerError, WorkerHandle, WorkerReport,
    fleet::lease::{Lease, LeaseStore as _, MultiStreamLeases, WorkerId, sightings::Sightings},
};

/// The longest sleep of one step.
const STEP_MAX: Duration = Duration::from_secs(8);
/// The time that the fleet gets at the end, without faults, to process everything and to balance its leases.
const CALM: Duration = Duration::from_mins(8);

pub(super) type Violations = Vec<String>;

/// One run of the simulation, for one seed.
pub(super) struct Simulation<'a, S: Scenario> {
    pub(super) options: &'a FleetSimulation,
    pub(super) scenario: Arc<S>,
    pub(super) run: SimulatedRun,
    pub(super) random: fastrand::Rng,
    pub(super) local: LocalKinesis,
    pub(super) streams: Vec<SimulatedStream<S::Record>>,
    pub(super) world: Arc<World>,
    pub(super) workers: Vec<Member>,
    /// Workers that were stopped and still finish their batches. The other workers count them as alive.
    pub(super) stopping: Vec<JoinHandle<Result<WorkerReport, WorkerError>>>,
    /// The ids of the workers that run.
    pub(super) alive: Arc<Mutex<Vec<WorkerId>>>,
    pub(super) faults: Arc<Mutex<StoreFaults>>,
    /// The largest number of open shards in a stream.
    pub(super) shards_max: usize,
    /// Whether leases are taken from live workers or handed over, without regard for their owners.
    pub(super) is_rude: bool,
    pub(super) foreign: Option<AbortHandle>,
    pub(super) next_worker: usize,
    pub(super) next_record: u64,
}

pub(super) struct Member {
    pub(super) id: WorkerId,
    pub(super) handle: WorkerHandle,
    pub(super) paused: watch::Sender<bool>,
    pub(super) clock_steps: Arc<AtomicI64>,
    pub(super) task: JoinHandle<Result<WorkerReport, WorkerError>>,
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
        let world = World::new(clock, seed);
        let names = &["test", "second"][..random.usize(1..=options.streams_max)];
        let shards_max = shards_max.div_ceil(names.len());
        let mut streams = Vec::new();
        for name in names {
            let first = u32::try_from(random.usize(1..=shards_max.div_ceil(2))).unwrap_or(1);
            let stream = local.stream(name, first).await;
            let stream = stream.map_err(|error| broken(&error))?;
            streams.push(SimulatedStream::new(stream, names.len() > 1).await?);
        }
        world.set_streams(streams.iter().map(SimulatedStream::named).collect());
        let run = SimulatedRun {
            seed,
            world: world.clone(),
            key: Arc::default(),
        };
        let mut simulation = Self {
            options,
            scenario,
            run,
            local,
            streams,
            world,
            workers: Vec::new(),
            stopping: Vec::new(),
            alive: Arc::default(),
            faults: Arc::default(),
            shards_max,
            is_rude: false,
            foreign: None,
            next_worker: 0,
            next_record: 0,
            random,
        };
        simulation.begin_foreign();
        simulation.world.set_calm(true);
        for index in 0..simulation.streams.len() {
            simulation.list(index).await;
        }
        Ok(simulation)
    }

    /// Starts a worker of another library, or rude writes, in one run of four.
    fn begin_foreign(&mut self) {
        let kind = self.random.u8(..12);
        // The stealer knows one stream only.
        let is_stealer = kind == 1 && self.streams.len() > 1;
        if kind > 2 || is_stealer || !self.has(Disturbance::ForeignWorkers) {
            return;
        }
        self.world.on_rude_actor();
        let world = self.world.clone();
        match kind {
            0 => self.is_rude = true,
            1 => {
                let stealer = Stealer::new(world, self.streams[0].stream.clone());
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

    /// Returns the number of records that were given out, and how many of these had been finished before.
    pub(super) async fn run(mut self) -> Result<(u64, u64), Violations> {
        for _ in 0..self.random.usize(1..4) {
            self.add_worker()?;
        }
        for _ in 0..self.options.steps {
            self.step().await?;
            self.wait_for_stopping();
            self.world.check()?;
        }
        self.come_to_rest().await?;
        self.world.check_complete()?;
        self.check_balance().await?;
        let checked = self.scenario.check(&self.run);
        checked.map_err(|error| vec![error.to_string()])?;
        Ok(self.world.counts())
    }

    pub(super) fn has(&self, disturbance: Disturbance) -> bool {
        !self.options.without.contains(&disturbance)
    }

    /// Tells the checker that stopped workers still drain: they keep their share of the leases, so the others take only
    /// their own share until then.
    fn wait_for_stopping(&mut self) {
        if !self.stopping.is_empty() {
            self.world.on_draining();
        }
        self.stopping.retain(|task| !task.is_finished());
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
        let mut streams = self
            .streams
            .iter()
            .map(|one| one.stream.clone().with_clock(clock.clone()));
        let Some(first) = streams.next() else {
            return Ok(());
        };
        let builder = streams.fold(first.worker(APP), |builder, stream| {
            builder.and_stream(&stream)
        });
        let builder = builder.hand_over_max(FAILOVER * 3);
        let builder = builder.poll_interval(Duration::from_secs(5));
        let builder = self.scenario.worker(builder.stop_max(FAILOVER * 3));
        let builder = builder.leases(leases).id(id.as_str()).failover(FAILOVER);
        let worker = builder.start(StartAt::TrimHorizon).build();
        let worker = worker.map_err(|error| broken(&error))?;
        let (world, me, run) = (self.world.clone(), id.clone(), self.run.clone());
        let (finishes, has_lanes) = (worker.finishes_by_itself(), worker.has_lanes());
        let scenario = self.scenario.clone();
        let make = move |shard_id: &ShardId| {
            let run = run.of_processor();
            Watched {
                inner: scenario.processor(shard_id, &run),
                world: world.clone(),
                worker: me.clone(),
                shard_id: shard_id.clone(),
                key: run.key,
                paused: is_paused.clone(),
                finishes,
                has_lanes,
            }
        };
        let handle = worker.handle();
        lock(&self.alive).push(id.clone());
        self.world.on_joined();
        self.workers.push(Member {
            id,
            handle,
            paused,
            clock_steps,
            task: tokio::spawn(worker.run(make)),
        });
        Ok(())
    }

    pub(super) fn pick(&mut self) -> Option<usize> {
        (!self.workers.is_empty()).then(|| self.random.usize(..self.workers.len()))
    }

    pub(super) async fn leases(&self) -> Vec<Lease> {
        let table = MultiStreamLeases(Arc::new(self.world.leases.clone()));
        table.list(APP).await.unwrap_or_default()
    }

    /// Ends all faults, and waits until the fleet has caught up.
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
}

/// Returns the violation for a failure of the simulation itself.
pub(super) fn broken(error: &dyn std::error::Error) -> Violations {
    vec![format!("the simulation cannot go on: {error}")]
}
