use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::watch;

use super::world::{Place, World};
use crate::{Batch, BoxError, Checkpointer, Processor, Record, ShardId, fleet::lease::WorkerId};

/// A processor that takes its time, fails now and then, and tells the checker of everything.
pub(super) struct Witness {
    pub(super) world: Arc<World>,
    pub(super) worker: WorkerId,
    pub(super) shard_id: ShardId,
    pub(super) paused: watch::Receiver<bool>,
    pub(super) mode: Mode,
}

/// How the processor finishes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Returns,
    Checkpoints,
    Acks,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.world.set_running(&self.worker, &self.shard_id, false);
    }
}

impl Witness {
    async fn pass(&mut self) {
        let _ = self.paused.wait_for(|paused| !paused).await;
    }

    async fn work(&self) {
        let (time, part) = self.world.random(|random| {
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

fn place(record: &Record<Bytes>) -> Place {
    let position = record.position();
    (
        position.sequence_number.clone(),
        position.sub_sequence_number,
    )
}

impl Processor for Witness {
    type Record = Bytes;

    async fn process(
        &mut self,
        batch: Batch<Bytes>,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        let places: Vec<_> = batch.records.iter().map(place).collect();
        let token = checkpointer.token().counter;
        let (id, attempt) = (self.shard_id.clone(), batch.attempt);
        self.world.begin(&self.worker, &id, token, &places, attempt);
        self.work().await;
        self.pass().await;
        if self.world.random(|random| random.u8(..20) == 0) {
            assert!(self.world.random(fastrand::Rng::bool), "as processors do");
            return Err("as processors do".into());
        }
        match self.mode {
            Mode::Returns => self.world.finish(&id, &places),
            Mode::Checkpoints => {
                self.world.finish(&id, &places);
                if let Some(last) = batch.last_position()
                    && self.world.random(fastrand::Rng::bool)
                {
                    let pending = checkpointer.prepare(last, "state").await;
                    pending.and(checkpointer.checkpoint(last).await)?;
                }
            }
            Mode::Acks => {
                let mut records = batch.records;
                self.world.random(|random| random.shuffle(&mut records));
                for record in records {
                    self.world.finish(&id, &[place(&record)]);
                    record.ack();
                }
            }
        }
        Ok(())
    }

    async fn shard_ended(&mut self, _: &Checkpointer) -> Result<(), BoxError> {
        self.pass().await;
        if self.world.random(|random| random.u8(..10) == 0) {
            return Err("as processors do".into());
        }
        Ok(())
    }
}
