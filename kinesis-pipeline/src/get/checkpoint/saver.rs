use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use super::{Checkpoint, CheckpointError, CheckpointFuture, CheckpointStore, Progress};
use crate::{clock::Clock, service::backoff::Backoff, shard::ShardId};

/// The time limit of a store's call.
const STORE_TIME_MAX: Duration = Duration::from_secs(30);

/// The time for which a failing store is tried again when a reader opens or ends.
const FAILING_MAX: Duration = Duration::from_secs(4);
/// The waits between these tries.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(1));

/// Saves an application's progress in a stream.
#[derive(Clone, Debug)]
pub(crate) struct Saver {
    store: Arc<dyn CheckpointStore>,
    app: Arc<str>,
    stream: Arc<str>,
    clock: Clock,
    pub(in crate::get) progress: Arc<Progress>,
    /// Shards that are finished and have expired. Their checkpoints are removed once those of their children are saved.
    gone: Arc<Mutex<Vec<ShardId>>>,
    /// Held during a save, so that saves reach the store in the order in which they took their positions.
    ///
    /// Without it, with a save of the driver (D) and one of a handle (H): D takes position 5, H takes position 7, the
    /// store writes 7, the store writes 5. The checkpoint goes back, and a shard that had ended is read again.
    saving: Arc<tokio::sync::Mutex<()>>,
    /// The creation time of the stream, once it is known. It is saved with each checkpoint.
    stream_created_at: Arc<OnceLock<SystemTime>>,
}

impl Saver {
    pub(in crate::get) fn new(
        store: Arc<dyn CheckpointStore>,
        app: Arc<str>,
        stream: &str,
        clock: Clock,
    ) -> Self {
        Self {
            store,
            app,
            stream: stream.into(),
            clock,
            progress: Arc::default(),
            gone: Arc::default(),
            saving: Arc::default(),
            stream_created_at: Arc::default(),
        }
    }

    pub(in crate::get) async fn load(&self) -> Result<Vec<Checkpoint>, CheckpointError> {
        in_time(self.store.load(&self.app, &self.stream)).await
    }

    /// Loads the checkpoints for a reader that opens. Tries again for some seconds if the store fails.
    pub(in crate::get) async fn load_first(&self) -> Result<Vec<Checkpoint>, CheckpointError> {
        self.for_seconds(|| self.load()).await
    }

    /// Saves the unsaved positions of a reader that ends. Tries again for some seconds if the store fails.
    pub(in crate::get) async fn save_last(&self) -> Result<(), CheckpointError> {
        self.for_seconds(|| self.save()).await
    }

    /// Repeats a call of the store until it succeeds, fails for good, or has failed for [`FAILING_MAX`].
    async fn for_seconds<T, F>(&self, call: impl Fn() -> F) -> Result<T, CheckpointError>
    where
        F: Future<Output = Result<T, CheckpointError>>,
    {
        let mut failures = 0;
        let mut until = None;
        loop {
            let error = match call().await {
                Err(error) if error.is_retryable() => error,
                outcome => return outcome,
            };
            let now = self.clock.instant();
            let until = *until.get_or_insert(now + FAILING_MAX);
            if now >= until {
                return Err(error);
            }
            failures += 1;
            let again = now + BACKOFF.after(failures, fastrand::f64());
            tokio::time::sleep_until(again.min(until)).await;
        }
    }

    /// Sets the creation time of the stream, which is saved with all checkpoints.
    pub(in crate::get) fn set_stream_created_at(&self, time: SystemTime) {
        // A reader opens once, so the first time stays.
        let _ = self.stream_created_at.set(time);
    }

    /// Removes these shards' checkpoints after the next save.
    pub(in crate::get) fn forget(&self, shards: impl IntoIterator<Item = ShardId>) {
        self.gone().extend(shards);
    }

    fn gone(&self) -> MutexGuard<'_, Vec<ShardId>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves the unsaved positions. After a failed save the next one saves them.
    pub(in crate::get) async fn save(&self) -> Result<(), CheckpointError> {
        let _in_order = self.saving.lock().await;
        let unsaved = self.progress.take_unsaved();
        if unsaved.is_empty() {
            return Ok(());
        }
        let saving = Saving {
            progress: &self.progress,
            unsaved: Some(unsaved.clone()),
        };
        let created_at = self.stream_created_at.get().copied();
        let rows = unsaved.into_iter().map(|mut checkpoint| {
            checkpoint.stream_created_at = created_at;
            checkpoint
        });
        in_time(self.store.save(&self.app, &self.stream, rows.collect())).await?;
        saving.done();
        let gone = std::mem::take(&mut *self.gone());
        if !gone.is_empty() {
            in_time(self.store.remove(&self.app, &self.stream, gone)).await?;
        }
        Ok(())
    }
}

async fn in_time<T>(call: CheckpointFuture<'_, T>) -> Result<T, CheckpointError> {
    let in_time = tokio::time::timeout(STORE_TIME_MAX, call).await;
    in_time.unwrap_or_else(|late| Err(CheckpointError::new("its usual place", late)))
}

/// A save in progress. Dropped before [`done`](Self::done), also half way, it returns its positions to the unsaved ones.
struct Saving<'a> {
    progress: &'a Progress,
    unsaved: Option<Vec<Checkpoint>>,
}

impl Saving<'_> {
    fn done(mut self) {
        self.unsaved = None;
    }
}

impl Drop for Saving<'_> {
    fn drop(&mut self) {
        if let Some(unsaved) = self.unsaved.take() {
            self.progress.put_back(unsaved);
        }
    }
}
