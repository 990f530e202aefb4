use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::run::batch::Mark;

/// Counts of a load.
///
/// `rows` and all counts of rows are those of the whole load, over all runs with one resume file; `records`, `bytes`
/// and the counts per shard are those of this run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LoadReport {
    /// Whether it was a trial, which sends nothing.
    pub trial: bool,
    /// Whether the load was stopped before the end of its input.
    pub stopped: bool,
    /// Rows that were read.
    pub rows: u64,
    /// Rows that the models' options dropped, counted once per model.
    pub dropped: u64,
    /// Rows that were skipped or rejected.
    pub rejected: u64,
    /// Rows that previous runs had put.
    pub resumed_rows: u64,
    /// Records that were stored; in a trial, that would be stored.
    pub records: u64,
    /// The bytes of their data.
    pub bytes: u64,
    /// The number of times that a shard's rate limit made a record be sent again.
    pub throttled: u64,
    /// The time of the load, in seconds.
    pub seconds: f64,
    /// The counts per model.
    pub tables: Vec<TableReport>,
    /// Records per shard.
    pub shards: BTreeMap<String, u64>,
    /// The first records of a trial, as they would be sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
    /// In a trial, the service's answer to a dry run of a put of the first record: `allowed`, or the reason why not, or
    /// that the service cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
}

/// Counts of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TableReport {
    /// The table's name.
    pub table: String,
    /// Rows that were read.
    pub rows_in: u64,
    /// Records that were made of them.
    pub records_out: u64,
    /// Rows that were dropped because a field is null.
    pub dropped_none: u64,
    /// Rows that were dropped because the value of a unique field came before.
    pub dropped_not_unique: u64,
    /// Rows that were dropped because a cell is not valid.
    pub dropped_not_validated: u64,
}

/// A record as it would be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Sample {
    /// The partition key.
    pub partition_key: String,
    /// The data, as text where it is UTF-8.
    pub data: String,
}

impl TableReport {
    /// Makes the report of a table without rows.
    pub(crate) fn new(table: String) -> Self {
        Self {
            table,
            ..Self::default()
        }
    }

    /// Returns the rows that were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped_none + self.dropped_not_unique + self.dropped_not_validated
    }
}

impl LoadReport {
    /// Takes over the counts of a mark. The tables are those of the load, if the mark has none.
    pub(crate) fn count(&mut self, mark: Mark, tables: Vec<String>) {
        self.rows = mark.rows;
        self.dropped = mark.dropped;
        self.rejected = mark.rejected;
        self.tables = mark.tables;
        if self.tables.is_empty() {
            self.tables = tables.into_iter().map(TableReport::new).collect();
        }
    }

    /// Returns the time of the load.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or_default()
    }
}

/// Writes the final table of counts.
impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match (self.trial, self.stopped) {
            (true, _) => "trial, nothing was sent",
            (false, true) => "stopped",
            (false, false) => "done",
        };
        let rate = if self.seconds > 0.0 {
            format!("{:.0}", precise(self.records) / self.seconds)
        } else {
            "-".to_owned()
        };
        writeln!(
            f,
            "{verb}: {} row(s) in, {} record(s) out, {} dropped, {} rejected; {} bytes in {:.1} s, {rate} records/s",
            self.rows, self.records, self.dropped, self.rejected, self.bytes, self.seconds
        )?;
        if self.resumed_rows > 0 {
            writeln!(f, "resumed after row {}", self.resumed_rows)?;
        }
        if self.throttled > 0 {
            writeln!(f, "throttled {} time(s)", self.throttled)?;
        }
        for table in &self.tables {
            writeln!(
                f,
                "  {:<24} {:>12} in {:>12} out {:>12} dropped",
                table.table,
                table.rows_in,
                table.records_out,
                table.dropped()
            )?;
        }
        for (shard, records) in &self.shards {
            writeln!(f, "  {shard:<24} {records:>12}")?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(crate) fn precise(count: u64) -> f64 {
    count as f64
}
