use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, future::ready, stream};
use kinesis_pipeline::{EncodedRecord, PendingCheckpoint, Position, Record, ShardId};
use object_store::path::Path;
use tokio::time::Instant;

use super::{
    ledger::Ledger,
    place::Placer,
    prepared::{Prepared, Replay},
    task::Shared,
};
use crate::{
    DeliveryError,
    counts::Counts,
    store::{Target, Uploads},
    window::{Folder, Kind, SealedObject, Window},
};

/// The most objects of a shard that are written at the same time.
const WRITES_MAX: usize = 8;
/// The grace period after a window's age. Records that arrived in time may still be on their way to the reader, which
/// polls once a second.
const TIP_GRACE: Duration = Duration::from_secs(2);

/// The delivery of one shard.
///
/// The task calls [`record`](Self::record) for each record, [`timer`](Self::timer) when [`due_at`](Self::due_at) has
/// come, [`end`](Self::end) at the shard's end.
pub(super) struct ShardDelivery {
    shard_id: ShardId,
    shared: Arc<Shared>,
    target: Target,
    ledger: Ledger,
    window: Window,
    placer: Placer,
    uploads: Uploads,
    /// The decision of the previous worker, while it is not finished.
    replay: Option<Replay>,
    due_at: Option<Instant>,
}

impl ShardDelivery {
    pub(super) fn new(
        shard_id: ShardId,
        shared: Arc<Shared>,
        ledger: Ledger,
        pending: Option<&PendingCheckpoint>,
    ) -> Result<Self, DeliveryError> {
        let replay = match pending {
            Some(pending) => Replay::of(&shard_id, pending, &shared.settings)?,
            None => None,
        };
        let settings = &shared.settings;
        let limits = replay
            .as_ref()
            .map_or(settings.limits, |replay| replay.limits);
        Ok(Self {
            shard_id,
            window: settings.window(limits)?,
            target: shared.target.clone(),
            ledger,
            placer: Placer::default(),
            uploads: Uploads::default(),
            replay,
            due_at: None,
            shared,
        })
    }

    pub(super) async fn record(
        &mut self,
        record: &Record<EncodedRecord>,
    ) -> Result<(), DeliveryError> {
        let (position, arrived_at) = (record.position(), record.arrived_at);
        self.leave_replay_before(position).await?;
        if self.window.ends_before(arrived_at) {
            self.close().await?;
        }
        self.warn_of_lost_beginning(position);
        self.window.begin_record(position, arrived_at);
        Counts::add(&self.shared.counts.records);
        let shared = &self.shared;
        let placed = self
            .placer
            .place(&shared.settings, &shared.counts, record, &mut self.window);
        let folder = placed.map_err(|source| self.compress_error(source))?;
        self.shared.counts.memory(self.window.memory_bytes());
        self.spill(folder).await?;
        let due = self.window.due();
        let due = due.map_err(|source| self.compress_error(source))?;
        if let Some((first, sealed)) = due {
            self.write(sealed, first, position.clone()).await?;
        }
        if self
            .replay
            .as_ref()
            .is_some_and(|replay| replay.through == *position)
        {
            self.finish_replay().await?;
        }
        Ok(())
    }

    /// Ends a replay that does not cover this position: its last record has expired.
    async fn leave_replay_before(&mut self, position: &Position) -> Result<(), DeliveryError> {
        match &self.replay {
            Some(replay) if !replay.covers(position) => self.finish_replay().await,
            _ => Ok(()),
        }
    }

    async fn finish_replay(&mut self) -> Result<(), DeliveryError> {
        if self.replay.as_ref().is_some_and(|replay| replay.ends) {
            self.close().await?;
        }
        self.replay = None;
        if self.window.range().is_none() {
            self.window.set_limits(self.shared.settings.limits);
        }
        Ok(())
    }

    fn warn_of_lost_beginning(&self, position: &Position) {
        if let Some(replay) = &self.replay
            && self.window.range().is_none()
            && replay.lacks_its_beginning(position)
        {
            let shard = &self.shard_id;
            tracing::error!(%shard, "records expired while an object was prepared: it is written without them, and records that a crashed worker wrote may be there twice");
        }
    }

    /// Uploads parts of objects that are too large for memory.
    async fn spill(&mut self, delivered: Option<Folder>) -> Result<(), DeliveryError> {
        let settings = &self.shared.settings;
        let source = settings.source_prefix.as_ref();
        let source = source.map(|_| Folder::of(Kind::Source));
        for folder in delivered.into_iter().chain(source) {
            if let Some(spill) = self.window.spill(&folder) {
                let key = settings.path(&folder, &spill.first, spill.oldest);
                self.uploads
                    .part(&self.target, &spill.folder, &key, spill.chunks)
                    .await?;
            }
        }
        Ok(())
    }

    /// Ends the window: writes all open objects and moves the checkpoint behind them.
    async fn close(&mut self) -> Result<(), DeliveryError> {
        let Some((first, last)) = self.window.range().cloned() else {
            return Ok(());
        };
        let sealed = self.window.seal_all();
        let sealed = sealed.map_err(|source| self.compress_error(source))?;
        self.write(sealed, first, last).await
    }

    /// Prepares and writes objects, and makes a checkpoint if none is open behind them.
    async fn write(
        &mut self,
        sealed: Vec<SealedObject>,
        first: Position,
        last: Position,
    ) -> Result<(), DeliveryError> {
        let ends = self.window.range().is_none();
        let settings = self.shared.settings.clone();
        let with_keys: Vec<(Path, SealedObject)> = sealed
            .into_iter()
            .map(|object| {
                (
                    settings.path(&object.folder, &object.first, object.oldest),
                    object,
                )
            })
            .collect();
        let is_decided = self
            .replay
            .as_ref()
            .is_some_and(|replay| replay.covers(&last));
        if !with_keys.is_empty() && !is_decided {
            let keys = with_keys.iter().map(|(key, _)| key.to_string());
            let prepared = Prepared::new(&settings, self.window.limits(), ends, &first);
            let prepared = prepared.keys(keys);
            self.ledger.prepare(&last, prepared.to_bytes()).await?;
        }
        self.put_all(with_keys).await?;
        if ends {
            self.ledger.checkpoint(&last).await?;
            let is_over = self
                .replay
                .as_ref()
                .is_none_or(|replay| replay.through == last);
            if is_over {
                self.replay = None;
                self.window.set_limits(settings.limits);
            }
        }
        Ok(())
    }

    async fn put_all(&mut self, objects: Vec<(Path, SealedObject)>) -> Result<(), DeliveryError> {
        let is_same_version = self
            .replay
            .as_ref()
            .is_none_or(|replay| replay.is_same_version);
        let (uploaded, whole): (Vec<_>, Vec<_>) = objects
            .into_iter()
            .partition(|(_, object)| object.crc.is_some());
        let (target, counts) = (&self.target, &self.shared.counts);
        for (key, mut object) in uploaded {
            let uploads = &mut self.uploads;
            let put = uploads
                .complete(target, &mut object, is_same_version)
                .await?;
            counts.object(put, object.bytes);
            if let Some(merger) = &self.shared.merger {
                merger.put_manifest(&key, &object).await?;
            }
        }
        if let Some(merger) = &self.shared.merger {
            // All at once, because each waits for segments of other shards.
            let put = |(id, object)| merger.put(id, object, is_same_version);
            return stream::iter(whole)
                .map(put)
                .buffer_unordered(usize::MAX)
                .try_for_each(|_| ready(Ok(())))
                .await;
        }
        let put_one = |(key, object): (Path, SealedObject)| async move {
            let put = target.put(&key, &object.chunks, is_same_version).await?;
            counts.object(put, object.bytes);
            tracing::debug!(%key, records = object.records, bytes = object.bytes, last = %object.last, ?put, "an object");
            Ok(())
        };
        stream::iter(whole)
            .map(put_one)
            .buffer_unordered(WRITES_MAX)
            .try_collect()
            .await
    }

    /// Sets the timer after the records of a page were taken.
    pub(super) fn taken(&mut self, behind_latest: Option<Duration>) {
        let (clock, limits) = (&self.shared.settings.clock, self.window.limits());
        self.due_at = self.window.due_at().map(|due_at| {
            let (now, instant) = (clock.now(), clock.instant());
            // This machine's clock may be wrong: never wait longer than the window's age.
            let wait = due_at
                .duration_since(now)
                .unwrap_or_default()
                .min(limits.age);
            let is_behind = behind_latest.is_some_and(|behind| !behind.is_zero());
            let wait = if is_behind || self.replay.is_some() {
                // The arrival of the next records decides; the timer does only if none come.
                limits.age
            } else {
                wait
            };
            instant + wait + TIP_GRACE
        });
    }

    pub(super) fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// Ends the window at the time of `due_at`, when no record came.
    pub(super) async fn timer(&mut self) -> Result<(), DeliveryError> {
        self.due_at = None;
        self.close().await?;
        self.finish_replay().await
    }

    /// Ends the window at the end of the shard.
    pub(super) async fn end(&mut self) -> Result<(), DeliveryError> {
        self.due_at = None;
        self.close().await
    }

    fn compress_error(&self, source: std::io::Error) -> DeliveryError {
        DeliveryError::Compress {
            shard: self.shard_id.clone(),
            source,
        }
    }
}
