//! Rows that tell who leads a KCL 3 fleet, and the decisions that follow from them. Pure functions.
//!
//! Up to KCL 3.4 they are in tables of their own, `<app>-CoordinatorState` and `<app>-WorkerMetricStats`. From 3.5 on,
//! a new or migrated application keeps them in the lease table, each with an `entityType`.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::fleet::{
    lease::FleetLead,
    row::{ENTITY_TYPE, Item, LEASE_KEY, count, number, owned, text},
};

const LEADER: &str = "Leader";
const CLIENT_VERSION: &str = "Migration3.0";
const TABLE_MIGRATION: &str = "TableMigration3.5";
/// The keys of the coordinator's rows.
pub(super) const COORDINATOR_KEYS: [&str; 3] = [LEADER, CLIENT_VERSION, TABLE_MIGRATION];
/// The key attribute of the coordinator's own table.
pub(super) const COORDINATOR_KEY: &str = "key";

/// The default duration of a leader's lock, as in KCL, for a row that does not state one.
const LOCK_DURATION: Duration = Duration::from_mins(2);
/// The age from which a worker's metrics are out of date: twice the 30 s in which KCL writes them. KCL's leader also
/// renews its lock every 30 s, so a leader that is silent for longer may be dead.
const METRICS_AGE_MAX: Duration = Duration::from_mins(1);

/// The location of the workers' metrics, and the table that is read first for the coordinator's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Leases, coordinator and metrics have one table each.
    ThreeTables,
    /// All rows are in the lease table.
    OneTable,
}

/// The state of a KCL 3.5 fleet's move to one table. Later states are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TableMigration {
    /// The workers report that they support one table, or have done so for a while.
    Prepared,
    /// The metrics are in the lease table; the coordinator's rows are being moved.
    Pending,
    /// All rows are in the lease table, permanently.
    Complete,
}

/// The leader's lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeaderRow {
    owner: String,
    /// A text that changes with every renewal.
    pub(super) version: String,
    duration: Duration,
}

/// The coordinator's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CoordinatorRows {
    pub(super) leader: Option<LeaderRow>,
    client_version: Option<String>,
    migration: Option<TableMigration>,
}

/// The decision that follows from the coordinator's rows alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Led {
    Known(FleetLead),
    /// The leader is silent. The decision holds only if a Java worker is alive: see [`while_silent`].
    Silent(FleetLead),
}

impl CoordinatorRows {
    /// Reads the coordinator's rows, which have their key in the attribute `key`. Other rows are skipped.
    pub(super) fn decode(items: &[Item], key: &str) -> Self {
        let mut rows = Self::default();
        for item in items {
            match owned(item, key).unwrap_or_default().as_str() {
                LEADER => rows.leader = leader(item),
                CLIENT_VERSION => rows.client_version = owned(item, "cv"),
                TABLE_MIGRATION => rows.migration = owned(item, "tm").map(|tm| migration(&tm)),
                _ => {}
            }
        }
        rows
    }

    /// Merges the coordinator's rows from its own table and from the lease table; `None` if there are none. If a row is
    /// in both, that of the table in use wins: the other may be left over from an old leader.
    pub(super) fn join(own_table: Self, lease_table: Self) -> Option<(Self, Layout)> {
        let migration = own_table.migration.max(lease_table.migration);
        let layout = match migration {
            Some(TableMigration::Pending | TableMigration::Complete) => Layout::OneTable,
            None if own_table == Self::default() => Layout::OneTable,
            Some(TableMigration::Prepared) | None => Layout::ThreeTables,
        };
        let (first, second) = match layout {
            Layout::ThreeTables => (own_table, lease_table),
            Layout::OneTable => (lease_table, own_table),
        };
        let rows = Self {
            leader: first.leader.or(second.leader),
            client_version: first.client_version.or(second.client_version),
            migration,
        };
        (rows != Self::default()).then_some((rows, layout))
    }

    /// Whether the fleet has a leader, as in KCL 3. Without one (KCL 2, or KCL 3 in its compatible mode) the workers
    /// share the leases out among themselves.
    fn is_led(&self) -> bool {
        match self.client_version.as_deref() {
            Some(version) => version.starts_with("CLIENT_VERSION_3X"),
            None => self.leader.is_some(),
        }
    }

    /// Whether a leader reads the workers' metrics, or will do so once all workers have written theirs.
    pub(super) fn wants_metrics(&self) -> bool {
        let upgrades = Some("CLIENT_VERSION_UPGRADE_FROM_2X");
        self.is_led() || self.client_version.as_deref() == upgrades
    }

    /// Decides who shares the leases out. `leader_silence` is the time since the leader's row changed.
    pub(super) fn lead(&self, leader_silence: Duration) -> Led {
        match &self.leader {
            _ if !self.is_led() => Led::Known(FleetLead::Workers),
            Some(_) if leader_silence < METRICS_AGE_MAX => Led::Known(FleetLead::Leader),
            Some(leader) if leader_silence < leader.duration => Led::Silent(FleetLead::Leader),
            _ => Led::Silent(FleetLead::Vacant),
        }
    }
}

/// The metrics row of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MetricsRow {
    /// The time at which it was written, in seconds since 1970.
    updated_at: u64,
    /// Whether a worker of this library wrote it.
    is_ours: bool,
}

/// The key attribute of the metrics' own table.
pub(super) const WORKER: &str = "wid";
/// The `entityType` of a metrics row in the lease table.
const METRICS: &str = "WORKER_METRIC_STATS";
const UPDATED_AT: &str = "lut";
/// The time at which the worker last reported that it supports one table.
const SUPPORT_UPDATED_AT: &str = "slu";
/// Whether the worker supports one table: 1 for yes.
const SUPPORT: &str = "sup";
/// Statistics and operating ranges of the worker's machine. KCL leaves both empty if it measures nothing, and its
/// leader then uses the throughput of the leases.
const STATISTICS: &str = "sts";
const RANGES: &str = "opr";
/// The attribute by which this library marks its own metrics rows.
const OURS: &str = "kinesisPipelineWorker";

impl Layout {
    /// Returns the key attribute of a metrics row.
    pub(super) fn metrics_key(self) -> &'static str {
        match self {
            Self::ThreeTables => WORKER,
            Self::OneTable => LEASE_KEY,
        }
    }
}

impl MetricsRow {
    /// Reads a row; `None` if it is not a metrics row.
    pub(super) fn decode(item: &Item, layout: Layout) -> Option<Self> {
        if layout == Layout::OneTable && owned(item, ENTITY_TYPE)? != METRICS {
            return None;
        }
        Some(Self {
            updated_at: count(item, UPDATED_AT)?,
            is_ours: item.contains_key(OURS),
        })
    }

    /// Returns the attributes of this worker's own row, without its key.
    pub(super) fn own(layout: Layout, now: u64) -> Vec<(&'static str, AttributeValue)> {
        let empty = || AttributeValue::M(HashMap::new());
        let mut values = vec![
            (UPDATED_AT, number(now)),
            (SUPPORT_UPDATED_AT, number(now)),
            (SUPPORT, number(1)),
            (STATISTICS, empty()),
            (RANGES, empty()),
            (OURS, number(1)),
        ];
        values.extend((layout == Layout::OneTable).then(|| (ENTITY_TYPE, text(METRICS))));
        values
    }

    /// Whether a Java worker wrote the row and is alive.
    fn is_a_live_java_worker(&self, now: u64) -> bool {
        !self.is_ours && now.saturating_sub(self.updated_at) < METRICS_AGE_MAX.as_secs()
    }
}

/// Decides who shares the leases out while the leader is silent. If no Java worker is alive, the workers of this
/// library share them out by the number of leases.
pub(super) fn while_silent(lead: FleetLead, metrics: &[MetricsRow], now: u64) -> FleetLead {
    if metrics.iter().any(|row| row.is_a_live_java_worker(now)) {
        lead
    } else {
        FleetLead::Workers
    }
}

fn leader(item: &Item) -> Option<LeaderRow> {
    // KCL writes the duration as text, in milliseconds.
    let millis = owned(item, "leaseDuration").and_then(|millis| millis.parse().ok());
    Some(LeaderRow {
        owner: owned(item, "ownerName")?,
        version: owned(item, "recordVersionNumber")?,
        duration: millis.map_or(LOCK_DURATION, Duration::from_millis),
    })
}

fn migration(status: &str) -> TableMigration {
    match status.trim_start_matches("TABLE_MIGRATION_STATUS_") {
        "COMPLETE" => TableMigration::Complete,
        "PENDING" => TableMigration::Pending,
        _ => TableMigration::Prepared,
    }
}

#[cfg(test)]
mod tests;
