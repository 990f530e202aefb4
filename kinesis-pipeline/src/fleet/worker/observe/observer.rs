use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::broadcast, time::Instant};

use super::{
    event::{WorkerEvent, WorkerEvents},
    health::{ShardFacts, ShardHealth, WorkerHealth, WorkerPhase, judge},
    metrics::WorkerMetrics,
};
use crate::{
    Clock,
    fleet::{
        lease::{Lease, LeaseCheckpoint},
        worker::hold::Hold,
    },
    get::{Progress, ReaderGauge},
    service::StreamId,
    shard::ShardId,
};

/// The number of events that are kept for a slow receiver. A worker of a thousand shards sends about as many at its
/// start.
const EVENTS_MAX: usize = 1_024;

/// The recorded facts about one worker. Cheap to clone.
#[derive(Clone)]
pub(in crate::fleet::worker) struct Observer(Arc<Inner>);

/// The recorded facts about the shards of one stream, with the stream's metrics. Cheap to clone.
#[derive(Clone)]
pub(in crate::fleet::worker) struct StreamObserver {
    worker: Observer,
    metrics: Arc<WorkerMetrics>,
}

struct Inner {
    clock: Clock,
    stalled_after: Duration,
    events: broadcast::Sender<WorkerEvent>,
    /// The recorded facts. The lock is held only to record or copy some.
    notes: Mutex<Notes>,
}

struct Notes {
    phase: WorkerPhase,
    /// The shards, by lease key.
    shards: BTreeMap<ShardId, ShardNotes>,
    fleet: Option<FleetNotes>,
}

#[derive(Clone, Copy)]
struct FleetNotes {
    shards: usize,
    workers: usize,
    listed_at: Instant,
}

struct ShardNotes {
    /// The shard's id, as its reader and its progress use it.
    shard_id: ShardId,
    /// The metrics of the shard's stream.
    metrics: Arc<WorkerMetrics>,
    hold: Hold,
    progress: Arc<Progress>,
    reader: Option<ReaderGauge>,
    /// The batches in the processors, at most one for each lane, in the order in which they began.
    at_work: BTreeMap<u64, (Instant, Duration)>,
    batches_begun: u64,
    progress_at: Instant,
    checkpoint: LeaseCheckpoint,
    checkpoint_at: Option<Instant>,
}

/// A batch in the processor. Dropping it without [`finish`](Self::finish) means that it was not finished.
pub(in crate::fleet::worker) struct BatchAtWork {
    observer: StreamObserver,
    key: ShardId,
    number: u64,
    begun: Instant,
}

/// A guard that notes the end of a worker when it is dropped.
pub(in crate::fleet::worker) struct RunGuard(Observer);

impl Observer {
    pub(in crate::fleet::worker) fn new(clock: Clock, stalled_after: Duration) -> Self {
        let (events, _) = broadcast::channel(EVENTS_MAX);
        Self(Arc::new(Inner {
            clock,
            stalled_after,
            events,
            notes: Mutex::new(Notes {
                phase: WorkerPhase::Built,
                shards: BTreeMap::new(),
                fleet: None,
            }),
        }))
    }

    pub(in crate::fleet::worker) fn guard(&self) -> RunGuard {
        RunGuard(self.clone())
    }

    pub(in crate::fleet::worker) fn events(&self) -> WorkerEvents {
        // The last event is sent under the same lock. So a receiver either gets that event, or sees here that the
        // worker has stopped.
        let notes = self.lock();
        match notes.phase {
            WorkerPhase::Stopped => WorkerEvents::none(),
            _ => WorkerEvents::of(self.0.events.subscribe()),
        }
    }

    pub(in crate::fleet::worker) fn health(&self) -> WorkerHealth {
        let (now, after) = (self.now(), self.0.stalled_after);
        let notes = self.lock();
        let shards = notes.shards.iter();
        WorkerHealth {
            phase: notes.phase,
            shards: shards
                .map(|(key, notes)| (key.clone(), notes.judge(now, after)))
                .collect(),
            fleet_shards: notes.fleet.map(|fleet| fleet.shards),
            fleet_workers: notes.fleet.map(|fleet| fleet.workers),
            since_listed: notes.fleet.map(|fleet| now.duration_since(fleet.listed_at)),
        }
    }

    /// Notes that the worker begins to run, or to stop.
    pub(in crate::fleet::worker) fn on_phase(&self, phase: WorkerPhase) {
        self.lock().phase = phase;
    }

    /// Notes the listed leases of the worker's streams.
    pub(in crate::fleet::worker) fn on_listed<'a>(
        &self,
        leases: impl Iterator<Item = &'a Lease> + Clone,
    ) {
        let open = leases.filter(|lease| !lease.is_finished());
        let owners = open.clone().filter_map(|lease| lease.owner.as_ref());
        let fleet = FleetNotes {
            shards: open.count(),
            workers: owners.collect::<HashSet<_>>().len(),
            listed_at: self.now(),
        };
        let mut notes = self.lock();
        notes.fleet = Some(fleet);
        if notes.phase == WorkerPhase::Starting {
            notes.phase = WorkerPhase::Working;
        }
    }

    /// Returns the observer of one of the worker's streams.
    pub(in crate::fleet::worker) fn of_stream(&self, stream: &StreamId) -> StreamObserver {
        StreamObserver {
            worker: self.clone(),
            metrics: Arc::new(WorkerMetrics::new(stream)),
        }
    }

    /// Notes that the worker has ended.
    pub(in crate::fleet::worker) fn on_stopped(&self, error: Option<String>) {
        let mut notes = self.lock();
        if notes.phase != WorkerPhase::Stopped {
            notes.phase = WorkerPhase::Stopped;
            for shard in std::mem::take(&mut notes.shards).into_values() {
                shard.metrics.on_held(0);
            }
            self.send(WorkerEvent::Stopped { error });
        }
    }
}

/// The events of a stream's shards. `key` is the lease key.
impl StreamObserver {
    /// Notes that the lease of this shard was taken.
    pub(in crate::fleet::worker) fn on_acquired(
        &self,
        lease: &Lease,
        shard_id: ShardId,
        hold: Hold,
        progress: Arc<Progress>,
    ) {
        let shard = ShardNotes {
            shard_id,
            metrics: self.metrics.clone(),
            hold,
            progress,
            reader: None,
            at_work: BTreeMap::new(),
            batches_begun: 0,
            progress_at: self.worker.now(),
            checkpoint: lease.checkpoint.clone(),
            checkpoint_at: None,
        };
        self.metrics.taken.add(1);
        let mut notes = self.worker.lock();
        notes.shards.insert(lease.shard_id.clone(), shard);
        self.count_held(&notes);
        self.worker.send(WorkerEvent::Acquired {
            shard_id: lease.shard_id.clone(),
            counter: lease.counter,
        });
    }

    /// Notes that the work on a shard has ended, with the event for it; `None` if it ended without an outcome.
    pub(in crate::fleet::worker) fn on_left(&self, key: &ShardId, event: Option<WorkerEvent>) {
        match event {
            Some(WorkerEvent::Lost { .. }) => self.metrics.lost.add(1),
            Some(WorkerEvent::HandedOver { .. }) => self.metrics.handed_over.add(1),
            _ => {}
        }
        let mut notes = self.worker.lock();
        notes.shards.remove(key);
        self.count_held(&notes);
        if let Some(event) = event {
            self.worker.send(event);
        }
    }

    /// Notes the reader of a shard.
    pub(in crate::fleet::worker) fn on_reader(&self, key: &ShardId, gauge: ReaderGauge) {
        self.worker
            .update(key, |shard, _| shard.reader = Some(gauge));
    }

    /// Notes a batch that is given to the processor.
    pub(in crate::fleet::worker) fn on_batch(
        &self,
        key: &ShardId,
        behind_latest: Option<Duration>,
    ) -> BatchAtWork {
        let lag = behind_latest.unwrap_or_default();
        let mut number = 0;
        self.worker.update(key, |shard, now| {
            if shard.at_work.is_empty() && shard.progress.open_count(&shard.shard_id) == 0 {
                shard.progress_at = now;
            }
            number = shard.batches_begun;
            shard.batches_begun += 1;
            shard.at_work.insert(number, (now, lag));
        });
        BatchAtWork {
            observer: self.clone(),
            key: key.clone(),
            number,
            begun: self.worker.now(),
        }
    }

    /// Notes the `failures`th failure of the processor on a batch.
    pub(in crate::fleet::worker) fn on_failure(
        &self,
        key: &ShardId,
        failures: u32,
        error: &dyn fmt::Display,
    ) {
        self.metrics.failures.add(1);
        self.worker.send_if_heard(|| WorkerEvent::ProcessorFailed {
            shard_id: key.clone(),
            failures,
            error: error.to_string(),
        });
    }

    pub(in crate::fleet::worker) fn on_dead_letters(&self, key: &ShardId, records: usize) {
        self.metrics.dead_letters.add(records as u64);
        self.worker.send_if_heard(|| WorkerEvent::DeadLettered {
            shard_id: key.clone(),
            records,
        });
    }

    pub(in crate::fleet::worker) fn on_skipped(&self, key: &ShardId, records: usize) {
        self.metrics.skipped.add(records as u64);
        self.worker.send_if_heard(|| WorkerEvent::Skipped {
            shard_id: key.clone(),
            records,
        });
    }

    /// Notes a failed write of a held lease.
    pub(in crate::fleet::worker) fn on_write_failed(
        &self,
        key: &ShardId,
        error: &dyn fmt::Display,
    ) {
        self.metrics.write_errors.add(1);
        self.worker.send_if_heard(|| WorkerEvent::LeaseWriteFailed {
            shard_id: key.clone(),
            error: error.to_string(),
        });
    }

    /// Notes a write of a held lease, and whether the lease had expired before.
    pub(in crate::fleet::worker) fn on_written(&self, lease: &Lease, was_late: bool) {
        if was_late {
            self.metrics.late_renewals.add(1);
        }
        self.worker.update(&lease.shard_id, |shard, now| {
            if shard.checkpoint != lease.checkpoint {
                shard.checkpoint = lease.checkpoint.clone();
                shard.checkpoint_at = Some(now);
                shard.progress_at = now;
            }
        });
    }

    /// Sets the metric of held leases, for this stream.
    fn count_held(&self, notes: &Notes) {
        let is_own = |shard: &&ShardNotes| Arc::ptr_eq(&shard.metrics, &self.metrics);
        let held = notes.shards.values().filter(is_own).count();
        self.metrics.on_held(held);
    }
}

/// The lock and the channel of events.
impl Observer {
    fn update(&self, key: &ShardId, change: impl FnOnce(&mut ShardNotes, Instant)) {
        let now = self.now();
        if let Some(shard) = self.lock().shards.get_mut(key) {
            change(shard, now);
        }
    }

    fn send_if_heard(&self, event: impl FnOnce() -> WorkerEvent) {
        if self.0.events.receiver_count() > 0 {
            self.send(event());
        }
    }

    fn send(&self, event: WorkerEvent) {
        // The error means that there are no receivers.
        let _ = self.0.events.send(event);
    }

    fn now(&self) -> Instant {
        self.0.clock.instant()
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShardNotes {
    fn judge(&self, now: Instant, stalled_after: Duration) -> ShardHealth {
        let read = self.reader.as_ref().map(ReaderGauge::shard);
        let read = read.unwrap_or_default();
        let facts = ShardFacts {
            is_renewed: self.hold.is_valid(now),
            at_work: self.at_work.values().next().copied(),
            waits_for_acks: self.progress.open_count(&self.shard_id) > 0,
            progress_at: self.progress_at,
            read_lag: read.behind_latest,
            failing: read.failing,
            checkpoint: self.checkpoint.clone(),
            checkpoint_at: self.checkpoint_at,
        };
        judge(facts, now, stalled_after)
    }
}

impl BatchAtWork {
    /// Notes that the batch of `records` records is finished.
    pub(in crate::fleet::worker) fn finish(self, records: usize) {
        let worker = &self.observer.worker;
        let time = worker.now().duration_since(self.begun);
        self.observer.metrics.on_batch(records, time);
        worker.update(&self.key, |shard, now| shard.progress_at = now);
    }
}

impl Drop for BatchAtWork {
    fn drop(&mut self) {
        self.observer.worker.update(&self.key, |shard, _| {
            shard.at_work.remove(&self.number);
        });
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        self.0.on_stopped(None);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let notes = self.lock();
        f.debug_struct("Observer")
            .field("phase", &notes.phase)
            .field("shards", &notes.shards.len())
            .finish_non_exhaustive()
    }
}
