//! One call of the checkpoint store on its table: a load, save or removal.

use futures_util::{StreamExt, stream};

use super::{
    DynamoDbCheckpoints, LeaseError,
    expression::Expression,
    extension::{CheckpointTimes, Extension},
    identity::Identity,
    lease::{Lease, LeaseChange, LeaseCheckpoint, LeaseWrite},
    lease_cache::{LeaseCache, SeenLease},
    place,
    row::LeaseRow,
    table::LeaseTable,
    write::{Outcome, Refusal, judge},
};
use crate::{Checkpoint, CheckpointError};

/// The number of rows that are written at the same time.
const WRITES_MAX: usize = 8;
/// The limit of attempts to write one row. Each repetition follows an earlier write of this store whose answer was
/// lost.
const TRIES_MAX: u32 = 4;

/// One call: the store, its table, and the application and stream of the checkpoints.
pub(super) struct TableCall<'a> {
    pub(super) store: &'a DynamoDbCheckpoints,
    pub(super) table: LeaseTable<'a>,
    pub(super) identity: Identity,
}

/// An update of one row.
pub(super) struct LeaseUpdate {
    pub(super) lease_key: String,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Save(LeaseCheckpoint, CheckpointTimes),
    Remove,
}

impl TableCall<'_> {
    pub(super) async fn load(&self) -> Result<Vec<Checkpoint>, LeaseError> {
        let Some(rows) = self.read().await? else {
            return if self.store.settings.creates_table {
                Ok(Vec::new())
            } else {
                Err(LeaseError::MissingTable)
            };
        };
        let names = rows.iter().map(LeaseRow::identity);
        if self.identity.stranger_among(names).is_some() {
            return Ok(Vec::new());
        }
        let is_mine = |row: &&LeaseRow| row.identity().is_none_or(|name| *name == self.identity);
        let checkpoint = |row: &LeaseRow| {
            let times = row.extension.as_ref().map(|extension| &extension.times);
            let lease = &row.lease;
            let mut checkpoint = place::decode(lease.shard_id.as_str(), &lease.checkpoint, times)?;
            if checkpoint.arrived_at.is_none() {
                // A worker had the shard since.
                checkpoint.current_at = checkpoint.current_at.max(lease.current_at);
            }
            Some(checkpoint)
        };
        Ok(rows.iter().filter(is_mine).filter_map(checkpoint).collect())
    }

    pub(super) async fn save(&self, changes: &[LeaseUpdate]) -> Result<(), LeaseError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.read_once().await?;
        if let Some(Identity { app, stream }) =
            self.cache().stranger(self.table.name, &self.identity)
        {
            return Err(LeaseError::OtherStream { app, stream });
        }
        if !self.cache().is_active(self.table.name) {
            let may_create = self.store.settings.creates_table;
            self.table.ensure(may_create, &self.store.clock).await?;
            self.cache().set_active(self.table.name, true);
        }
        self.apply_all(changes).await
    }

    pub(super) async fn remove(&self, changes: &[LeaseUpdate]) -> Result<(), LeaseError> {
        self.read_once().await?;
        match self.cache().stranger(self.table.name, &self.identity) {
            Some(_) => Ok(()),
            None => self.apply_all(changes).await,
        }
    }

    /// Reads the table into the cache. The conditions of later writes come from there.
    async fn read(&self) -> Result<Option<Vec<LeaseRow>>, LeaseError> {
        // The silence of the owners is measured from before the read.
        let now = self.store.clock.instant();
        let rows = self.table.scan().await?;
        check_keys(rows.as_deref().unwrap_or_default())?;
        self.cache()
            .on_loaded(self.table.name, rows.as_deref(), now);
        Ok(rows)
    }

    async fn read_once(&self) -> Result<(), LeaseError> {
        if !self.cache().is_loaded(self.table.name) {
            self.read().await?;
        }
        Ok(())
    }

    /// Makes all updates that can be made. Returns an error if one failed, a permanent one first.
    async fn apply_all(&self, changes: &[LeaseUpdate]) -> Result<(), LeaseError> {
        let keys = changes.iter().map(|change| &*change.lease_key);
        let expiry = self.store.settings.owner_expiry;
        let owners_gone_at = self.cache().owners_gone_at(self.table.name, keys, expiry);
        if let Some(time) = owners_gone_at {
            tokio::time::sleep_until(time).await;
        }
        let calls: Vec<_> = changes.iter().map(|change| self.apply(change)).collect();
        let results: Vec<_> = stream::iter(calls)
            .buffer_unordered(WRITES_MAX)
            .collect()
            .await;
        let mut errors: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        // Permanent errors come first.
        errors.sort_by_key(LeaseError::is_retryable);
        errors.into_iter().next().map_or(Ok(()), Err)
    }

    async fn apply(&self, change: &LeaseUpdate) -> Result<(), LeaseError> {
        let seen = self.cache().row(self.table.name, &change.lease_key);
        let mut counter = seen.map(|seen| seen.counter);
        for _ in 0..TRIES_MAX {
            let wanted = self.wanted(change, counter);
            match self.attempt(change, wanted.as_ref(), counter).await? {
                Refusal::Done => {
                    self.note(change, wanted.as_ref());
                    return Ok(());
                }
                Refusal::Again(found) => counter = found,
            }
        }
        let shard = change.lease_key.as_str().into();
        Err(LeaseError::Overtaken { shard })
    }

    async fn attempt(
        &self,
        change: &LeaseUpdate,
        wanted: Option<&LeaseRow>,
        counter: Option<u64>,
    ) -> Result<Refusal, LeaseError> {
        let found = match self.write(change, wanted, counter).await? {
            Outcome::Done(_) => return Ok(Refusal::Done),
            Outcome::Refused(None) => None,
            Outcome::Refused(Some(item)) => LeaseRow::decode(&item)?,
        };
        judge(&self.identity, &self.store.writer, wanted, found.as_ref())
    }

    async fn write(
        &self,
        change: &LeaseUpdate,
        wanted: Option<&LeaseRow>,
        counter: Option<u64>,
    ) -> Result<Outcome, LeaseError> {
        let key = &*change.lease_key;
        let result = match (wanted, counter) {
            (Some(row), None) => self.table.create_row(row.encode()).await,
            (None, None) => Ok(Outcome::Done(None)),
            (Some(row), Some(counter)) => {
                let to = row.lease.checkpoint.clone();
                let write = LeaseWrite::checkpoint(seen(key, counter), to);
                let change = Expression::of(&write);
                let change = match &row.extension {
                    Some(extension) => change.by_reader(extension),
                    None => change,
                };
                self.table.update_row(key, change).await
            }
            (None, Some(counter)) => {
                let write = LeaseWrite::new(seen(key, counter), LeaseChange::Delete);
                self.table.delete_row(key, Expression::of(&write)).await
            }
        };
        if result.as_ref().is_err_and(LeaseError::says_not_found) {
            // The next save creates the table again, if it may.
            self.cache().set_active(self.table.name, false);
        }
        result
    }

    /// Returns the row after an update. `counter` is that of the row before; `None` if there was no row.
    fn wanted(&self, change: &LeaseUpdate, counter: Option<u64>) -> Option<LeaseRow> {
        let Kind::Save(place, times) = &change.kind else {
            return None;
        };
        let counter = counter.map_or(0, |counter| counter.saturating_add(1));
        let mut lease = Lease::new(change.lease_key.as_str().into(), place.clone());
        lease.counter = counter;
        let extension = Extension {
            identity: self.identity.clone(),
            writer: self.store.writer.to_string(),
            counter,
            times: times.clone(),
        };
        Some(LeaseRow {
            lease,
            extension: Some(extension),
        })
    }

    fn note(&self, change: &LeaseUpdate, row: Option<&LeaseRow>) {
        let now = self.store.clock.instant();
        let seen = row.map(|row| SeenLease::of(row, now));
        self.cache()
            .on_written(self.table.name, &change.lease_key, seen);
    }

    fn cache(&self) -> &LeaseCache {
        &self.store.cache
    }

    pub(super) fn failed(&self, error: LeaseError) -> CheckpointError {
        let is_retryable = error.is_retryable();
        let error =
            CheckpointError::new(format!("the DynamoDB table `{}`", self.table.name), error);
        if is_retryable {
            error
        } else {
            error.not_retryable()
        }
    }
}

/// Returns the lease that a reader expects. Only its counter matters.
fn seen(lease_key: &str, counter: u64) -> Lease {
    // The checkpoint is not part of any condition.
    let mut lease = Lease::new(lease_key.into(), LeaseCheckpoint::TrimHorizon);
    lease.counter = counter;
    lease
}

/// Refuses a table with rows of several streams: a reader would recognize none of them as its own.
fn check_keys(rows: &[LeaseRow]) -> Result<(), LeaseError> {
    let mut keys = rows.iter().map(|row| row.lease.shard_id.as_str());
    // A multi-stream key has the form `account:stream:creationEpoch:shardId`.
    match keys.find(|key| key.contains(':')) {
        None => Ok(()),
        Some(lease_key) => Err(LeaseError::ManyStreams {
            lease_key: lease_key.to_owned(),
        }),
    }
}
