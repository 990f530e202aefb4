//! A loader program: the command line, signals and the exit status.
//!
//! ```text
//!   arguments ── Options ──> Loader ── load ──> report on standard error, or JSON on standard output
//!   Ctrl-C, SIGTERM ── StopLoad ──> what was read is put, the resume file is written; status 130 or 143
//! ```

mod help;
mod options;
mod signals;

use std::{io::Write as _, process::ExitCode, sync::Arc, time::Duration};

use clap::{CommandFactory as _, FromArgMatches as _};
use kinesis_pipeline::{
    KinesisStream,
    record::row::{FromRow, RowMapping},
    service::{
        StreamId,
        aws::{ConnectError, ConnectOptions},
    },
};

use self::{
    options::Options,
    signals::{Signal, signalled},
};
use crate::{LoadError, LoadReport, Loader};

/// The rows that a plan reads.
const PLAN_ROWS: u64 = 100_000;

/// Runs a loader program of one model: reads the command line, loads, and returns the exit status.
///
/// ```no_run
/// # use kinesis_pipeline::KinesisRecord;
/// # use serde::{Deserialize, Serialize};
/// use kinesis_pipeline_load as load;
///
/// #[derive(Serialize, Deserialize, KinesisRecord)]
/// struct Reading {
///     #[kinesis(partition_key, pos = 0)]
///     device: String,
/// }
///
/// #[tokio::main]
/// async fn main() -> std::process::ExitCode {
///     load::main::<Reading>().await
/// }
/// ```
///
/// Status: 0 done, 1 failed, 2 wrong usage, 130 and 143 ended by a signal before the work was done. `--help` lists all
/// options and the model's columns.
///
/// # Cancel safety
/// As [`Loader::load`].
pub async fn main<M: FromRow + 'static>() -> ExitCode {
    program::<M>().run().await
}

/// Returns the loader program of a model, to give it settings of its own.
#[must_use]
pub fn program<M: FromRow + 'static>() -> Program {
    Program {
        mappings: vec![M::MAPPING],
        loader: Box::new(|stream| Loader::new(&stream.with_record_type::<M>())),
        stream: None,
        profile: None,
    }
}

type MakeLoader = Box<dyn FnOnce(&KinesisStream<()>) -> Loader + Send>;

/// A loader program with settings of its own: see [`program`].
///
/// ```no_run
/// # use kinesis_pipeline::KinesisRecord;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize, KinesisRecord)]
/// # struct Reading {
/// #     #[kinesis(partition_key, pos = 0)]
/// #     device: String,
/// # }
/// # async fn run() -> std::process::ExitCode {
/// kinesis_pipeline_load::program::<Reading>()
///     .stream("my-stream")
///     .profile("prd")
///     .configure(|loader| loader.aggregate(false))
///     .run()
///     .await
/// # }
/// ```
pub struct Program {
    mappings: Vec<RowMapping>,
    loader: MakeLoader,
    stream: Option<String>,
    profile: Option<String>,
}

impl Program {
    /// Adds a model: each row is read into it too.
    #[must_use]
    pub fn model<M: FromRow + 'static>(mut self) -> Self {
        self.mappings.push(M::MAPPING);
        self.configure(Loader::model::<M>)
    }

    /// Sets the stream, unless `--stream` names another.
    #[must_use]
    pub fn stream(mut self, name: impl Into<String>) -> Self {
        self.stream = Some(name.into());
        self
    }

    /// Sets the profile of the AWS configuration, unless `--profile` names another.
    #[must_use]
    pub fn profile(mut self, name: impl Into<String>) -> Self {
        self.profile = Some(name.into());
        self
    }

    /// Sets a function that changes the loader before the options of the command line are applied.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(Loader) -> Loader + Send + 'static) -> Self {
        let loader = self.loader;
        self.loader = Box::new(move |stream| change(loader(stream)));
        self
    }

    /// Reads the command line, loads, and returns the exit status.
    ///
    /// # Cancel safety
    /// As [`Loader::load`].
    pub async fn run(self) -> ExitCode {
        let command = Options::command().after_help(help::columns(&self.mappings));
        let options = command
            .try_get_matches()
            .and_then(|matches| Options::from_arg_matches(&matches));
        let options = match options {
            Ok(options) => options,
            Err(error) => {
                // `--help` is such an error too, with status 0. A failed print gets no further message.
                let _ = error.print();
                return status(error.exit_code());
            }
        };
        options.log();
        let quiet = options.quiet;
        match self.load(options).await {
            Ok(status) => status,
            Err(failure) => {
                if !quiet || !failure.is_silent() {
                    tell(&format!("error: {failure}"));
                }
                ExitCode::FAILURE
            }
        }
    }

    async fn load(self, options: Options) -> Result<ExitCode, Failure> {
        let Some(name) = options.stream.clone().or(self.stream) else {
            tell("error: no stream is named: use --stream");
            return Ok(status(2));
        };
        if !options.may_scale() {
            tell("error: the stream is not scaled without a yes: answer y, or use --yes");
            return Ok(status(2));
        }
        let stream = connect(
            &name,
            options.profile.as_deref().or(self.profile.as_deref()),
        )
        .await?;
        let loader = options.apply((self.loader)(&stream))?;
        if options.plan {
            let within = options.within.map(Duration::from_secs);
            let plan = loader.plan(options.input(), PLAN_ROWS, within).await?;
            options.print_plan(&plan)?;
            return Ok(ExitCode::SUCCESS);
        }
        let stop = loader.stop_handle();
        let signal = Arc::new(std::sync::OnceLock::new());
        let noted = Arc::clone(&signal);
        let is_scaled = options.scale_to.is_some();
        let listener = tokio::spawn(async move {
            let _ = noted.set(signalled().await);
            stop.stop();
            // A second signal ends the program at once.
            let again = signalled().await;
            tell("ended by a signal before the rows that were read were stored");
            if is_scaled {
                tell("the stream may still be scaled: look at its shards");
            }
            std::process::exit(i32::from(again.status()));
        });
        let report = loader.load(options.input()).await;
        listener.abort();
        let report = report?;
        options.print(&report)?;
        Ok(ended(&report, signal.get()))
    }
}

/// Returns the status of a load that ended by itself or by a signal.
fn ended(report: &LoadReport, signal: Option<&Signal>) -> ExitCode {
    match signal {
        Some(signal) if report.stopped => {
            tell(&format!("ended by a signal after row {}", report.rows));
            ExitCode::from(signal.status())
        }
        _ => ExitCode::SUCCESS,
    }
}

async fn connect(stream: &str, profile: Option<&str>) -> Result<KinesisStream<()>, ConnectError> {
    let id = StreamId::from(stream);
    let mut options = ConnectOptions::for_stream(&id)?;
    if let Some(profile) = profile {
        options = options.profile(profile);
    }
    let service = options.connect().await?;
    Ok(KinesisStream::with_service(Arc::new(service), id))
}

/// The reason why a program failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{}", chain(.0))]
    Load(#[from] LoadError),
    #[error("{}", chain(.0))]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Usage(String),
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
}

impl Failure {
    /// Whether `-q` suppresses the message: the reader of standard output has closed the pipe and needs none.
    fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

/// Returns an error and its causes on one line, without causes whose text is already in the error before.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

/// Writes a line to standard error. A failure is ignored.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn status(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
