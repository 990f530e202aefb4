use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::{mpsc, watch},
    task::{self, AbortHandle, JoinError, JoinSet},
    time::{Instant, sleep_until, timeout},
};

use super::{
    Checkpointer, FencingToken, Processor, WorkerError,
    consumer::{Outcome, ShardConsumer},
    hold::Hold,
    renewer::{LeaseRenewer, ORDERS_MAX, Order},
    settings::Settings,
    worker::WorkerReport,
};
use crate::{
    KinesisRecord,
    fleet::lease::{
        Lease, LeaseChange, LeaseStore, LeaseStoreError, LeaseWrite, LeaseWritten,
        plan::{Action, View, plan},
        sightings::Sightings,
        sync::{HoleWatch, Sync, has_hole},
    },
    get::{Progress, list_shards},
    shard::{Shard, ShardId},
    target::Target,
};

/// How many leases are written at a time.
const WRITES_AT_A_TIME: usize = 16;
/// A list of shards that is older is read again before it decides about a lease that is not in it.
const SHARDS_AGE_MAX: Duration = Duration::from_mins(1);
/// How often a list of leases is tried again after a failure, at most.
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// One worker's view of the fleet: looks at the leases in rounds, takes its share, and runs a renewer and a consumer
/// for each lease that it holds.
pub(super) struct LeaseCoordinator<F> {
    pub(super) target: Target,
    pub(super) store: Arc<dyn LeaseStore>,
    pub(super) settings: Arc<Settings>,
    pub(super) make: F,
    pub(super) consumer_arn: Option<Arc<str>>,
    pub(super) stop: watch::Receiver<bool>,
    /// Tells the consumers to leave their shards.
    pub(super) leave: watch::Sender<bool>,
    pub(super) sightings: Sightings,
    pub(super) holes: HoleWatch,
    pub(super) random: fastrand::Rng,
    pub(super) shards: Option<ShardList>,
    pub(super) running: HashMap<ShardId, Running>,
    pub(super) tasks: JoinSet<(ShardId, Outcome)>,
}

enum Event {
    Stop,
    Ended(Result<(ShardId, Outcome), JoinError>),
    Round,
}

/// A list of the stream's shards, and when it was asked for.
pub(super) struct ShardList {
    shards: Vec<Shard>,
    asked_at: Instant,
}

/// A lease that is worked on.
pub(super) struct Running {
    orders: mpsc::Sender<Order>,
    renewer: AbortHandle,
    /// The consumer's task.
    task: task::Id,
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
    /// Works until the worker is stopped or cannot go on; then leaves all shards.
    pub(super) async fn run(mut self) -> Result<WorkerReport, WorkerError> {
        let worked = self.work().await;
        self.leave.send_replace(true);
        let report = self.leave_all().await;
        worked.map(|()| report)
    }

    async fn work(&mut self) -> Result<(), WorkerError> {
        let mut next_round = self.target.clock.instant();
        loop {
            let event = tokio::select! {
                biased;
                () = stopped(self.stop.clone()) => Event::Stop,
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
                    next_round = self.target.clock.instant() + pause;
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
            // Processors' panics are errors, so this is one of a destructor. The next round takes the lease anew.
            Err(error) => {
                tracing::error!(%error, "the work on a shard ended without an outcome");
                self.running.retain(|_, running| running.task != error.id());
                return Ok(());
            }
        };
        tracing::debug!(shard = %shard_id, ?outcome, "shard left");
        self.running.remove(&shard_id);
        match outcome {
            Outcome::Failed(error) => Err(error),
            Outcome::Ended | Outcome::Lost | Outcome::Released => Ok(()),
        }
    }

    /// Looks at the leases once and acts. Returns the time until the next look.
    async fn round(&mut self) -> Result<Duration, WorkerError> {
        let asked_at = self.target.clock.instant();
        let mut leases = match self.list().await {
            Ok(leases) => leases,
            Err(error) if error.is_retryable() => {
                let app = &self.settings.app;
                tracing::warn!(%app, %error, "leases cannot be listed; trying again");
                return Ok(self.settings.hand_over_look_interval().min(AGAIN_MAX));
            }
            Err(source) => {
                let app = self.settings.app.clone();
                return Err(WorkerError::Store { app, source });
            }
        };
        let now = self.target.clock.instant();
        self.sightings.observe(&leases, asked_at, now);
        self.tell_renewers(&leases);
        self.sync(&mut leases).await?;
        let is_waiting = self.act(&leases).await;
        // Soon also after a write that another worker's was faster than.
        Ok(if is_waiting {
            self.settings.hand_over_look_interval()
        } else {
            // Workers that were started together do not stay in step.
            let jitter = 0.9 + self.random.f64() / 10.0;
            self.settings.round_interval().mul_f64(jitter)
        })
    }

    async fn list(&self) -> Result<Vec<Lease>, LeaseStoreError> {
        let call = self.store.list(&self.settings.app);
        let in_time = timeout(self.settings.failover, call).await;
        in_time.unwrap_or_else(|late| Err(LeaseStoreError::new("its usual place", late)))
    }

    /// Tells the renewers of leases that other workers have taken, or ask for.
    fn tell_renewers(&self, leases: &[Lease]) {
        let me = &self.settings.me;
        for lease in leases {
            if let Some(running) = self.running.get(&lease.shard_id)
                && (lease.owner.as_ref() != Some(me) || lease.checkpoint_owner.is_some())
            {
                // A full queue is that of a renewer that is busy with the store, which tells it too.
                let _ = running
                    .orders
                    .try_send(Order::Seen(Box::new(lease.clone())));
            }
        }
    }

    /// Makes leases that are missing and deletes those that are of no more use.
    async fn sync(&mut self, leases: &mut Vec<Lease>) -> Result<(), WorkerError> {
        let is_fresh = Sync::new(&[], leases).is_fresh();
        // A lease with an owner may be one of many whose rows were deleted: their holders make them again.
        let is_new = is_fresh && leases.iter().all(|lease| lease.owner.is_none());
        let (has_hole, now) = (has_hole(leases), self.target.clock.now());
        let lacks_parents = !self.orphans(leases).is_empty();
        let is_hole = self.holes.observe(has_hole || lacks_parents) || (is_new && has_hole);
        let is_needed = is_hole || self.lacks_shards(leases);
        let is_first = self.shards.is_none();
        if (is_needed || is_first) && !self.list_shards().await? {
            return Ok(());
        }
        let Some(list) = &self.shards else {
            return Ok(());
        };
        let sync = Sync::new(&list.shards, leases);
        let mut missing = Vec::new();
        let mut useless = Vec::new();
        if is_needed || is_first {
            useless = sync.former_leases();
        }
        if useless.is_empty() && is_hole {
            missing = if is_fresh {
                sync.first_leases(self.settings.initial, now)
            } else {
                sync.missing_leases(now)
            };
        }
        if self.leads(leases) {
            useless.extend(sync.finished_leases());
        }
        let deleted = useless
            .into_iter()
            .map(|lease| LeaseWrite::new(lease, LeaseChange::Delete));
        let written = self.write_all(deleted).await;
        leases.retain(|lease| written.iter().all(|gone| gone.shard_id != lease.shard_id));
        let made = self.write_all(missing.into_iter().map(LeaseWrite::create));
        leases.extend(made.await);
        Ok(())
    }

    /// Whether a lease hangs on a shard that this worker's list does not know yet.
    fn lacks_shards(&self, leases: &[Lease]) -> bool {
        let known = self.shards.as_ref();
        let is_known = |id: &ShardId| {
            known.is_some_and(|list| list.shards.iter().any(|shard| shard.id == *id))
        };
        let by_id: HashSet<_> = leases.iter().map(|lease| &lease.shard_id).collect();
        let hangs = leases.iter().any(|lease| {
            let is_lost = |parent| !by_id.contains(parent);
            !lease.checkpoint.has_begun()
                && lease.parents.iter().any(is_lost)
                && !is_known(&lease.shard_id)
        });
        let now = self.target.clock.instant();
        let is_old = known.is_none_or(|list| now - list.asked_at >= SHARDS_AGE_MAX);
        hangs || (is_old && leases.iter().any(Lease::is_finished))
    }

    /// Returns whether the shards were listed.
    async fn list_shards(&mut self) -> Result<bool, WorkerError> {
        let asked_at = self.target.clock.instant();
        match list_shards(&self.target).await {
            Ok(shards) => {
                self.shards = Some(ShardList { shards, asked_at });
                Ok(true)
            }
            Err(error) if error.is_retryable() || !self.running.is_empty() => {
                tracing::warn!(stream = %self.target.stream, %error, "shards cannot be listed");
                Ok(false)
            }
            Err(source) => {
                let stream = self.target.stream.clone();
                Err(WorkerError::Read { stream, source })
            }
        }
    }

    /// Whether this worker cleans up: the one with the least id among those that hold leases.
    fn leads(&self, leases: &[Lease]) -> bool {
        let least = leases.iter().filter_map(|lease| lease.owner.as_ref()).min();
        least.is_none_or(|least| self.settings.me <= *least)
    }

    /// Makes these writes, some at a time. Returns the leases of those that were done.
    async fn write_all(&self, writes: impl Iterator<Item = LeaseWrite>) -> Vec<Lease> {
        let calls: Vec<_> = writes.map(|write| self.write(write)).collect();
        let done = stream::iter(calls).buffer_unordered(WRITES_AT_A_TIME);
        done.filter_map(async |lease| lease).collect().await
    }

    async fn write(&self, write: LeaseWrite) -> Option<Lease> {
        let shard = write.seen.shard_id.clone();
        let call = self.store.write(&self.settings.app, write);
        match timeout(self.settings.call_max(), call).await {
            Ok(Ok(LeaseWritten::Done(lease))) => Some(lease),
            // The next round sees whether it was done.
            Ok(Err(error)) => {
                tracing::debug!(%shard, %error, "lease not written");
                None
            }
            Ok(Ok(LeaseWritten::Refused(_))) | Err(_) => None,
        }
    }

    /// Leases that must wait for the lease of a parent, as far as the list of shards tells.
    fn orphans(&self, leases: &[Lease]) -> HashSet<ShardId> {
        let list = self.shards.as_ref();
        list.map_or_else(HashSet::new, |list| {
            Sync::new(&list.shards, leases).orphans()
        })
    }

    /// Takes what the plan says. Returns whether to look again soon: a lease is being handed over to this worker, or
    /// was not there to take any more.
    async fn act(&mut self, leases: &[Lease]) -> bool {
        let (me, running) = (&self.settings.me, self.running.keys().cloned().collect());
        let orphans = self.orphans(leases);
        let view = View {
            leases,
            sightings: &self.sightings,
            me,
            running: &running,
            workers: &[],
            orphans: &orphans,
        };
        let actions = plan(view, self.settings.rules(), &mut self.random);
        let asked = actions
            .iter()
            .any(|action| matches!(action, Action::Steal(_)));
        let is_handed_one = leases
            .iter()
            .any(|lease| lease.owner.as_ref() == Some(me) && lease.checkpoint_owner.is_some());
        let begun = self.target.clock.instant();
        let wanted = actions.len();
        let writes = actions.into_iter().map(|action| match action {
            Action::Steal(lease) if lease.hands_over() => {
                LeaseWrite::new(lease, LeaseChange::HandOver(me.clone()))
            }
            Action::Take(lease) | Action::Steal(lease) => LeaseWrite::take(lease, me.clone()),
        });
        let written = self.write_all(writes).await;
        let was_refused = written.len() < wanted;
        for lease in written {
            if lease.checkpoint_owner.is_none() {
                self.start(lease, begun);
            }
        }
        asked || is_handed_one || was_refused
    }

    /// Begins to work on a lease that was taken by a write that began then.
    fn start(&mut self, lease: Lease, begun: Instant) {
        let shard_id = lease.shard_id.clone();
        tracing::info!(shard = %shard_id, worker = %self.settings.me, "lease taken");
        let hold = Hold::new(begun + self.settings.failover);
        let (orders, orders_in) = mpsc::channel(ORDERS_MAX);
        let progress = Arc::new(Progress::default());
        let token = FencingToken {
            shard_id: shard_id.clone(),
            counter: lease.counter,
        };
        let clock = self.target.clock.clone();
        let renewer = LeaseRenewer {
            store: self.store.clone(),
            settings: self.settings.clone(),
            clock: clock.clone(),
            lease: lease.clone(),
            hold: hold.clone(),
            progress: progress.clone(),
            orders: orders_in,
            renew_at: begun + self.settings.renew_interval(),
            save_at: begun + self.settings.checkpoint_interval,
        };
        let consumer = ShardConsumer {
            processor: (self.make)(&shard_id),
            target: self.target.clone(),
            store: self.store.clone(),
            settings: self.settings.clone(),
            consumer_arn: self.consumer_arn.clone(),
            lease,
            hold: hold.clone(),
            progress,
            checkpointer: Checkpointer::new(token, hold, orders.clone(), clock),
            stop: self.leave.subscribe(),
        };
        let renewer = tokio::spawn(renewer.run()).abort_handle();
        let id = shard_id.clone();
        let consumer = async move { (id, consumer.run().await) };
        let running = Running {
            orders,
            renewer,
            task: self.tasks.spawn(consumer).id(),
        };
        self.running.insert(shard_id, running);
    }

    /// Waits until all consumers have left their shards, for so long at most.
    async fn leave_all(&mut self) -> WorkerReport {
        let mut report = WorkerReport::default();
        let deadline = self.target.clock.instant() + self.settings.stop_max;
        while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, self.tasks.join_next()).await
        {
            if let Ok((shard_id, outcome)) = ended {
                self.running.remove(&shard_id);
                match outcome {
                    Outcome::Lost | Outcome::Failed(_) => report.lost.push(shard_id),
                    Outcome::Released | Outcome::Ended => report.released.push(shard_id),
                }
            }
        }
        self.tasks.abort_all();
        report.abandoned = self.running.drain().map(|(shard_id, _)| shard_id).collect();
        report
    }
}

/// Waits until the worker is stopped.
pub(super) async fn stopped(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // The worker's own handle is gone with the worker.
        std::future::pending::<()>().await;
    }
}
