//! A worker's report to the leader of a KCL 3 fleet, and the lookup of that leader.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    assigned::get_all,
    lead::{
        COORDINATOR_KEY, COORDINATOR_KEYS, CoordinatorRows, Layout, Led, MetricsRow, WORKER,
        while_silent,
    },
    store::DynamoDbLeases,
};
use crate::{
    Clock,
    clock::epoch_millis,
    fleet::{
        LeaseError,
        lease::{FleetLead, WorkerId},
        row::{LEASE_KEY, text},
        table::LeaseTable,
    },
};

/// The pause before the next search for a coordinator, if a fleet has none.
const ABSENT_LOOK: Duration = Duration::from_mins(1);
/// The limit of pages that are read of the metrics rows. A page has up to 1 MiB.
const PAGES_MAX: usize = 100;

/// Cached facts about the leader of each application.
#[derive(Debug, Default)]
pub(super) struct Leaders(Mutex<HashMap<String, Leader>>);

#[derive(Debug, Default)]
struct Leader {
    /// The version in the leader's row, and the time since which it is unchanged, by this machine's monotonic clock.
    seen: Option<(String, Instant)>,
    /// The last search that found no coordinator.
    absent_at: Option<Instant>,
    /// The layout in which this worker last wrote its metrics.
    layout: Option<Layout>,
}

impl Leaders {
    fn of<T>(&self, app: &str, with: impl FnOnce(&mut Leader) -> T) -> T {
        let mut leaders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        with(leaders.entry(app.to_owned()).or_default())
    }
}

impl Leader {
    fn is_absent(&self, now: Instant) -> bool {
        self.absent_at.is_some_and(|at| now - at < ABSENT_LOOK)
    }

    /// Returns the time since the leader's row changed.
    fn silence(&mut self, rows: &CoordinatorRows, now: Instant) -> Duration {
        let version = rows.leader.as_ref().map(|row| &row.version);
        if self.seen.as_ref().map(|(version, _)| version) != version {
            self.seen = version.map(|version| (version.clone(), now));
        }
        self.seen
            .as_ref()
            .map_or(Duration::ZERO, |(_, since)| now - *since)
    }
}

impl DynamoDbLeases {
    /// Writes this worker's metrics to the table that a KCL 3 leader reads, and returns who shares the leases out.
    pub(super) async fn report_to_leader(
        &self,
        app: &str,
        table: &LeaseTable<'_>,
        worker: &WorkerId,
    ) -> Result<FleetLead, LeaseError> {
        let clock = Clock::system();
        let now = clock.instant();
        if self.leaders.of(app, |leader| leader.is_absent(now)) {
            return Ok(FleetLead::Workers);
        }
        let found = coordinator(app, table).await?;
        let Some((rows, layout)) = found else {
            self.leaders.of(app, |leader| leader.absent_at = Some(now));
            return Ok(FleetLead::Workers);
        };
        let silence = self.leaders.of(app, |leader| {
            leader.absent_at = None;
            leader.silence(&rows, now)
        });
        let metrics = Metrics::of(app, table, layout);
        let seconds = epoch_millis(clock.now()) / 1_000;
        if rows.wants_metrics() {
            let before = self.leaders.of(app, |leader| leader.layout.replace(layout));
            if before == Some(Layout::ThreeTables) && layout == Layout::OneTable {
                remove_old_metrics(app, table, worker).await?;
            }
            metrics.write(worker, seconds).await?;
        }
        match rows.lead(silence) {
            Led::Known(lead) => Ok(lead),
            Led::Silent(lead) => Ok(while_silent(lead, &metrics.read().await?, seconds)),
        }
    }
}

/// Reads the coordinator's rows from both tables that may have them.
async fn coordinator(
    app: &str,
    table: &LeaseTable<'_>,
) -> Result<Option<(CoordinatorRows, Layout)>, LeaseError> {
    let name = format!("{app}-CoordinatorState");
    let client = table.client;
    let own_table = LeaseTable {
        client,
        name: &name,
    };
    let read = async |table: &LeaseTable<'_>, key| {
        let items = or_absent(get_all(table, key, &COORDINATOR_KEYS).await)?;
        let items = items.unwrap_or_default();
        Ok::<_, LeaseError>(CoordinatorRows::decode(&items, key))
    };
    let own_table = read(&own_table, COORDINATOR_KEY).await?;
    let lease_table = read(table, LEASE_KEY).await?;
    Ok(CoordinatorRows::join(own_table, lease_table))
}

/// The table of the workers' metrics.
struct Metrics<'a> {
    table: &'a LeaseTable<'a>,
    name: String,
    layout: Layout,
}

fn old_metrics_table(app: &str) -> String {
    format!("{app}-WorkerMetricStats")
}

impl<'a> Metrics<'a> {
    fn of(app: &str, table: &'a LeaseTable<'a>, layout: Layout) -> Self {
        let name = match layout {
            Layout::ThreeTables => old_metrics_table(app),
            Layout::OneTable => table.name.to_owned(),
        };
        Self {
            table,
            name,
            layout,
        }
    }

    /// Reports that this worker is alive, and that it supports one table.
    async fn write(&self, worker: &WorkerId, seconds: u64) -> Result<(), LeaseError> {
        let update = self.table.client.update_item().table_name(&self.name);
        let mut update = update.key(self.layout.metrics_key(), text(worker.as_str()));
        let mut sets = Vec::new();
        for (name, value) in MetricsRow::own(self.layout, seconds) {
            sets.push(format!("{name} = :{name}"));
            update = update.expression_attribute_values(format!(":{name}"), value);
        }
        let update = update.update_expression(format!("SET {}", sets.join(", ")));
        let written = update.send().await;
        or_absent(written.map_err(|error| LeaseError::of_call("UpdateItem", error)))?;
        Ok(())
    }

    async fn read(&self) -> Result<Vec<MetricsRow>, LeaseError> {
        let mut rows = Vec::new();
        let mut next = None;
        for _ in 0..PAGES_MAX {
            let scan = self.table.client.scan().table_name(&self.name);
            let page = scan.set_exclusive_start_key(next).send().await;
            let page = or_absent(page.map_err(|error| LeaseError::of_call("Scan", error)))?;
            let Some(page) = page else { break };
            let items = page.items.unwrap_or_default();
            rows.extend(
                items
                    .iter()
                    .filter_map(|item| MetricsRow::decode(item, self.layout)),
            );
            next = page.last_evaluated_key;
            if next.is_none() {
                break;
            }
        }
        Ok(rows)
    }
}

/// Removes this worker's row from the table that the fleet leaves. The migration continues once that table is empty.
async fn remove_old_metrics(
    app: &str,
    table: &LeaseTable<'_>,
    worker: &WorkerId,
) -> Result<(), LeaseError> {
    let delete = table
        .client
        .delete_item()
        .table_name(old_metrics_table(app));
    let deleted = delete.key(WORKER, text(worker.as_str())).send().await;
    or_absent(deleted.map_err(|error| LeaseError::of_call("DeleteItem", error)))?;
    Ok(())
}

/// Returns `None` if the table does not exist: the fleet never had it, or has left it.
fn or_absent<T>(answer: Result<T, LeaseError>) -> Result<Option<T>, LeaseError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.says_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
