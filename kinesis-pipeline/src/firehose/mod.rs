//! Amazon Data Firehose: records in flight, transformed by one function.
//!
//! ```text
//!  JSON ── Event (borrows) ── each InputRecord ── base64 ── KinesisRecord::decode ── T
//!                                  │                                                 │
//!              ids that come twice │                             your function, panics caught
//!                                  ▼                                                 ▼
//!  JSON ◄── Response ◄── one buffer ◄── guard ◄── base64 ◄── encode, new line ◄── Verdict<R>
//!                                         │
//!                                         └── what does not fit: failed, or put again
//! ```
//!
//! [`transform`] is the whole of it; [`Transform`] has the settings. The same function runs in a Lambda, in a test
//! ([`Event::of`]) and over a file of events. Only `DeliveryStream` needs the AWS SDK.
//!
//! | what comes | read |
//! |---|---|
//! | records to transform | [`transform`], [`Transform`], [`Event`], [`Response`] |
//! | records of a stream, one by one | [`Transform::run_one`] |
//! | records at an HTTP endpoint of yours | [`endpoint`] |
//! | log lines out of CloudWatch Logs | [`CloudWatchLogs`] |
//! | records to put to Firehose itself (feature `firehose`) | `DeliveryStream` |
//! | records of a Kinesis stream in a Lambda function, without Firehose | [`lambda`] |
//!
//! # What Firehose is told
//!
//! Every id of the event is answered exactly once: `Ok`, `Dropped` or `ProcessingFailed`. Firehose takes an id that
//! is missing, unknown or repeated for a failed transform, and so none of these is ever written:
//!
//! - What cannot be decoded, a function's error, and a panic fail that record, with a [`FailureReason`] that is
//!   logged once for each kind.
//! - If an event has an id twice (Firehose sends none), the first record answers for both if their data is the same.
//!   If it differs, the id is answered with `ProcessingFailed`: then Firehose writes what it has of it under the
//!   error prefix, and nothing is lost without a trace.
//! - Lambda answers with at most [`RESPONSE_BYTES_MAX`] bytes, after base64; Firehose would take a larger response
//!   for a failure of all records. Room for the least answer of every record is set aside from the start. A kept
//!   record that does not fit fails ([`FailureReason::TooLarge`]) or goes to [`Transform::reingest`].
//! - Dropped and failed records come back with their data, as long as that leaves room for the data of all that is
//!   to come; past that without. Firehose needs it of neither.

mod base64;
pub mod endpoint;
mod event;
mod failure;
mod guard;
mod gzip;
mod id;
pub mod lambda;
mod lenient;
mod logs;
mod once;
mod one;
mod output;
#[cfg(feature = "firehose")]
mod put;
mod record;
mod response;
mod transform;
mod verdict;

pub use event::{Event, EventError, InputRecord, KinesisMetadata};
pub use failure::{Failure, FailureReason};
pub use logs::{CloudWatchLogs, LogEvent};
pub use output::{Outcome, OutputRecord, PartitionKeys};
#[cfg(feature = "firehose")]
pub use put::{DeliveryReceipt, DeliveryStream};
pub use record::Made;
pub use response::Response;
pub use transform::{NewLine, OverflowRecord, RESPONSE_BYTES_MAX, Transform, transform};
pub use verdict::{IntoVerdict, Verdict};
