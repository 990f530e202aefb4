use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{identity::Identity, row::LeaseRow};

/// A cache of each table's rows as they were last read or written, by table name.
///
/// Each write is made on the condition that the row is as cached. So a write to a row that another program has changed
/// is refused until the table is read again.
#[derive(Debug, Default)]
pub(super) struct LeaseCache(Mutex<HashMap<String, CachedTable>>);

#[derive(Debug, Default)]
struct CachedTable {
    /// Whether the table can be written to.
    is_active: bool,
    /// The rows by lease key; `None` before the table was first read.
    rows: Option<HashMap<String, SeenLease>>,
}

/// A row as it was last read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeenLease {
    pub(super) counter: u64,
    at: Instant,
    has_owner: bool,
    identity: Option<Identity>,
}

impl SeenLease {
    pub(super) fn of(row: &LeaseRow, at: Instant) -> Self {
        Self {
            counter: row.lease.counter,
            at,
            has_owner: row.lease.owner.is_some(),
            identity: row.identity().cloned(),
        }
    }
}

impl LeaseCache {
    /// Takes in the rows of a table that was read; `None` if the table does not exist.
    pub(super) fn on_loaded(&self, table: &str, rows: Option<&[LeaseRow]>, at: Instant) {
        let seen = |row: &LeaseRow| (row.lease.shard_id.to_string(), SeenLease::of(row, at));
        let cached = CachedTable {
            is_active: rows.is_some(),
            rows: Some(rows.unwrap_or_default().iter().map(seen).collect()),
        };
        self.lock().insert(table.to_owned(), cached);
    }

    pub(super) fn is_loaded(&self, table: &str) -> bool {
        let tables = self.lock();
        tables.get(table).is_some_and(|table| table.rows.is_some())
    }

    pub(super) fn is_active(&self, table: &str) -> bool {
        self.lock().get(table).is_some_and(|table| table.is_active)
    }

    pub(super) fn set_active(&self, table: &str, is_active: bool) {
        self.lock().entry(table.to_owned()).or_default().is_active = is_active;
    }

    pub(super) fn row(&self, table: &str, lease_key: &str) -> Option<SeenLease> {
        self.lock()
            .get(table)?
            .rows
            .as_ref()?
            .get(lease_key)
            .cloned()
    }

    /// Takes in a row that was written; `None` if it was removed.
    pub(super) fn on_written(&self, table: &str, lease_key: &str, row: Option<SeenLease>) {
        let mut tables = self.lock();
        let rows = &mut tables.entry(table.to_owned()).or_default().rows;
        let rows = rows.get_or_insert_default();
        match row {
            Some(row) => rows.insert(lease_key.to_owned(), row),
            None => rows.remove(lease_key),
        };
    }

    /// Returns the owner of the table, if it is another than `identity`.
    pub(super) fn stranger(&self, table: &str, identity: &Identity) -> Option<Identity> {
        let tables = self.lock();
        let rows = tables.get(table)?.rows.as_ref()?;
        let names = rows.values().map(|row| row.identity.as_ref());
        identity.stranger_among(names).cloned()
    }

    /// Returns the time from which the owners of these rows count as gone, unless they write before it: `expiry` after
    /// the rows were first seen.
    pub(super) fn owners_gone_at<'a>(
        &self,
        table: &str,
        lease_keys: impl Iterator<Item = &'a str>,
        expiry: Duration,
    ) -> Option<Instant> {
        let tables = self.lock();
        let rows = tables.get(table)?.rows.as_ref()?;
        lease_keys
            .filter_map(|key| rows.get(key))
            .filter(|row| row.has_owner)
            .map(|row| row.at + expiry)
            .max()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, CachedTable>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::lease::{Lease, LeaseCheckpoint};

    fn row(lease_key: &str, owner: Option<&str>) -> LeaseRow {
        let mut lease = Lease::new(lease_key.into(), LeaseCheckpoint::TrimHorizon);
        lease.owner = owner.map(Into::into);
        LeaseRow {
            lease,
            extension: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_owners_of_the_rows_that_are_written_are_waited_for() {
        let (cache, expiry) = (LeaseCache::default(), Duration::from_secs(10));
        let now = crate::Clock::system().instant();
        cache.on_loaded("t", Some(&[row("a", None), row("b", Some("w"))]), now);
        let gone_at = |keys: &[&'static str]| {
            let keys = keys.iter().copied();
            cache.owners_gone_at("t", keys, expiry)
        };
        assert_eq!(gone_at(&["a", "c"]), None);
        assert_eq!(gone_at(&["a", "b"]), Some(now + expiry));
        cache.on_written("t", "b", Some(SeenLease::of(&row("b", None), now)));
        assert_eq!(gone_at(&["a", "b"]), None);
    }
}
