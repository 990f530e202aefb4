//! Transforms for Amazon Data Firehose: one function handles the records on their way.
//!
//! ```text
//!  JSON ── Event (borrows) ── each InputRecord ── base64 ── KinesisRecord::decode ── T
//!                                  │                                                 │
//!              ids that come twice │                             your function, panics caught
//!                                  ▼                                                 ▼
//!  JSON ◄── Response ◄── one buffer ◄── guard ◄── base64 ◄── encode, new line ◄── Verdict<R>
//!                                         │
//!                                         └── too large for the response: failed, or put again
//! ```
//!
//! [`transform`] does all of it; [`Transform`] has the settings. The same function runs in a Lambda, in a test
//! ([`Event::of`]) and over a file of events. Only `DeliveryStream` needs the AWS SDK.
//!
//! | task | see |
//! |---|---|
//! | records to transform | [`transform`], [`Transform`], [`Event`], [`Response`] |
//! | records of a stream, one by one | [`Transform::run_one`] |
//! | records at an HTTP endpoint of yours | [`endpoint`] |
//! | log lines out of CloudWatch Logs | [`CloudWatchLogs`] |
//! | records to put to Firehose itself (feature `firehose`) | `DeliveryStream` |
//! | records of a Kinesis stream in a Lambda function, without Firehose | [`lambda`] |
//!
//! # Answers to Firehose
//!
//! Every id of the event is answered exactly once: `Ok`, `Dropped` or `ProcessingFailed`. Firehose treats a missing,
//! unknown or repeated id as a failed transform, so a response never has one:
//!
//! - A record fails if it cannot be decoded, or if the function returns an error or panics. Each kind of
//!   [`FailureReason`] is logged once.
//! - If an event has an id twice (Firehose sends none), the first record answers for both if their data is the same. If
//!   it differs, the id is answered with `ProcessingFailed`: Firehose writes its data under the error prefix, so that
//!   nothing is lost without a trace.
//! - Lambda answers with at most [`RESPONSE_BYTES_MAX`] bytes, after base64. Firehose would treat a larger response as
//!   a failure of all records. So bytes for the least answer of every record are reserved from the start. A kept record
//!   that does not fit fails ([`FailureReason::TooLarge`]) or goes to [`Transform::reingest`].
//! - Dropped and failed records are answered with their data while there is room for the data of all later records, and
//!   without it after that. Firehose does not need it.

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
