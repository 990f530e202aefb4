//! The start of a load: checks files, and starts the reading thread.

use std::{
    fs::Metadata,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use kinesis_pipeline::{
    record::row::{RowContext, Seed},
    service::{DescribeStreamSummary, ErrorClass, StreamSummary},
};
use tokio::sync::mpsc;

use super::{Loader, written::Written};
use crate::{
    Input, LoadError, LoadPlan, LoadReport, Policy, ResumeProblem,
    input::InputFile,
    model::Model,
    plan::{Sampled, plan},
    report::precise,
    run::{
        batch::{BATCH_ROWS_MAX, BATCHES_WAITING_MAX, Batches, Mark},
        outputs::Outputs,
        progress::{Progress, get},
        resume::{Load, Made, Resume},
        rows::Rows,
        shards::OpenShards,
        trial::Trial,
    },
    source::{Hashed, hash},
};

/// The size limit of records where the stream's own cannot be read, in bytes.
const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// The reading thread, and the channel of its batches.
pub(super) struct Reading {
    pub(super) batches: Batches,
    thread: JoinHandle<Result<(), LoadError>>,
}

impl Reading {
    /// Waits for the end of a thread that sends no more batches, and returns what it ended with. A thread that was left
    /// in the middle of a read ends by itself later.
    pub(super) async fn ended(self) -> Result<(), LoadError> {
        if self.batches.is_given_up() {
            return Ok(());
        }
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        match joined {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(LoadError::ReaderPanicked),
        }
    }
}

/// The state that a load begins with.
#[derive(Default)]
struct Start {
    outputs: Outputs,
    hashed: Option<Vec<Hashed>>,
    record_bytes_max: usize,
    /// The place where a previous run stopped.
    resume: Option<Mark>,
}

/// The facts that are known before the first record is put.
pub(super) struct Course {
    pub(super) resume: Option<Arc<Resume>>,
    /// The place where a previous run stopped.
    pub(super) resumed: Option<Mark>,
    /// The size of the input in bytes, if it is known.
    pub(super) total: Option<u64>,
    pub(super) tables: Vec<String>,
}

/// Whether the path names a pipe or a device, which cannot be read twice.
fn is_gone_once_read(path: &Path) -> bool {
    let is_readable = |data: Metadata| data.is_file() || data.is_dir();
    path.metadata().is_ok_and(|data| !is_readable(data))
}

/// Hashes each file. Returns `None` if the load is stopped meanwhile.
async fn hash_all(
    files: Vec<(PathBuf, String)>,
    progress: &Arc<Progress>,
) -> Result<Option<Vec<Hashed>>, LoadError> {
    let progress = Arc::clone(progress);
    let all = move || {
        let hashed = files
            .iter()
            .map(|(path, name)| hash(path, name, || progress.is_stopped()));
        hashed.collect::<Result<Option<Vec<_>>, _>>()
    };
    let hashed = tokio::task::spawn_blocking(all).await;
    hashed.map_err(|_| LoadError::ReaderPanicked)?
}

/// Returns the size of the files, if all are files of the disk.
fn total(files: &[InputFile]) -> Option<u64> {
    let size = |file: &InputFile| {
        let data = file.path()?.metadata().ok()?;
        data.is_file().then_some(data.len())
    };
    files.iter().map(size).sum()
}

impl Loader {
    /// Loads the tables of an input.
    ///
    /// # Errors
    /// [`LoadError`]: with a resume file, records that were stored before the error are not sent again.
    pub async fn load(mut self, input: impl Into<Input>) -> Result<LoadReport, LoadError> {
        let files = input.into().0;
        self.check()?;
        let models = self.make_models();
        let tables: Vec<String> = models
            .iter()
            .map(|model| model.table().to_owned())
            .collect();
        let written = Written {
            rejects: self.rejects(),
            resume: self.resume.as_deref(),
            outdir: self.outdir.as_deref(),
            tables: &tables,
        };
        written.check(&files)?;
        let twice = self.read_twice(&files)?;
        let summary = self.summary().await?;
        let resumed = self.read_resume(&tables, summary.as_ref())?;
        let (mut resume, mark) =
            resumed.map_or((None, None), |(resume, mark)| (Some(resume), mark));
        let hashed = match twice {
            Some(files) => {
                let Some(hashed) = hash_all(files, &self.progress).await? else {
                    return Ok(self.stopped_early(mark.unwrap_or_default(), tables));
                };
                Some(hashed)
            }
            None => None,
        };
        if let (Some(resume), Some(hashed)) = (&mut resume, &hashed) {
            let files = hashed.iter().map(|file| file.sha256.clone());
            resume.set_files(files.collect())?;
        }
        let lengths = mark.as_ref().map_or(&[][..], |mark| &mark.outputs);
        let mut outputs = Outputs::open(self.rejects(), self.outdir.as_deref(), &tables, lengths)?;
        let resume = resume.map(|mut resume| {
            resume.after(outputs.files());
            Arc::new(resume)
        });
        let total = total(&files);
        let start = Start {
            outputs,
            hashed,
            record_bytes_max: record_bytes_max(summary.as_ref()),
            resume: mark.clone(),
        };
        let reading = self.read(models, files, start)?;
        let course = Course {
            resume,
            resumed: mark,
            total,
            tables,
        };
        self.drive(reading, course).await
    }

    /// Plans the load from up to `sample_rows` rows and the stream's shards: how long it will take, which shard will be
    /// hot and why, and how many shards it would need to end within a given time. Nothing is sent or written.
    ///
    /// The plan goes by the limits of shards. The speed of the machine and the network is not taken into account.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use kinesis_pipeline_load::{LoadError, Loader};
    /// # async fn example(loader: Loader) -> Result<(), LoadError> {
    /// let plan = loader.plan("airports.tsv", 100_000, Some(Duration::from_secs(600))).await?;
    /// println!("{plan}");
    /// if let Some(shards) = plan.shards_needed {
    ///     println!("10 minutes take {shards} shard(s)");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LoadError`], as for [`load`](Self::load).
    pub async fn plan(
        mut self,
        input: impl Into<Input>,
        sample_rows: u64,
        within: Option<Duration>,
    ) -> Result<LoadPlan, LoadError> {
        let files = input.into().0;
        self.rows_max = Some(sample_rows);
        let models = self.make_models();
        let total = total(&files);
        let summary = self.summary().await?;
        let start = Start {
            record_bytes_max: record_bytes_max(summary.as_ref()),
            ..Start::default()
        };
        let mut reading = self.read(models, files, start)?;
        let service = self.stream.service();
        let shards = OpenShards::list(&**service, self.stream.id()).await?;
        let mut trial = Trial::new(shards, 0).with_keys();
        let mut rows = 0;
        while let Some(batch) = reading.batches.next().await {
            trial.take(&batch);
            rows += batch.rows;
        }
        reading.ended().await?;
        let (shards, keys) = trial.sampled();
        let read = get(&self.progress.rows_bytes);
        let is_whole = rows < sample_rows;
        let fraction = match total {
            Some(total) if !is_whole && total > read => precise(read) / precise(total),
            _ => 1.0,
        };
        let is_size_known = is_whole || total.is_some();
        Ok(plan(&Sampled {
            rows,
            is_whole,
            is_size_known,
            fraction,
            shards,
            keys,
            aggregate: self.aggregate,
            within_seconds: within.map(|time| time.as_secs_f64()),
        }))
    }

    /// Starts the reading thread.
    fn read(
        &self,
        models: Vec<Box<dyn Model>>,
        files: Vec<InputFile>,
        start: Start,
    ) -> Result<Reading, LoadError> {
        let (sender, received) = mpsc::channel(BATCHES_WAITING_MAX);
        let rows = Rows {
            models,
            format: self.format,
            policy: self.policy.clone(),
            outputs: start.outputs,
            hashed: start.hashed,
            ids: self.ids,
            record_bytes_max: start.record_bytes_max,
            rows_max: self.rows_max,
            rows_logged: self.samples,
            clock: self.stream.clock().clone(),
            progress: Arc::clone(&self.progress),
            resume: start.resume,
            batches: sender,
        };
        let thread = thread::Builder::new()
            .name("kinesis-load".to_owned())
            .spawn(move || rows.run(files))
            .map_err(|source| {
                LoadError::io("the thread that reads rows", "cannot start", source)
            })?;
        let batches = Batches::new(received, Arc::clone(&self.progress));
        Ok(Reading { batches, thread })
    }

    fn check(&self) -> Result<(), LoadError> {
        if self.resume_window < 2 * BATCH_ROWS_MAX {
            let problem = format!("the resume window is at least {} rows", 2 * BATCH_ROWS_MAX);
            return Err(LoadError::Options(problem));
        }
        if self.trial && self.resume.is_some() {
            let problem = "a trial stores nothing, so that there is nothing to resume: leave the resume file out";
            return Err(LoadError::Options(problem.to_owned()));
        }
        Ok(())
    }

    fn make_models(&mut self) -> Vec<Box<dyn Model>> {
        let seed = self.seed.take().unwrap_or_else(Seed::random);
        let context = RowContext::new(self.stream.clock().clone(), seed);
        let models = std::mem::take(&mut self.models);
        models
            .into_iter()
            .map(|make| make(context.clone()))
            .collect()
    }

    fn rejects(&self) -> Option<&Path> {
        match &self.policy {
            Policy::Rejects(path) => Some(path),
            Policy::Stop | Policy::Skip => None,
        }
    }

    /// Returns the files that are read twice, with their names: first for their hashes, if those are needed.
    fn read_twice(&self, files: &[InputFile]) -> Result<Option<Vec<(PathBuf, String)>>, LoadError> {
        if !self.ids && self.resume.is_none() {
            return Ok(None);
        }
        let file = |file: &InputFile| {
            let path = file.path().filter(|path| !is_gone_once_read(path));
            let path = path.ok_or_else(|| self.not_a_file(&file.name()))?;
            Ok((path.to_owned(), file.name()))
        };
        files.iter().map(file).collect::<Result<_, _>>().map(Some)
    }

    fn not_a_file(&self, name: &str) -> LoadError {
        match &self.resume {
            Some(path) => LoadError::Resume {
                path: path.clone(),
                problem: ResumeProblem::NotAFile(name.to_owned()),
            },
            None => LoadError::Options(format!(
                "ids hold the hash of a file, and {name} is gone once it is read: name a file"
            )),
        }
    }

    fn read_resume(
        &self,
        tables: &[String],
        summary: Option<&StreamSummary>,
    ) -> Result<Option<(Resume, Option<Mark>)>, LoadError> {
        let Some(path) = &self.resume else {
            return Ok(None);
        };
        let rejects = self.rejects().map(|path| path.display().to_string());
        let outdir = self.outdir.as_ref().map(|path| path.display().to_string());
        let load = Load {
            stream: self.stream.id().name().to_owned(),
            made: summary.map(Made::of),
            files: Vec::new(),
            tables: tables.to_vec(),
            outputs: rejects.into_iter().chain(outdir).collect(),
        };
        Resume::read(path, load).map(Some)
    }

    /// Describes the stream, if that is allowed. The call also finds out early that there is no such stream.
    async fn summary(&self) -> Result<Option<StreamSummary>, LoadError> {
        let call = DescribeStreamSummary::new(self.stream.id().clone());
        match self.stream.service().describe_stream_summary(call).await {
            Ok(summary) => Ok(Some(summary)),
            // A role may be allowed to put and not to describe.
            Err(error) if error.class != ErrorClass::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the report of a load that was stopped before it read a row.
    fn stopped_early(&self, mark: Mark, tables: Vec<String>) -> LoadReport {
        let mut report = LoadReport {
            trial: self.trial,
            stopped: true,
            resumed_rows: mark.rows,
            ..LoadReport::default()
        };
        report.count(mark, tables);
        report
    }
}

/// Returns the largest record that the stream takes, in bytes.
fn record_bytes_max(summary: Option<&StreamSummary>) -> usize {
    summary.map_or(RECORD_BYTES_MAX, |summary| summary.record_bytes_max)
}
