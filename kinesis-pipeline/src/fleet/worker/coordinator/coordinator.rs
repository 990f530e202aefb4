use std::{collections::HashMap, sync::Arc};

use tokio::{
    sync::{mpsc, watch},
    task::{self, AbortHandle, JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use super::{follow::Following, streams::FleetStream};
use crate::{
    Clock, KinesisRecord,
    fleet::{
        lease::{LeaseStore, sightings::Sightings},
        worker::{
            Processor, WorkerError, WorkerEvent, WorkerPhase, WorkerReport,
            hold::Hold,
            lease_command::LeaseCommand,
            observe::{Observer, StreamObserver},
            settings::Settings,
            shard::Outcome,
        },
    },
    shard::{Shard, ShardId},
};

/// The coordinator of one worker. It lists the leases in rounds, takes its share of them, and runs a renewer and a
/// consumer for each lease that it holds.
pub(in crate::fleet::worker) struct LeaseCoordinator<F> {
    pub(in crate::fleet::worker) streams: Vec<FleetStream>,
    pub(in crate::fleet::worker) clock: Clock,
    pub(in crate::fleet::worker) store: Arc<dyn LeaseStore>,
    pub(in crate::fleet::worker) settings: Arc<Settings>,
    pub(in crate::fleet::worker) make: F,
    pub(in crate::fleet::worker) stop: watch::Receiver<bool>,
    pub(in crate::fleet::worker) observer: Observer,
    /// The signal for the consumers to leave their shards.
    pub(in crate::fleet::worker) leave: watch::Sender<bool>,
    pub(in crate::fleet::worker) sightings: Sightings,
    pub(in crate::fleet::worker) following: Following,
    pub(in crate::fleet::worker) random: fastrand::Rng,
    pub(in crate::fleet::worker) running: HashMap<ShardId, Running>,
    pub(in crate::fleet::worker) tasks: JoinSet<(ShardId, Outcome)>,
}

enum Event {
    Stop,
    Ended(Result<(ShardId, Outcome), JoinError>),
    Round,
}

/// A list of a stream's shards under their lease keys, and the time at which it was requested.
pub(in crate::fleet::worker) struct ShardList {
    pub(super) shards: Vec<Shard>,
    pub(super) asked_at: Instant,
}

/// A lease whose shard is being read.
pub(in crate::fleet::worker) struct Running {
    pub(super) commands: mpsc::Sender<LeaseCommand>,
    pub(super) renewer: AbortHandle,
    pub(super) hold: Hold,
    pub(super) observer: StreamObserver,
    /// The consumer's task.
    pub(super) task: task::Id,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.renewer.abort();
    }
}

impl<R, P, F> LeaseCoordinator<F>
where
    R: KinesisRecord + Send,
    P: Processor<Record = R> + 'static,
    F: Fn(&ShardId) -> P,
{
    /// Works until the worker is stopped or cannot continue. Then leaves all shards.
    pub(in crate::fleet::worker) async fn run(mut self) -> Result<WorkerReport, WorkerError> {
        let worked = self.work().await;
        self.observer.on_phase(WorkerPhase::Stopping);
        self.leave.send_replace(true);
        let report = self.leave_all().await;
        worked.map(|()| report)
    }

    async fn work(&mut self) -> Result<(), WorkerError> {
        self.open_streams().await?;
        let mut next_round = self.clock.instant();
        loop {
            let event = tokio::select! {
                biased;
                () = stopped(&mut self.stop) => Event::Stop,
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    Event::Ended(ended)
                }
                () = sleep_until(next_round) => Event::Round,
            };
            match event {
                Event::Stop => return Ok(()),
                Event::Ended(ended) => self.on_ended(ended)?,
                Event::Round => {
                    let pause = self.round().await?;
                    next_round = self.clock.instant() + pause;
                }
            }
        }
    }

    fn on_ended(
        &mut self,
        ended: Result<(ShardId, Outcome), JoinError>,
    ) -> Result<(), WorkerError> {
        let (shard_id, outcome) = match ended {
            Ok(ended) => ended,
            // A panic of a processor is returned as an error, so this one is from a destructor. The next round takes
            // the lease again.
            Err(error) => {
                tracing::error!(%error, "the work on a shard ended without an outcome");
                for (key, running) in self
                    .running
                    .extract_if(|_, running| running.task == error.id())
                {
                    running.observer.on_left(&key, None);
                }
                return Ok(());
            }
        };
        tracing::debug!(shard = %shard_id, ?outcome, "shard left");
        self.remove(&shard_id, &outcome);
        match outcome {
            Outcome::Failed(error) => self.on_shard_failed(&shard_id, error),
            Outcome::Ended | Outcome::Lost | Outcome::Released | Outcome::HandedOver => Ok(()),
        }
    }

    fn remove(&mut self, key: &ShardId, outcome: &Outcome) {
        if let Some(running) = self.running.remove(key) {
            running.observer.on_left(key, event_of(key, outcome));
        }
    }

    /// Waits until all consumers have left their shards, at most for `stop_max`.
    async fn leave_all(&mut self) -> WorkerReport {
        let mut report = WorkerReport::default();
        let deadline = self.clock.instant() + self.settings.stop_max;
        while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, self.tasks.join_next()).await
        {
            if let Ok((shard_id, outcome)) = ended {
                self.remove(&shard_id, &outcome);
                match outcome {
                    Outcome::Lost | Outcome::Failed(_) => report.lost.push(shard_id),
                    Outcome::Released | Outcome::HandedOver | Outcome::Ended => {
                        report.released.push(shard_id);
                    }
                }
            }
        }
        self.tasks.abort_all();
        report.abandoned = self.running.drain().map(|(shard_id, _)| shard_id).collect();
        report
    }
}

/// Returns the event for the end of the work on a shard. A failure has no event of its own: it ends the worker.
fn event_of(shard_id: &ShardId, outcome: &Outcome) -> Option<WorkerEvent> {
    let shard_id = shard_id.clone();
    match outcome {
        Outcome::Ended => Some(WorkerEvent::ShardEnded { shard_id }),
        Outcome::Lost => Some(WorkerEvent::Lost { shard_id }),
        Outcome::Released => Some(WorkerEvent::Released { shard_id }),
        Outcome::HandedOver => Some(WorkerEvent::HandedOver { shard_id }),
        Outcome::Failed(_) => None,
    }
}

/// Waits until the worker is stopped.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // The worker's own handle was dropped with the worker, so no stop can come.
        std::future::pending::<()>().await;
    }
}
