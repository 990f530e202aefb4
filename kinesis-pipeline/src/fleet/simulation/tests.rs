//! The simulation with our own processors: slow ones, failing ones, and every way to finish records.
//!
//! `KINESIS_PIPELINE_SEEDS=200` runs 200 times as many seeds, 10,000; `KINESIS_PIPELINE_SEED=17` runs one of them.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::{
    Batch, BoxError, Checkpointer, Checkpointing, EncodedRecord, Order, PartitionKey, Processor,
    ShardId, WorkerBuilder, trials::seeds,
};

const SEEDS: u64 = 50;

/// A processor as in real life: slow at times, with errors and panics.
struct Moody {
    run: SimulatedRun,
    mode: Checkpointing,
}

impl Moody {
    fn chance(&self, one_in: u8) -> bool {
        self.run.world.random(|random| random.u8(..one_in) == 0)
    }

    async fn work(&self) {
        let (time, part) = self.run.world.random(|random| {
            let time = match random.u8(..30) {
                0 => Duration::from_secs(40),
                1..8 => Duration::from_secs(3),
                _ => Duration::from_millis(100),
            };
            (time, random.f64())
        });
        tokio::time::sleep(time.mul_f64(part)).await;
    }
}

impl Processor for Moody {
    type Record = EncodedRecord;

    async fn process(
        &mut self,
        batch: Batch<EncodedRecord>,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        self.work().await;
        if self.chance(20) {
            assert!(self.chance(2), "as processors do");
            return Err("as processors do".into());
        }
        match self.mode {
            Checkpointing::Automatic => {}
            Checkpointing::Manual => {
                batch.iter().for_each(|record| self.run.finished(record));
                if let Some(last) = batch.last_position()
                    && self.chance(2)
                {
                    let pending = checkpointer.prepare(last, "state").await;
                    pending.and(checkpointer.checkpoint(last).await)?;
                }
            }
            Checkpointing::Ack => {
                let mut records = batch.records;
                self.run.world.random(|random| random.shuffle(&mut records));
                for record in records {
                    self.run.finished(&record);
                    record.ack();
                }
            }
        }
        Ok(())
    }

    async fn shard_ended(&mut self, _: &Checkpointer) -> Result<(), BoxError> {
        if self.chance(10) {
            return Err("as processors do".into());
        }
        Ok(())
    }
}

/// The scenario of one seed: its kind of checkpoints and other settings.
struct Ours {
    mode: Checkpointing,
    lanes: usize,
    order: Order,
    checkpoint_interval: Duration,
    batch_records_max: usize,
}

impl Ours {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed ^ 0xf1ee7);
        let modes = [
            Checkpointing::Automatic,
            Checkpointing::Manual,
            Checkpointing::Ack,
        ];
        let mode = random.choice(modes).unwrap();
        let lanes = random.choice([1, 1, 2, 5]).unwrap();
        Self {
            mode,
            lanes: if mode == Checkpointing::Manual {
                1
            } else {
                lanes
            },
            order: Order::PerKey,
            checkpoint_interval: Duration::from_secs(random.choice([0, 2, 20]).unwrap()),
            batch_records_max: random.choice([1, 5, 1_000]).unwrap(),
        }
    }
}

impl Scenario for Ours {
    type Record = EncodedRecord;
    type Processor = Moody;

    fn record(&self, number: u64) -> EncodedRecord {
        let key = PartitionKey::new(format!("key-{}", number % 61 % 40)).unwrap();
        EncodedRecord::new(key, Bytes::from(format!("record {number}")))
    }

    fn processor(&self, _: &ShardId, run: &SimulatedRun) -> Moody {
        Moody {
            run: run.clone(),
            mode: self.mode,
        }
    }

    fn worker(&self, builder: WorkerBuilder<EncodedRecord>) -> WorkerBuilder<EncodedRecord> {
        builder
            .checkpointing(self.mode)
            .checkpoint_interval(self.checkpoint_interval)
            .batch_records_max(self.batch_records_max)
            .concurrency(self.lanes)
            .order(self.order)
    }
}

#[test]
fn fleets_keep_their_promises_whatever_goes_wrong() {
    let simulation = FleetSimulation::new().seeds(0..seeds(SEEDS)).streams_max(2);
    let report = simulation
        .run(Ours::new)
        .unwrap_or_else(|failure| panic!("{failure}"));
    eprintln!("{report:?}");
    assert!(
        report.records_repeated * 2 < report.records_given,
        "{report:?}"
    );
}

/// A wrong processor: it checkpoints records before it has finished them.
struct Forgetful;

impl Processor for Forgetful {
    type Record = EncodedRecord;

    async fn process(
        &mut self,
        batch: Batch<EncodedRecord>,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        // The checkpoint comes before any record is finished.
        if let Some(last) = batch.last_position() {
            checkpointer.checkpoint(last).await?;
        }
        Ok(())
    }
}

struct Faulty {
    checkpoints_early: bool,
}

impl Scenario for Faulty {
    type Record = EncodedRecord;
    type Processor = Forgetful;

    fn record(&self, number: u64) -> EncodedRecord {
        let key = PartitionKey::new((number % 9).to_string()).unwrap();
        EncodedRecord::new(key, Bytes::new())
    }

    fn processor(&self, _: &ShardId, _: &SimulatedRun) -> Forgetful {
        Forgetful
    }

    fn worker(&self, builder: WorkerBuilder<EncodedRecord>) -> WorkerBuilder<EncodedRecord> {
        if self.checkpoints_early {
            return builder.checkpointing(Checkpointing::Manual);
        }
        builder
    }

    fn check(&self, run: &SimulatedRun) -> Result<(), BoxError> {
        assert!(!run.put().is_empty());
        Err("rows are missing".into())
    }
}

#[test]
fn a_failing_seed_tells_how_to_run_it_again() {
    for (checkpoints_early, expected) in [(true, "passes the unfinished"), (false, "unfinished")] {
        let simulation = FleetSimulation::new().seeds(3..4).steps(40);
        let failure = simulation
            .run(|_| Faulty { checkpoints_early })
            .unwrap_err();
        let text = failure.to_string();
        assert!(text.contains(expected), "{text}");
        assert!(text.ends_with("KINESIS_PIPELINE_SEED=3"), "{text}");
    }
}

#[test]
fn the_check_of_a_scenario_fails_its_seed() {
    struct Checked;
    impl Scenario for Checked {
        type Record = EncodedRecord;
        type Processor = Moody;

        fn record(&self, number: u64) -> EncodedRecord {
            Ours::new(0).record(number)
        }

        fn processor(&self, _: &ShardId, run: &SimulatedRun) -> Moody {
            let mode = Checkpointing::Automatic;
            Moody {
                run: run.clone(),
                mode,
            }
        }

        fn check(&self, run: &SimulatedRun) -> Result<(), BoxError> {
            Err(format!("{} rows are missing", run.put().len()).into())
        }
    }
    let simulation = FleetSimulation::new().seeds(0..1).steps(20).workers_max(1);
    let simulation = simulation.shards_max(1).without(Disturbance::Kill);
    let failure = simulation.run(|_| Checked).unwrap_err();
    assert!(
        failure.violations[0].ends_with("rows are missing"),
        "{failure}"
    );
}
