//! One call of the store.

use futures_util::{StreamExt, stream};

use super::{
    DynamoDbCheckpoints, LeaseError,
    expression::Expression,
    identity::Identity,
    known::{Known, Seen},
    lease::{Lease, LeaseChange, LeaseCheckpoint, LeaseWrite},
    mark::{Mark, Notes},
    place,
    row::LeaseRow,
    table::LeaseTable,
    write::{Outcome, Verdict, judge},
};
use crate::{Checkpoint, CheckpointError};

/// How many rows are written at the same time.
const WRITES_MAX: usize = 8;
/// How often one row is written before we give up: each repetition finds an earlier write of our own.
const TRIES_MAX: u32 = 4;

/// One call of the store: whose checkpoints, in which table.
pub(super) struct Session<'a> {
    pub(super) store: &'a DynamoDbCheckpoints,
    pub(super) table: LeaseTable<'a>,
    pub(super) identity: Identity,
}

/// What is to become of a row.
pub(super) struct Change {
    pub(super) lease_key: String,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Save(LeaseCheckpoint, Notes),
    Remove,
}

impl Session<'_> {
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
            let notes = row.mark.as_ref().map(|mark| &mark.notes);
            place::decode(row.lease.shard_id.as_str(), &row.lease.checkpoint, notes)
        };
        Ok(rows.iter().filter(is_mine).filter_map(checkpoint).collect())
    }

    pub(super) async fn save(&self, changes: &[Change]) -> Result<(), LeaseError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.read_once().await?;
        if let Some(Identity { app, stream }) =
            self.known().stranger(self.table.name, &self.identity)
        {
            return Err(LeaseError::OtherStream { app, stream });
        }
        if !self.known().is_active(self.table.name) {
            let may_create = self.store.settings.creates_table;
            self.table.ensure(may_create, &self.store.clock).await?;
            self.known().set_active(self.table.name, true);
        }
        self.apply_all(changes).await
    }

    pub(super) async fn remove(&self, changes: &[Change]) -> Result<(), LeaseError> {
        self.read_once().await?;
        match self.known().stranger(self.table.name, &self.identity) {
            Some(_) => Ok(()),
            None => self.apply_all(changes).await,
        }
    }

    /// Reads the table, which tells what its rows must be like to be written.
    async fn read(&self) -> Result<Option<Vec<LeaseRow>>, LeaseError> {
        // The owners' time counts from before the read.
        let now = self.store.clock.instant();
        let rows = self.table.scan().await?;
        self.known()
            .on_loaded(self.table.name, rows.as_deref(), now);
        Ok(rows)
    }

    async fn read_once(&self) -> Result<(), LeaseError> {
        if !self.known().is_loaded(self.table.name) {
            self.read().await?;
        }
        Ok(())
    }

    /// Makes all changes that can be made; then the first error.
    async fn apply_all(&self, changes: &[Change]) -> Result<(), LeaseError> {
        let keys = changes.iter().map(|change| &*change.lease_key);
        let expiry = self.store.settings.owner_expiry;
        let owners_gone_at = self.known().owners_gone_at(self.table.name, keys, expiry);
        if let Some(time) = owners_gone_at {
            tokio::time::sleep_until(time).await;
        }
        let calls: Vec<_> = changes.iter().map(|change| self.apply(change)).collect();
        let results: Vec<_> = stream::iter(calls)
            .buffer_unordered(WRITES_MAX)
            .collect()
            .await;
        let mut errors: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        // What no later try can mend is what the caller must hear of.
        errors.sort_by_key(LeaseError::is_retryable);
        errors.into_iter().next().map_or(Ok(()), Err)
    }

    async fn apply(&self, change: &Change) -> Result<(), LeaseError> {
        let seen = self.known().row(self.table.name, &change.lease_key);
        let mut counter = seen.map(|seen| seen.counter);
        for _ in 0..TRIES_MAX {
            let wanted = self.wanted(change, counter);
            match self.attempt(change, wanted.as_ref(), counter).await? {
                Verdict::Done => {
                    self.note(change, wanted.as_ref());
                    return Ok(());
                }
                Verdict::Again(found) => counter = found,
            }
        }
        let shard = change.lease_key.as_str().into();
        Err(LeaseError::Overtaken { shard })
    }

    async fn attempt(
        &self,
        change: &Change,
        wanted: Option<&LeaseRow>,
        counter: Option<u64>,
    ) -> Result<Verdict, LeaseError> {
        let found = match self.write(change, wanted, counter).await? {
            Outcome::Done(_) => return Ok(Verdict::Done),
            Outcome::Refused(None) => None,
            Outcome::Refused(Some(item)) => LeaseRow::decode(&item)?,
        };
        judge(&self.identity, &self.store.writer, wanted, found.as_ref())
    }

    async fn write(
        &self,
        change: &Change,
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
                let change = match &row.mark {
                    Some(mark) => change.by_reader(mark),
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
            // The next save creates it again, if it may.
            self.known().set_active(self.table.name, false);
        }
        result
    }

    /// Returns the row after the change, which finds it with this counter or absent.
    fn wanted(&self, change: &Change, counter: Option<u64>) -> Option<LeaseRow> {
        let Kind::Save(place, notes) = &change.kind else {
            return None;
        };
        let counter = counter.map_or(0, |counter| counter.saturating_add(1));
        let mut lease = Lease::new(change.lease_key.as_str().into(), place.clone());
        lease.counter = counter;
        let mark = Mark {
            identity: self.identity.clone(),
            writer: self.store.writer.to_string(),
            counter,
            notes: notes.clone(),
        };
        Some(LeaseRow {
            lease,
            mark: Some(mark),
        })
    }

    fn note(&self, change: &Change, row: Option<&LeaseRow>) {
        let now = self.store.clock.instant();
        let seen = row.map(|row| Seen::of(row, now));
        self.known()
            .on_written(self.table.name, &change.lease_key, seen);
    }

    fn known(&self) -> &Known {
        &self.store.known
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

/// Returns a lease as far as a reader expects it: its counter.
fn seen(lease_key: &str, counter: u64) -> Lease {
    // The place is not part of any condition.
    let mut lease = Lease::new(lease_key.into(), LeaseCheckpoint::TrimHorizon);
    lease.counter = counter;
    lease
}
