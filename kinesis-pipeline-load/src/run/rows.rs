//! The reading thread, which reads rows and makes batches of them.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use kinesis_pipeline::{
    Clock,
    record::{
        EncodeContext,
        row::{DropReason, RowError, RowProblem},
    },
};
use tokio::sync::mpsc::Sender;

use super::{
    batch::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, Batch, Mark},
    outputs::Outputs,
    progress::{Progress, add, get},
};
use crate::{
    Format, LoadError, Policy, TableReport,
    input::InputFile,
    model::{Model, Stamp, count_drop, stamped},
    source::{BadRow, Hashed, SourceRow},
};

/// The state that the reading thread is started with.
#[expect(clippy::struct_field_names, reason = "the unit stands first")]
pub(crate) struct Rows {
    pub(crate) models: Vec<Box<dyn Model>>,
    pub(crate) format: Option<Format>,
    pub(crate) policy: Policy,
    pub(crate) outputs: Outputs,
    /// The hash of each file, if files are read twice.
    pub(crate) hashed: Option<Vec<Hashed>>,
    /// Whether records get ids.
    pub(crate) ids: bool,
    pub(crate) record_bytes_max: usize,
    pub(crate) rows_max: Option<u64>,
    /// The number of rows that are logged at the level debug.
    pub(crate) rows_logged: usize,
    pub(crate) clock: Clock,
    pub(crate) progress: Arc<Progress>,
    /// The place where a previous run stopped.
    pub(crate) resume: Option<Mark>,
    pub(crate) batches: Sender<Batch>,
}

/// The error that the putting task is gone.
pub(crate) struct Gone;

/// The reason why the thread ends early.
pub(crate) enum Ended {
    Gone,
    Failed(LoadError),
}

impl From<LoadError> for Ended {
    fn from(error: LoadError) -> Self {
        Self::Failed(error)
    }
}

impl From<Gone> for Ended {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// The state of a load while rows are read.
struct Course {
    file: Arc<str>,
    file_index: usize,
    /// The header as it stands in the file, for the rejects.
    header: Option<Vec<u8>>,
    hashed: Option<Hashed>,
    batch: Batch,
    batch_bytes: usize,
    mark: Mark,
    /// For the current row, per model: whether it was dropped, and the end of its records in the batch.
    fates: Vec<(Option<DropReason>, usize)>,
}

impl Rows {
    /// Reads all files. Rows that were read before an error are handed over too.
    pub(crate) fn run(mut self, files: Vec<InputFile>) -> Result<(), LoadError> {
        let mut course = self.course();
        let result = self.read_all(files, &mut course);
        let result = match result {
            Ok(()) => self.end(&mut course),
            Err(Ended::Failed(_)) => self.hand_over(&mut course).and(result),
            Err(Ended::Gone) => result,
        };
        match result {
            Err(Ended::Failed(error)) => Err(error),
            Ok(()) | Err(Ended::Gone) => Ok(()),
        }
    }

    /// Hands over the last rows. An input without files, too, begins the output files anew.
    fn end(&mut self, course: &mut Course) -> Result<(), Ended> {
        self.outputs.begin()?;
        self.hand_over(course)
    }

    fn course(&self) -> Course {
        let mut mark = self.resume.clone().unwrap_or_default();
        if mark.tables.is_empty() {
            let tables = self.models.iter().map(|model| model.table().to_owned());
            mark.tables = tables.map(TableReport::new).collect();
        }
        Course {
            file: Arc::from(""),
            file_index: 0,
            header: None,
            hashed: None,
            batch: Batch::default(),
            batch_bytes: 0,
            mark,
            fates: Vec::new(),
        }
    }

    fn read_all(&mut self, files: Vec<InputFile>, course: &mut Course) -> Result<(), Ended> {
        let resume = self.resume.clone().unwrap_or_default();
        let remembers = self.models.iter().any(|model| model.remembers());
        for (index, file) in files.into_iter().enumerate() {
            if index < resume.file && !remembers {
                self.learn_again(file)?;
                continue;
            }
            let skipped = match index.cmp(&resume.file) {
                std::cmp::Ordering::Less => u64::MAX,
                std::cmp::Ordering::Equal => resume.rows_of_file,
                std::cmp::Ordering::Greater => 0,
            };
            course.file = Arc::from(file.name());
            course.file_index = index;
            course.hashed = self.hashed.as_ref().and_then(|all| all.get(index).cloned());
            self.read_file(file, skipped, course)?;
            self.hand_over(course)?;
            if self.is_over(course) {
                break;
            }
        }
        Ok(())
    }

    fn is_over(&self, course: &Course) -> bool {
        self.progress.is_stopped() || self.has_enough(course)
    }

    fn has_enough(&self, course: &Course) -> bool {
        self.rows_max.is_some_and(|max| course.mark.rows >= max)
    }

    fn read_file(
        &mut self,
        file: InputFile,
        skipped: u64,
        course: &mut Course,
    ) -> Result<(), Ended> {
        let may_wait = !file.is_regular();
        let before = get(&self.progress.input_bytes);
        let mut table = self.table(file, &course.file, course.hashed.as_ref())?;
        self.outputs.begin()?;
        course.header = table.raw_header().map(<[u8]>::to_vec);
        let mut number = 0;
        loop {
            if number >= skipped && self.has_enough(course) {
                self.note_bytes(before, table.bytes());
                return Ok(());
            }
            let Some(row) = table.next()? else { break };
            number += 1;
            if number <= skipped {
                self.remember(row, course);
                continue;
            }
            if course.batch.rows == 0 {
                course.mark.file = course.file_index;
            }
            self.take(row, course)?;
            course.mark.rows_of_file = number;
            course.mark.rows += 1;
            course.batch.rows += 1;
            let is_full =
                course.batch.rows >= BATCH_ROWS_MAX || course.batch_bytes >= BATCH_BYTES_MAX;
            // A pipe may be silent for long, and rows that are there do not wait for that.
            if is_full || may_wait && table.is_drained() {
                self.hand_over(course)?;
            }
            if is_full && self.progress.is_stopped() {
                return Ok(());
            }
        }
        if number >= skipped || skipped == u64::MAX {
            return Ok(());
        }
        let problem = format!("the file has {number} row(s), and {skipped} were loaded before");
        Err(LoadError::input(&course.file, problem).into())
    }

    /// Shows a row of a previous run to the models, if one remembers rows. The previous run has counted the row.
    fn remember(&mut self, row: Result<SourceRow<'_>, BadRow<'_>>, course: &mut Course) {
        if !self.models.iter().any(|model| model.remembers()) {
            return;
        }
        if let Ok(row) = row {
            // The batch is empty: no row of this run was read yet.
            let _ = self.map(&row, course);
            course.batch.records.clear();
        }
    }

    fn take(
        &mut self,
        row: Result<SourceRow<'_>, BadRow<'_>>,
        course: &mut Course,
    ) -> Result<(), Ended> {
        add(&self.progress.rows, 1);
        for table in &mut course.mark.tables {
            table.rows_in += 1;
        }
        let row = match row {
            Ok(row) => row,
            Err(bad) => return self.refuse(bad, course),
        };
        let (raw, line) = (row.raw, row.row.line());
        if self.rows_logged > 0 {
            self.rows_logged -= 1;
            tracing::debug!(line, row = %String::from_utf8_lossy(raw), "input");
        }
        let before = course.batch.records.len();
        if let Err(error) = self.map(&row, course) {
            // All records of a row are put, or none.
            course.batch.records.truncate(before);
            return self.refuse(BadRow { raw, error }, course);
        }
        course.batch.lines.resize(course.batch.records.len(), line);
        let new = &course.batch.records[before..];
        course.batch_bytes += new.iter().map(|record| record.data.len()).sum::<usize>();
        Ok(self.settle(before, course)?)
    }

    /// Maps the row with each model, and notes whether it was dropped. Nothing is counted yet: the row may still be
    /// refused, and is then forgotten by all models.
    fn map(&mut self, row: &SourceRow<'_>, course: &mut Course) -> Result<(), RowError> {
        let mapped = self.map_by_each(row, course);
        if mapped.is_err() {
            let mapped = self.models.iter_mut().take(course.fates.len());
            mapped.for_each(|model| model.forget());
        }
        mapped
    }

    fn map_by_each(&mut self, row: &SourceRow<'_>, course: &mut Course) -> Result<(), RowError> {
        let context = EncodeContext::at(self.clock.now());
        let records = &mut course.batch.records;
        let first = records.len();
        course.fates.clear();
        for model in &mut self.models {
            let dropped = model.map(row, &context, records)?;
            course.fates.push((dropped, records.len()));
        }
        let line = row.row.line();
        let hashed = course.hashed.as_ref().filter(|_| self.ids);
        let hash = hashed.map(|hashed| hashed.sha256.as_str());
        self.check(&mut records[first..], hash, line)
    }

    /// Counts the records and drops of a row, and exports its records.
    fn settle(&mut self, before: usize, course: &mut Course) -> Result<(), LoadError> {
        let mut begin = before;
        for (index, (dropped, end)) in course.fates.iter().enumerate() {
            let counts = &mut course.mark.tables[index];
            counts.records_out += (end - begin) as u64;
            if let Some(reason) = dropped {
                count_drop(counts, *reason);
                course.mark.dropped += 1;
            }
            if let Some(output) = self.outputs.exports.get_mut(index) {
                for record in &course.batch.records[begin..*end] {
                    output.line(&record.data)?;
                }
            }
            begin = *end;
        }
        Ok(())
    }

    /// Gives the records of a row their ids, and checks them against the service's size limit.
    fn check(
        &self,
        records: &mut [kinesis_pipeline::EncodedRecord],
        hash: Option<&str>,
        line: u64,
    ) -> Result<(), RowError> {
        for (part, record) in records.iter_mut().enumerate() {
            if let Some(hash) = hash {
                let stamp = Stamp { hash, line, part };
                record.data = stamped(&record.data, stamp).ok_or_else(|| {
                    let reason = "the record is no JSON object, or its `_meta` is none: it can have no `_meta.id`";
                    RowError::of_row(line, reason)
                })?;
            }
            let (bytes, max) = (record.size_bytes(), self.record_bytes_max);
            if bytes > max {
                let reason =
                    format!("the record has {bytes} bytes with its key, the stream takes {max}");
                return Err(RowError::of_row(line, reason));
            }
        }
        Ok(())
    }

    /// Handles a bad row by the policy.
    fn refuse(&mut self, bad: BadRow<'_>, course: &mut Course) -> Result<(), Ended> {
        let stop = |error: RowError| LoadError::Row {
            file: course.file.to_string(),
            source: Box::new(error),
        };
        if bad.error.is_fatal || self.policy == Policy::Stop {
            return Err(stop(bad.error).into());
        }
        let reason = format!("{}, {}", course.file, bad.error);
        if let Some(rejects) = &mut self.outputs.rejects
            && !rejects.row(course.header.as_deref(), bad.raw, &reason)?
        {
            return Err(other_header(&course.file, rejects.path()).into());
        }
        if self.policy == Policy::Skip {
            // The cell is left out: the table's data does not belong in a log.
            let kind = kind(&bad.error.problem);
            let (line, column) = (bad.error.line, bad.error.column.as_deref().unwrap_or("-"));
            tracing::warn!(file = %course.file, line, column, kind, "row skipped");
        }
        course.mark.rejected += 1;
        add(&self.progress.rejected, 1);
        Ok(())
    }

    /// Sends the batch to the putting task.
    fn hand_over(&mut self, course: &mut Course) -> Result<(), Ended> {
        if course.batch.rows == 0 {
            return Ok(());
        }
        course.mark.outputs = self.outputs.flush()?;
        let mut batch = std::mem::take(&mut course.batch);
        batch.file = Arc::clone(&course.file);
        batch.mark = course.mark.clone();
        course.batch_bytes = 0;
        self.batches.blocking_send(batch).map_err(|_| Gone)?;
        Ok(())
    }
}

/// Returns the error of a rejected row that would stand under the header of another file.
fn other_header(file: &str, rejects: &Path) -> LoadError {
    let rejects = rejects.display();
    LoadError::Options(format!(
        "{file} has a row to reject, and the rows in {rejects} are those of a file with another header: load {file} by itself"
    ))
}

fn kind(problem: &RowProblem) -> &'static str {
    match problem {
        RowProblem::Invalid { .. } => "invalid",
        RowProblem::Null => "null",
        RowProblem::NoCell => "no cell",
        RowProblem::NotValidated { .. } => "not valid",
        RowProblem::Duplicate => "duplicate",
        _ => "unreadable",
    }
}

/// Stops a load between two batches.
pub(crate) fn stop(progress: &Progress) {
    progress.stop.store(true, Ordering::Relaxed);
}
