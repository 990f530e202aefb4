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
    service::{DescribeStreamSummary, ErrorClass},
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
        progress::get,
        resume::{Load, Resume},
        rows::Rows,
        shards::OpenShards,
        trial::Trial,
    },
    source::sha256,
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

/// Returns the hash of each file.
async fn hashes(files: Vec<(PathBuf, String)>) -> Result<Vec<String>, LoadError> {
    let mut hashes = Vec::new();
    for (path, name) in files {
        let hash = tokio::task::spawn_blocking(move || sha256(&path, &name)).await;
        hashes.push(hash.map_err(|_| LoadError::ReaderPanicked)??);
    }
    Ok(hashes)
}

/// Returns the size of the files, if all are files.
fn total(files: &[InputFile]) -> Option<u64> {
    files
        .iter()
        .map(|file| Some(file.path()?.metadata().ok()?.len()))
        .sum()
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
        let hashes = match self.read_twice(&files)? {
            Some(files) => Some(hashes(files).await?),
            None => None,
        };
        let resumed = self.read_resume(&tables, hashes.as_deref())?;
        let (resume, mark) = resumed.map_or((None, None), |(resume, mark)| (Some(resume), mark));
        let lengths = mark.as_ref().map_or(&[][..], |mark| &mark.outputs);
        let mut outputs = Outputs::open(self.rejects(), self.outdir.as_deref(), &tables, lengths)?;
        let resume = resume.map(|mut resume| {
            resume.after(outputs.files());
            Arc::new(resume)
        });
        let total = total(&files);
        let hashes = hashes.filter(|_| self.ids);
        let reading = self
            .read(models, files, outputs, hashes, mark.clone())
            .await?;
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
        let mut reading = self
            .read(models, files, Outputs::default(), None, None)
            .await?;
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
        Ok(plan(&Sampled {
            rows,
            is_whole,
            fraction,
            shards,
            keys,
            aggregate: self.aggregate,
            within_seconds: within.map(|time| time.as_secs_f64()),
        }))
    }

    /// Starts the reading thread.
    async fn read(
        &self,
        models: Vec<Box<dyn Model>>,
        files: Vec<InputFile>,
        outputs: Outputs,
        hashes: Option<Vec<String>>,
        resume: Option<Mark>,
    ) -> Result<Reading, LoadError> {
        let (sender, received) = mpsc::channel(BATCHES_WAITING_MAX);
        let rows = Rows {
            models,
            format: self.format,
            policy: self.policy.clone(),
            outputs,
            hashes,
            record_bytes_max: self.record_bytes_max().await?,
            rows_max: self.rows_max,
            rows_logged: self.samples,
            clock: self.stream.clock().clone(),
            progress: Arc::clone(&self.progress),
            resume,
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
        hashes: Option<&[String]>,
    ) -> Result<Option<(Resume, Option<Mark>)>, LoadError> {
        let (Some(path), Some(hashes)) = (&self.resume, hashes) else {
            return Ok(None);
        };
        let rejects = self.rejects().map(|path| path.display().to_string());
        let outdir = self.outdir.as_ref().map(|path| path.display().to_string());
        let load = Load {
            stream: self.stream.id().name().to_owned(),
            files: hashes.to_vec(),
            tables: tables.to_vec(),
            outputs: rejects.into_iter().chain(outdir).collect(),
        };
        Resume::read(path, load).map(Some)
    }

    /// Returns the largest record that the stream takes. The call also finds out early that there is no such stream.
    async fn record_bytes_max(&self) -> Result<usize, LoadError> {
        let call = DescribeStreamSummary::new(self.stream.id().clone());
        match self.stream.service().describe_stream_summary(call).await {
            Ok(summary) => Ok(summary.record_bytes_max),
            // A role may be allowed to put and not to describe.
            Err(error) if error.class != ErrorClass::NotFound => Ok(RECORD_BYTES_MAX),
            Err(error) => Err(error.into()),
        }
    }
}
