//! Loads tables into Amazon Kinesis: rows of a file become typed records with metadata. A trial shows them without
//! sending; a load puts them at the speed of the stream.
//!
//! ```text
//!   files, standard input ── Source: decompress, cut into rows ──┐  a thread
//!   rows ── Model: map, check, encode ──> batches of records ────┤
//!       └── rejects file, export file                            │
//!                                                                v
//!   batches ── Flight: put, await receipts in order ──> resume file, report, progress
//! ```
//!
//! # A program in one line of `main`
//!
//! ```no_run
//! use kinesis_pipeline::KinesisRecord;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, KinesisRecord)]
//! #[kinesis(event_type = "reading.create", produced_by = "demo")]
//! struct Reading {
//!     #[kinesis(partition_key, pos = 0)]
//!     device: String,
//!     #[kinesis(column = "temp_c")]
//!     temperature: Option<f64>,
//! }
//!
//! # #[cfg(feature = "main")]
//! #[tokio::main]
//! async fn main() -> std::process::ExitCode {
//!     kinesis_pipeline_load::main::<Reading>().await
//! }
//! # #[cfg(not(feature = "main"))] fn main() {}
//! ```
//!
//! The fields say which cell they read and how: [`KinesisRecord`](derive@kinesis_pipeline::KinesisRecord) lists all their
//! settings, such as nulls, defaults, time formats, maps and [anonymisers](anonymize). The program that this makes is first
//! tried, then run:
//!
//! ```console
//! $ readings -i readings.tsv.gz --stream readings --trial
//! d1      {"_meta":{"eventType":"reading.create",...},"device":"d1","temp_c":21.5}
//! trial, nothing was sent: 120000 row(s) in, 120000 record(s) out, 0 dropped, 0 rejected; ...
//! $ readings -i readings.tsv.gz --stream readings --plan
//! $ readings -i readings.tsv.gz --stream readings --resume readings.resume --rejects rejected.tsv
//! ```
//!
//! | option of the program | in a program of yours |
//! |---|---|
//! | `-i FILE`, standard input by default | [`Input`] |
//! | `--format tsv\|csv\|jsonl` | [`Loader::format`] |
//! | `-t`, `-p N` | [`Loader::trial`], [`Loader::samples`] |
//! | `--plan`, `--within SECONDS` | [`Loader::plan`] |
//! | `--skip`, `--rejects FILE` | [`Loader::policy`] |
//! | `--resume FILE` | [`Loader::resume`], [`Loader::resume_window`] |
//! | `--ids` | [`Loader::ids`] |
//! | `--seed-file FILE` | [`Loader::seed`] |
//! | `-o DIR`, `--no-export` | [`Loader::outdir`] |
//! | `--no-aggregate` | [`Loader::aggregate`] |
//! | `--snapshot ID` | [`Loader::snapshot`] |
//! | `--scale-to SHARDS`, `--yes` | [`Loader::scale_to`] |
//! | `--json`, `-q`, `--debug` | [`LoadReport`], [`Loader::progress`] |
//! | `--stream NAME`, `--profile NAME` | `load::program` |
//! | Ctrl-C, SIGTERM | [`Loader::stop_handle`] |
//!
//! Tables without a model of their own: [`Untyped`], or the program `kinesis-pipeline load` of the crate
//! `kinesis-pipeline-cli`.
//!
//! # From a program of yours
//!
//! ```
//! # use kinesis_pipeline::{KinesisRecord, KinesisStream, LocalKinesis};
//! # use serde::{Deserialize, Serialize};
//! use kinesis_pipeline_load::{Input, Loader};
//!
//! # #[derive(Serialize, Deserialize, KinesisRecord)]
//! # struct Reading {
//! #     #[kinesis(partition_key, pos = 0)]
//! #     device: String,
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let stream: KinesisStream<Reading> = LocalKinesis::start().await?.stream("readings", 4).await?;
//! let table = Input::reader("readings", std::io::Cursor::new("device\nd1\nd2\n"));
//! let report = Loader::new(&stream).load(table).await?;
//! assert_eq!(report.records, 2);
//! # Ok(())
//! # }
//! ```
//!
//! # Promises
//!
//! - **Memory is bounded** at any size of the input: [`ROW_BYTES_MAX`] for a row, the producer's bounds for records in
//!   flight, and 16 bytes for each value of a `unique` field.
//! - **No row is lost silently.** Each is put, dropped by the model's options, or rejected with its reason; the report
//!   counts all three.
//! - **A second run sends the rest.** With a resume file at most [`Loader::resume_window`] rows are repeated.
//! - **Order.** The records of one key are stored in the order of their rows.

pub mod anonymize;
mod error;
mod input;
mod loader;
mod map;
mod model;
mod options;
mod plan;
#[cfg(feature = "main")]
mod program;
mod report;
mod run;
mod source;

pub use error::{LoadError, ResumeProblem};
pub use input::Input;
pub use loader::{Loader, StopLoad};
pub use map::{ReadMapError, read_map};
pub use model::untyped::{ColumnType, Untyped};
pub use options::{Format, Policy};
pub use plan::{HotReason, HotShard, LoadPlan};
#[cfg(feature = "main")]
pub use program::{Program, main, program};
pub use report::{LoadReport, Sample, TableReport};
pub use source::ROW_BYTES_MAX;
