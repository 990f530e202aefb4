use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use kinesis_pipeline::{
    EncodedRecord, KinesisStream, Order, Producer,
    record::row::{FromRow, RowContext, Seed},
    service::DescribeStreamSummary,
};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    Format, Input, LoadError, LoadPlan, LoadReport, Policy, ResumeProblem, Untyped,
    input::InputFile,
    model::{MakeModel, Model, Typed, untyped::UntypedModel},
    plan::{Sampled, plan},
    report::precise,
    run::{
        batch::{BATCH_ROWS_MAX, BATCHES_WAITING_MAX, Batch, Mark},
        flight::Flight,
        markers::{self, Edge},
        outputs::Outputs,
        progress::{Bar, DRAW_EVERY, Progress, get},
        resume::{Load, Resume},
        rows::{Rows, stop},
        shards::OpenShards,
        trial::Trial,
    },
    source::sha256,
};

/// How many rows are repeated at most by a second run.
const RESUME_WINDOW_ROWS: u64 = 32 * BATCH_ROWS_MAX;
/// How often the resume file is written at least.
const MARK_EVERY: Duration = Duration::from_secs(1);
/// The first records of a trial that are shown.
const SAMPLES: usize = 3;
/// The largest record of a stream whose limit cannot be asked for.
const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Loads tables into a stream.
///
/// It reads rows on a thread of its own and puts them through a producer that keeps the order of each key and
/// aggregates: see [`aggregate`](Self::aggregate).
///
/// # Cancel safety
/// Dropping the future of [`load`](Self::load) stops the load: what was put is stored or not. With a resume file, a
/// second load sends the rest. To stop without repeats, use [`StopLoad`].
pub struct Loader {
    stream: KinesisStream<EncodedRecord>,
    models: Vec<MakeModel>,
    format: Option<Format>,
    policy: Policy,
    trial: bool,
    samples: usize,
    rows_max: Option<u64>,
    outdir: Option<PathBuf>,
    resume: Option<PathBuf>,
    resume_window: u64,
    ids: bool,
    seed: Option<Seed>,
    aggregate: bool,
    order: Order,
    show_progress: bool,
    snapshot: Option<String>,
    progress: Arc<Progress>,
}

/// Stops a load from elsewhere: see [`Loader::stop_handle`].
#[derive(Clone, Debug)]
pub struct StopLoad(Arc<Progress>);

impl StopLoad {
    /// Reads no further. What was read is put, the resume file is written, and [`Loader::load`] returns a report that
    /// says [`stopped`](LoadReport::stopped).
    pub fn stop(&self) {
        stop(&self.0);
    }
}

/// The thread that reads, and what comes of it.
struct Reading {
    batches: mpsc::Receiver<Batch>,
    thread: ReadThread,
}

struct ReadThread(std::thread::JoinHandle<Result<(), LoadError>>);

impl ReadThread {
    /// Waits for the end of a thread whose channel is closed, and returns what it ended with.
    async fn ended(self) -> Result<(), LoadError> {
        let joined = tokio::task::spawn_blocking(move || self.0.join()).await;
        match joined {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(LoadError::ReaderPanicked),
        }
    }
}

/// What is known before the first record is put.
struct Course {
    resume: Option<Arc<Resume>>,
    /// Where a run before this one stopped.
    resumed: Option<Mark>,
    /// The size of the input.
    total: Option<u64>,
    tables: Vec<String>,
}

/// The size of the files, if all are files.
fn total(files: &[InputFile]) -> Option<u64> {
    files
        .iter()
        .map(|file| Some(file.path()?.metadata().ok()?.len()))
        .sum()
}

impl Loader {
    /// A loader of rows into the stream's own model.
    pub fn new<M: FromRow + 'static>(stream: &KinesisStream<M>) -> Self {
        Self::with_models(stream.with_record_type(), Vec::new()).model::<M>()
    }

    /// A loader of a table without a model.
    pub fn untyped(stream: &KinesisStream<Value>, table: Untyped) -> Self {
        let make: MakeModel = Box::new(|_| Box::new(UntypedModel::new(table)));
        Self::with_models(stream.with_record_type(), vec![make])
    }

    fn with_models(stream: KinesisStream<EncodedRecord>, models: Vec<MakeModel>) -> Self {
        Self {
            stream,
            models,
            format: None,
            policy: Policy::Stop,
            trial: false,
            samples: SAMPLES,
            rows_max: None,
            outdir: None,
            resume: None,
            resume_window: RESUME_WINDOW_ROWS,
            ids: false,
            seed: None,
            aggregate: true,
            order: Order::PerKey,
            show_progress: false,
            snapshot: None,
            progress: Arc::default(),
        }
    }

    /// Reads each row into this model too, and puts its records to the same stream.
    #[must_use]
    pub fn model<M: FromRow + 'static>(mut self) -> Self {
        self.models
            .push(Box::new(|context| Box::new(Typed::<M>::new(context))));
        self
    }

    /// The form of the input. Default: the model's `delimiter`, then that of the file's ending, then TSV.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// The consequence of a row that is no record. Default [`Policy::Stop`].
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Whether nothing is sent: the report tells what would be. Default false.
    #[must_use]
    pub fn trial(mut self, trial: bool) -> Self {
        self.trial = trial;
        self
    }

    /// How many records of a trial stand in its report. Default 3.
    #[must_use]
    pub fn samples(mut self, records: usize) -> Self {
        self.samples = records;
        self
    }

    /// Reads at most this many rows. Default: all.
    #[must_use]
    pub fn rows_max(mut self, rows: u64) -> Self {
        self.rows_max = Some(rows);
        self
    }

    /// Writes the records also to `<dir>/<table>.json`, a line each, in the same pass. The directory is made, and files
    /// of earlier loads are replaced. Default: not.
    #[must_use]
    pub fn outdir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.outdir = Some(dir.into());
        self
    }

    /// Keeps in this file how far the load is stored, and begins where it says. Default: none.
    ///
    /// The file is written, with an fsync, once a second or more often: a run after a crash sends the rest and repeats at
    /// most [`resume_window`](Self::resume_window) rows. It knows the load by the stream, the tables and the SHA-256 of
    /// each file, which is read once more for it.
    #[must_use]
    pub fn resume(mut self, path: impl Into<PathBuf>) -> Self {
        self.resume = Some(path.into());
        self
    }

    /// How many rows a second run repeats at most. Default 32,768; at least 2,048. A smaller window costs more writes
    /// of the resume file.
    #[must_use]
    pub fn resume_window(mut self, rows: u64) -> Self {
        self.resume_window = rows;
        self
    }

    /// Whether each record carries `_meta.id`: 16 digits of its file's SHA-256, `:`, and the line of its row; a row's
    /// second record and those after it have `.1`, `.2` ... behind. A sink drops by it what came twice. Default false.
    ///
    /// Records must be JSON objects, and files must be readable twice.
    #[must_use]
    pub fn ids(mut self, ids: bool) -> Self {
        self.ids = ids;
        self
    }

    /// The seed of the anonymisers. Default: a random one, so that pseudonyms differ from run to run.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Whether records share Kinesis records, in the format of the Kinesis Producer Library. Default true: with an order
    /// per key, a shard takes one Kinesis record a round trip, which is slow without.
    ///
    /// Every reader of the stream must split aggregates, as this library, KCL, Firehose and Lambda's helpers do.
    #[must_use]
    pub fn aggregate(mut self, aggregate: bool) -> Self {
        self.aggregate = aggregate;
        self
    }

    /// In which order records are stored. Default [`Order::PerKey`].
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Whether a progress bar is drawn on standard error, where that is a terminal. Default false.
    #[must_use]
    pub fn progress(mut self, show: bool) -> Self {
        self.show_progress = show;
        self
    }

    /// Puts a marker with this id to every open shard before the first record and after the last one, so that readers
    /// tell the load from what is live. Default: none.
    ///
    /// A marker is a JSON object: `_meta.eventType` is `snapshot.begin` or `snapshot.end`, `snapshot.id` is the id,
    /// `snapshot.tables` has the tables, and the end has `snapshot.counts`: rows, records, dropped, rejected. A load that is
    /// stopped or fails has no end; one that is resumed and begins anew can bring a marker twice.
    #[must_use]
    pub fn snapshot(mut self, id: impl Into<String>) -> Self {
        self.snapshot = Some(id.into());
        self
    }

    /// A handle that stops the load.
    #[must_use]
    pub fn stop_handle(&self) -> StopLoad {
        StopLoad(Arc::clone(&self.progress))
    }

    /// Loads the tables of an input.
    ///
    /// # Errors
    /// [`LoadError`]: with a resume file, what was stored before it is not sent again.
    pub async fn load(mut self, input: impl Into<Input>) -> Result<LoadReport, LoadError> {
        let files = input.into().0;
        self.check()?;
        self.refuse_overwriting(&files)?;
        let models = self.make_models();
        let tables: Vec<String> = models
            .iter()
            .map(|model| model.table().to_owned())
            .collect();
        let hashes = self.hashes(&files).await?;
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
        let report = self.drive(reading.batches, course).await?;
        reading.thread.ended().await?;
        Ok(report)
    }

    /// Reads up to `sample_rows` rows and the stream's shards, and tells what the load will take: how long, which shard
    /// will be hot and why, and, for a time that is asked for, how many shards it would need. Nothing is sent or written.
    ///
    /// It goes by the limits of shards. What the machine and the network can do is not known before.
    ///
    /// # Errors
    /// [`LoadError`], as [`load`](Self::load).
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
        let reading = self
            .read(models, files, Outputs::default(), None, None)
            .await?;
        let (mut batches, service) = (reading.batches, self.stream.service());
        let shards = OpenShards::list(&**service, self.stream.id()).await?;
        let mut trial = Trial::new(shards, 0).with_keys();
        let mut rows = 0;
        while let Some(batch) = batches.recv().await {
            trial.take(&batch);
            rows += batch.rows;
        }
        reading.thread.ended().await?;
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

    /// Starts the thread that reads.
    async fn read(
        &self,
        models: Vec<Box<dyn Model>>,
        files: Vec<InputFile>,
        outputs: Outputs,
        hashes: Option<Vec<String>>,
        resume: Option<Mark>,
    ) -> Result<Reading, LoadError> {
        let (sender, batches) = mpsc::channel(BATCHES_WAITING_MAX);
        let rows = Rows {
            models,
            format: self.format,
            policy: self.policy.clone(),
            outputs,
            hashes,
            record_bytes_max: self.record_bytes_max().await?,
            rows_max: self.rows_max,
            clock: self.stream.clock().clone(),
            progress: Arc::clone(&self.progress),
            resume,
            batches: sender,
        };
        let thread = std::thread::Builder::new()
            .name("kinesis-load".to_owned())
            .spawn(move || rows.run(files))
            .map_err(|source| {
                LoadError::io("the thread that reads rows", "cannot start", source)
            })?;
        let thread = ReadThread(thread);
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

    /// A load writes no file that it reads.
    fn refuse_overwriting(&self, files: &[InputFile]) -> Result<(), LoadError> {
        let written = [self.rejects(), self.resume.as_deref()];
        for path in written.into_iter().flatten() {
            let same = |file: &InputFile| {
                let read = file.path().and_then(|path| path.canonicalize().ok());
                read.is_some() && read == path.canonicalize().ok()
            };
            if files.iter().any(same) {
                let problem = format!(
                    "{} is read and would be overwritten: name another",
                    path.display()
                );
                return Err(LoadError::Options(problem));
            }
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

    /// The hashes of the files, if they are needed.
    async fn hashes(&self, files: &[InputFile]) -> Result<Option<Vec<String>>, LoadError> {
        if !self.ids && self.resume.is_none() {
            return Ok(None);
        }
        let mut hashes = Vec::new();
        for file in files {
            let Some(path) = file.path().map(Path::to_owned) else {
                return Err(self.not_a_file(&file.name()));
            };
            let name = file.name();
            let hash = tokio::task::spawn_blocking(move || sha256(&path)).await;
            let hash = hash.map_err(|_| LoadError::ReaderPanicked)?;
            hashes.push(hash.map_err(|source| LoadError::io(&name, "cannot be read", source))?);
        }
        Ok(Some(hashes))
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

    /// The largest record that the stream takes. The call also finds out early that there is no such stream.
    async fn record_bytes_max(&self) -> Result<usize, LoadError> {
        use kinesis_pipeline::service::ErrorClass;
        let call = DescribeStreamSummary::new(self.stream.id().clone());
        match self.stream.service().describe_stream_summary(call).await {
            Ok(summary) => Ok(summary.record_bytes_max),
            // A role that may put need not be allowed to describe.
            Err(error) if error.class != ErrorClass::NotFound => Ok(RECORD_BYTES_MAX),
            Err(error) => Err(error.into()),
        }
    }

    async fn drive(
        &self,
        received: mpsc::Receiver<Batch>,
        course: Course,
    ) -> Result<LoadReport, LoadError> {
        let start = self.stream.clock().instant();
        let mut report = LoadReport {
            trial: self.trial,
            resumed_rows: course.resumed.as_ref().map_or(0, |mark| mark.rows),
            ..LoadReport::default()
        };
        let mark = if self.trial {
            self.drive_trial(received, &mut report).await?
        } else {
            self.drive_puts(received, &course, &mut report).await?
        };
        report.stopped = self.progress.is_stopped();
        let mark = mark.or(course.resumed).unwrap_or_default();
        if let (Some(id), false, false) = (&self.snapshot, self.trial, report.stopped) {
            markers::put(&self.stream, id, &course.tables, Edge::End(&mark)).await?;
        }
        report.rows = mark.rows;
        report.dropped = mark.dropped;
        report.rejected = mark.rejected;
        report.tables = mark.tables;
        report.seconds = start.elapsed().as_secs_f64();
        Ok(report)
    }

    async fn drive_trial(
        &self,
        mut received: mpsc::Receiver<Batch>,
        report: &mut LoadReport,
    ) -> Result<Option<Mark>, LoadError> {
        let service = self.stream.service();
        let shards = OpenShards::list(&**service, self.stream.id()).await?;
        let mut trial = Trial::new(shards, self.samples);
        let mut mark = None;
        while let Some(batch) = received.recv().await {
            trial.take(&batch);
            mark = Some(batch.mark);
        }
        report.records = trial.records;
        report.bytes = trial.bytes;
        report.shards = trial.per_shard();
        report.samples = trial.samples;
        Ok(mark)
    }

    fn producer(&self) -> Result<Producer<EncodedRecord>, LoadError> {
        let producer = self.stream.producer();
        Ok(producer
            .aggregate(self.aggregate)
            .order(self.order)
            .build()?)
    }

    async fn drive_puts(
        &self,
        mut received: mpsc::Receiver<Batch>,
        course: &Course,
        report: &mut LoadReport,
    ) -> Result<Option<Mark>, LoadError> {
        if let (Some(id), None) = (&self.snapshot, &course.resumed) {
            markers::put(&self.stream, id, &course.tables, Edge::Begin).await?;
        }
        let bar = if self.show_progress {
            Bar::new(course.total)
        } else {
            None
        };
        let (progress, resume) = (Arc::clone(&self.progress), course.resume.clone());
        let mut flight = Flight::new(self.producer()?, progress, resume, self.resume_window);
        let start = self.stream.clock().instant();
        let mut mark_timer = tokio::time::interval(MARK_EVERY);
        let mut draw_timer = tokio::time::interval(DRAW_EVERY);
        let mut is_reading = true;
        while is_reading || !flight.is_empty() {
            tokio::select! {
                landed = flight.landed(), if !flight.is_empty() => {
                    landed?;
                    if flight.is_mark_due() {
                        flight.write_mark().await?;
                    }
                }
                batch = received.recv(), if is_reading && flight.has_room() => match batch {
                    Some(batch) => flight.put(batch).await?,
                    None => is_reading = false,
                },
                _ = mark_timer.tick() => flight.write_mark().await?,
                _ = draw_timer.tick(), if bar.is_some() => {
                    if let Some(bar) = &bar {
                        bar.draw(&self.progress, flight.throttled(), start.elapsed());
                    }
                }
            }
        }
        flight.write_mark().await?;
        report.records = get(&self.progress.records);
        report.bytes = get(&self.progress.bytes);
        report.throttled = flight.throttled();
        report.shards = flight.per_shard();
        Ok(flight.mark().cloned())
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("stream", self.stream.id())
            .field("trial", &self.trial)
            .finish_non_exhaustive()
    }
}
