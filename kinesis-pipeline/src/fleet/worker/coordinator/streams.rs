use std::{borrow::Cow, collections::BTreeMap, mem, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::coordinator::{LeaseCoordinator, ShardList};
use crate::{
    fleet::{
        lease::{Lease, LeaseChange, LeaseWrite, StreamIdentifier, sync::HoleWatch},
        worker::{
            WorkerError,
            lease_keys::LeaseKeys,
            observe::{Observer, StreamObserver},
            settings::Settings,
        },
    },
    get::{consumer_ready, describe_stream},
    shard::{Shard, ShardId},
    target::Target,
};

/// The time after which the leases of a foreign stream are deleted, if all of them have been silent for so long. A
/// foreign stream is one that this worker does not read. Other workers may read it, for example while a new version of
/// the application is rolled out. KCL has no default for its `waitPeriodToDeleteFormerStreams`.
pub(in crate::fleet) const FORMER_STREAM_DELAY: Duration = Duration::from_hours(1);
/// The time after which one of several streams is described again, as it may have been deleted and made again.
const IDENTIFIER_AGE_MAX: Duration = Duration::from_mins(5);
/// The first pause after a stream failed. It doubles each time.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// A stream that the worker reads.
pub(in crate::fleet::worker) struct FleetStream {
    pub(super) target: Target,
    pub(super) observer: StreamObserver,
    pub(super) keys: LeaseKeys,
    pub(super) consumer_arn: Option<Arc<str>>,
    pub(super) shards: Option<ShardList>,
    pub(super) holes: HoleWatch,
    standing: Standing,
    pause: Duration,
    opened_at: Option<Instant>,
    /// The time at which the open stream is described again.
    describe_at: Option<Instant>,
    listing: Listing,
}

/// The pauses of listing, for a stream whose shards could not be listed in time. Its leases are taken and worked on
/// meanwhile.
struct Listing {
    pause: Duration,
    until: Option<Instant>,
}

enum Standing {
    /// The stream must be opened, for the first time or again.
    Closed,
    Open,
    /// The stream rests after an error: none of its leases is taken.
    Failed {
        error: WorkerError,
        until: Instant,
    },
}

/// The facts about a stream that were found when it was opened.
struct Opened {
    keys: LeaseKeys,
    consumer_arn: Option<Arc<str>>,
}

impl FleetStream {
    pub(in crate::fleet::worker) fn new(target: Target, observer: &Observer) -> Self {
        Self {
            observer: observer.of_stream(&target.stream),
            target,
            keys: LeaseKeys::default(),
            consumer_arn: None,
            shards: None,
            holes: HoleWatch::default(),
            standing: Standing::Closed,
            pause: PAUSE_MIN,
            opened_at: None,
            describe_at: None,
            listing: Listing {
                pause: PAUSE_MIN,
                until: None,
            },
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.standing, Standing::Open)
    }

    /// Whether the key belongs to a shard of this stream, as last opened.
    pub(super) fn has(&self, key: &ShardId) -> bool {
        self.opened_at.is_some() && self.keys.has(key)
    }

    fn is_due(&self, now: Instant, is_multi_stream: bool) -> bool {
        match &self.standing {
            Standing::Closed => true,
            Standing::Open => is_multi_stream && self.describe_at.is_none_or(|at| now >= at),
            Standing::Failed { until, .. } => now >= *until,
        }
    }

    async fn open(&self, settings: &Settings) -> Result<Opened, WorkerError> {
        let stream = || self.target.stream.clone();
        let read = |source| WorkerError::Read {
            stream: stream(),
            source,
        };
        let keys = if settings.is_multi_stream {
            let summary = describe_stream(&self.target).await.map_err(read)?;
            let identifier = StreamIdentifier::of_stream(&summary);
            let identifier = identifier.map_err(|source| WorkerError::Identifier {
                stream: stream(),
                source,
            })?;
            LeaseKeys::of(identifier)
        } else {
            LeaseKeys::default()
        };
        let consumer_arn = match (&settings.reader.fan_out, &self.consumer_arn) {
            (Some(name), known) if known.is_none() || keys != self.keys => {
                Some(consumer_ready(&self.target, name).await.map_err(read)?)
            }
            (_, known) => known.clone(),
        };
        Ok(Opened { keys, consumer_arn })
    }

    /// Takes in an opened stream. Returns whether it is another one than before, of the same name.
    fn on_opened(&mut self, opened: Opened, now: Instant) -> bool {
        let is_other = self.opened_at.is_some() && self.keys != opened.keys;
        if is_other {
            self.shards = None;
            self.holes = HoleWatch::default();
        }
        self.keys = opened.keys;
        self.consumer_arn = opened.consumer_arn;
        self.opened_at = Some(now);
        self.describe_at = Some(now + IDENTIFIER_AGE_MAX);
        self.standing = Standing::Open;
        is_other
    }

    /// Notes that a description failed for now. The stream counts as the same one meanwhile.
    fn on_not_described(&mut self, error: &WorkerError, now: Instant) {
        let stream = &self.target.stream;
        let cause = error as &dyn std::error::Error;
        tracing::warn!(%stream, error = cause, "the stream cannot be described; trying again");
        self.describe_at = Some(now + PAUSE_MAX);
    }

    /// Whether the shards may be listed: there is no pause, or it is over.
    pub(super) fn may_list(&self, now: Instant) -> bool {
        self.listing.until.is_none_or(|until| now >= until)
    }

    pub(super) fn on_listed(&mut self, shards: Vec<Shard>, asked_at: Instant) {
        let shards = self.keys.shards(shards);
        self.shards = Some(ShardList { shards, asked_at });
        self.listing.pause = PAUSE_MIN;
    }

    pub(super) fn on_not_listed_in_time(&mut self, now: Instant) {
        let (stream, pause) = (&self.target.stream, self.listing.pause);
        tracing::warn!(%stream, ?pause, "shards are not listed in time; trying again");
        self.listing.until = Some(now + pause);
        self.listing.pause = (pause * 2).min(PAUSE_MAX);
    }

    fn on_failed(&mut self, error: WorkerError, now: Instant) {
        let is_long_ago = |opened_at| now - opened_at > PAUSE_MAX;
        if self.is_open() && self.opened_at.is_some_and(is_long_ago) {
            self.pause = PAUSE_MIN;
        }
        let stream = &self.target.stream;
        let cause = &error as &dyn std::error::Error;
        let pause = self.pause;
        tracing::warn!(%stream, error = cause, ?pause, "the stream rests after an error");
        let until = now + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.standing = Standing::Failed { error, until };
    }

    fn has_failed_for_good(&self) -> bool {
        matches!(&self.standing, Standing::Failed { error, .. } if !error.is_retryable())
    }
}

/// The streams of a worker. An error of one of several does not affect the others.
impl<F> LeaseCoordinator<F> {
    /// Returns the stream of a lease.
    pub(super) fn stream_of(&self, key: &ShardId) -> Option<&FleetStream> {
        self.streams.iter().find(|stream| stream.has(key))
    }

    /// Opens the streams that are due, concurrently.
    pub(super) async fn open_streams(&mut self) -> Result<(), WorkerError> {
        let (now, settings) = (self.clock.instant(), self.settings.clone());
        let is_alone = self.streams.len() == 1;
        let due = self.streams.iter().enumerate();
        let due = due.filter(|(_, stream)| stream.is_due(now, settings.is_multi_stream));
        let opened = join_all(due.map(async |(index, stream)| {
            let opening = stream.open(&settings);
            // The time limit keeps a stream that does not answer from delaying the work on the leases.
            let time = match stream.standing {
                Standing::Open => settings.call_max(),
                _ if is_alone => return (index, Some(opening.await)),
                _ => settings.failover,
            };
            (index, timeout(time, opening).await.ok())
        }))
        .await;
        for (index, opened) in opened {
            match opened {
                Some(Ok(opened)) => self.on_opened(index, opened)?,
                Some(Err(error)) => self.on_stream_failed(index, error)?,
                None => self.on_unanswered(index)?,
            }
        }
        Ok(())
    }

    fn on_opened(&mut self, index: usize, opened: Opened) -> Result<(), WorkerError> {
        self.refuse_twin(index, &opened)?;
        let now = self.clock.instant();
        let stream = &mut self.streams[index];
        let before = stream.keys.clone();
        if !stream.on_opened(opened, now) {
            return Ok(());
        }
        let id = &stream.target.stream;
        tracing::warn!(stream = %id, "the stream was deleted and made again: reading begins anew");
        for (key, running) in &self.running {
            if before.has(key) {
                running.hold.lose();
            }
        }
        Ok(())
    }

    /// Refuses a stream that the worker has twice, through two endpoints: each would take the other's leases as its
    /// own.
    fn refuse_twin(&self, index: usize, opened: &Opened) -> Result<(), WorkerError> {
        let Some(identifier) = opened.keys.identifier() else {
            return Ok(());
        };
        let mut others = self.streams.iter().enumerate();
        let is_twin = |stream: &FleetStream| stream.keys.identifier() == Some(identifier);
        match others.find(|(at, other)| *at != index && is_twin(other)) {
            None => Ok(()),
            Some((_, twin)) => Err(WorkerError::DuplicateStream {
                stream: self.streams[index].target.stream.clone(),
                other: twin.target.stream.clone(),
                identifier: identifier.clone(),
            }),
        }
    }

    fn on_unanswered(&mut self, index: usize) -> Result<(), WorkerError> {
        let stream = self.streams[index].target.stream.clone();
        self.on_stream_failed(index, WorkerError::Unanswered { stream })
    }

    /// Lets a stream rest after an error. An open stream with a retryable error stays open. Returns the error if the
    /// worker has no stream left.
    pub(super) fn on_stream_failed(
        &mut self,
        index: usize,
        error: WorkerError,
    ) -> Result<(), WorkerError> {
        let now = self.clock.instant();
        if self.streams[index].is_open() && error.is_retryable() {
            self.streams[index].on_not_described(&error, now);
            return Ok(());
        }
        if self.streams.len() == 1 {
            return Err(error);
        }
        self.streams[index].on_failed(error, now);
        if !self.streams.iter().all(FleetStream::has_failed_for_good) {
            return Ok(());
        }
        match mem::replace(&mut self.streams[index].standing, Standing::Closed) {
            Standing::Failed { error, .. } => Err(error),
            Standing::Closed | Standing::Open => Ok(()),
        }
    }

    /// Takes in a failure of the work on a shard. Returns the error if the worker cannot continue.
    pub(super) fn on_shard_failed(
        &mut self,
        key: &ShardId,
        error: WorkerError,
    ) -> Result<(), WorkerError> {
        let index = self.streams.iter().position(|stream| stream.has(key));
        match (error, index) {
            (error @ WorkerError::Read { .. }, Some(index)) => self.on_stream_failed(index, error),
            // The stream was deleted and made again since, so the error is about the old one.
            (WorkerError::Read { .. }, None) => Ok(()),
            (error, _) => Err(error),
        }
    }

    /// Checks that the rows are of one stream or of several streams, as this worker is.
    pub(super) fn check_keys(&self, leases: &[Lease]) -> Result<(), WorkerError> {
        let is_other = |lease: &&Lease| {
            if self.settings.is_multi_stream {
                StreamIdentifier::of_lease_key(&lease.shard_id).is_none()
            } else {
                lease.shard_id.as_str().contains(':')
            }
        };
        match leases.iter().find(is_other) {
            None => Ok(()),
            Some(lease) => Err(WorkerError::KeysOfOtherKind {
                app: self.settings.app.clone(),
                lease_key: lease.shard_id.clone(),
            }),
        }
    }

    /// Returns the leases that concern this worker: those of its open streams, and those that it is still reading in
    /// streams at rest.
    pub(super) fn own_leases<'a>(&self, leases: &'a [Lease]) -> Cow<'a, [Lease]> {
        let is_own = |lease: &&Lease| {
            let stream = self.stream_of(&lease.shard_id);
            stream.is_some_and(|s| s.is_open() || self.running.contains_key(&lease.shard_id))
        };
        if leases.iter().all(|lease| is_own(&lease)) {
            return Cow::Borrowed(leases);
        }
        leases.iter().filter(is_own).cloned().collect()
    }

    /// Deletes the leases of streams that no worker reads any more.
    pub(super) async fn remove_former(&self, leases: &[Lease]) {
        let deleted = self.former_leases(leases).into_iter().map(|lease| {
            tracing::info!(key = %lease.shard_id, "the lease of a former stream is deleted");
            LeaseWrite::new(lease, LeaseChange::Delete)
        });
        self.write_all(deleted).await;
    }

    fn former_leases(&self, leases: &[Lease]) -> Vec<Lease> {
        // A stream is known to be foreign only after all of this worker's streams were opened.
        if !self.settings.is_multi_stream || self.streams.iter().any(|s| s.opened_at.is_none()) {
            return Vec::new();
        }
        let mut by_stream = BTreeMap::<_, Vec<&Lease>>::new();
        for lease in leases {
            if self.stream_of(&lease.shard_id).is_none()
                && let Some((stream, _)) = StreamIdentifier::of_lease_key(&lease.shard_id)
            {
                by_stream.entry(stream).or_default().push(lease);
            }
        }
        let is_silent =
            |lease: &&Lease| self.sightings.silence(&lease.shard_id) >= FORMER_STREAM_DELAY;
        let former = by_stream.into_values();
        let former = former.filter(|leases| leases.iter().all(is_silent));
        former.flatten().cloned().collect()
    }
}
