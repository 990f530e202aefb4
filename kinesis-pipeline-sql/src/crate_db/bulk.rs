//! Bulk writes of a batch's rows: only rows that failed are sent again.
//!
//! ```text
//!   rows ── parts by count and bytes ──> bulk statement ──> done
//!              ^                             │ each row's own answer
//!              │                             ├─ may pass: all of them again, after a pause
//!              └── again ────────────────────┤─ failed without a reason: again, at most 10 at a time, to learn it
//!                                            └─ refused for good ──> the caller
//! ```
//!
//! Statements are idempotent, so that a call whose answer was lost can be repeated.

use std::{collections::VecDeque, mem};

use super::{
    answer::RowResult,
    client::{SqlClient, bulk_body, pause},
    encode::EncodedRows,
    error::CrateDbError,
};

/// The number of failed rows for which CrateDB gives the reasons in one answer.
const REASONS_MAX: usize = 10;
/// The most rounds in a row in which no row is done or refused. After them the database counts as not available.
const ROUNDS_MAX: u32 = 5;

/// The limits of one statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartLimits {
    pub(super) rows_max: usize,
    pub(super) bytes_max: usize,
}

/// A row that the database refuses and would refuse again.
#[derive(Debug)]
pub(super) struct RefusedRow {
    pub(super) index: usize,
    pub(super) error: CrateDbError,
}

/// The state of a bulk write.
struct Writing<'a> {
    client: &'a SqlClient,
    statement: &'a str,
    /// A statement that fails when the table or a column is absent.
    probe: &'a str,
    rows: &'a EncodedRows,
    limits: PartLimits,
    parts: VecDeque<Vec<usize>>,
    refused: Vec<RefusedRow>,
    /// Rows that failed for a reason that may pass, and the last reason.
    failed: Vec<usize>,
    last_error: Option<CrateDbError>,
}

/// Carries out a statement for each row. Returns those that the database refuses.
///
/// # Errors
/// The database is not available, or the table or a column is absent. Some rows may be done.
pub(super) async fn write(
    client: &SqlClient,
    statement: &str,
    probe: &str,
    rows: &EncodedRows,
    limits: PartLimits,
) -> Result<Vec<RefusedRow>, CrateDbError> {
    let mut writing = Writing {
        client,
        statement,
        probe,
        rows,
        limits,
        parts: parts((0..rows.len()).collect(), rows, limits),
        refused: Vec::new(),
        failed: Vec::new(),
        last_error: None,
    };
    writing.run().await?;
    writing.refused.sort_by_key(|refused| refused.index);
    Ok(writing.refused)
}

impl Writing<'_> {
    async fn run(&mut self) -> Result<(), CrateDbError> {
        let mut rounds = 0;
        loop {
            let open = self.parts.iter().map(Vec::len).sum::<usize>();
            while let Some(part) = self.parts.pop_front() {
                self.send(part).await?;
            }
            if self.failed.is_empty() {
                return Ok(());
            }
            rounds = if self.failed.len() < open {
                1
            } else {
                rounds + 1
            };
            if rounds > ROUNDS_MAX {
                let message = "rows failed without a reason, again and again".to_owned();
                let unknown = CrateDbError::Server {
                    code: 5000,
                    message,
                };
                return Err(self.last_error.take().unwrap_or(unknown));
            }
            tokio::time::sleep(pause(rounds, fastrand::f64())).await;
            self.parts = parts(mem::take(&mut self.failed), self.rows, self.limits);
        }
    }

    async fn send(&mut self, part: Vec<usize>) -> Result<(), CrateDbError> {
        let body = bulk_body(
            self.statement,
            part.iter().map(|index| self.rows.row(*index)),
        );
        match self.client.execute_bulk(body, part.len()).await {
            Ok(results) => self.sort(&part, results),
            Err(error) if error.may_be_of_a_row() => {
                // A table that lacks a column refuses every row, and no row is at fault.
                self.client.execute(self.probe, &[]).await?;
                self.halve(part, error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Bisects a statement that was refused as a whole, to find the row at fault.
    fn halve(&mut self, mut part: Vec<usize>, error: CrateDbError) {
        if let [index] = part[..] {
            self.refused.push(RefusedRow { index, error });
            return;
        }
        let second = part.split_off(part.len() / 2);
        self.parts.push_front(second);
        self.parts.push_front(part);
    }

    /// Sorts the rows of a statement by their results.
    fn sort(&mut self, part: &[usize], results: Vec<RowResult>) -> Result<(), CrateDbError> {
        let mut silent = Vec::new();
        let mut is_passing = false;
        for (&index, result) in part.iter().zip(results) {
            match result {
                RowResult::Done => {}
                RowResult::FailedSilently => silent.push(index),
                RowResult::Failed(error) if error.is_of_the_table() => return Err(error),
                RowResult::Failed(error) if error.is_retryable() => {
                    is_passing = true;
                    self.failed.push(index);
                    self.last_error = Some(error);
                }
                RowResult::Failed(error) => self.refused.push(RefusedRow { index, error }),
            }
        }
        // A row without a reason most likely failed for the same passing reason as the others of its statement. A
        // single row without a reason is retried too.
        if is_passing || part.len() == 1 {
            self.failed.append(&mut silent);
        }
        let size = if part.len() > REASONS_MAX {
            REASONS_MAX
        } else {
            1
        };
        self.parts
            .extend(silent.chunks(size).map(<[usize]>::to_vec));
        Ok(())
    }
}

/// Divides rows into statements within the limits; a row that is longer than the limit is sent alone.
fn parts(indexes: Vec<usize>, rows: &EncodedRows, limits: PartLimits) -> VecDeque<Vec<usize>> {
    let mut parts = VecDeque::new();
    let (mut part, mut bytes) = (Vec::new(), 0);
    for index in indexes {
        let length = rows.row(index).len() + 1;
        let is_full = part.len() >= limits.rows_max || bytes + length > limits.bytes_max;
        if is_full && !part.is_empty() {
            parts.push_back(mem::take(&mut part));
            bytes = 0;
        }
        part.push(index);
        bytes += length;
    }
    if !part.is_empty() {
        parts.push_back(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Value;

    #[test]
    fn parts_end_at_the_limits_and_a_long_row_goes_alone() {
        let mut rows = EncodedRows::default();
        for length in [1, 1, 1, 100, 1] {
            rows.push(&[Value::Text("a".repeat(length))]).unwrap();
        }
        let limits = PartLimits {
            rows_max: 2,
            bytes_max: 20,
        };
        let parts = parts((0..5).collect(), &rows, limits);
        assert_eq!(parts, [vec![0, 1], vec![2], vec![3], vec![4]]);
    }
}
