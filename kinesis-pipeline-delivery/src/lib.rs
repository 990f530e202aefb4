//! Delivers records of Amazon Kinesis to object storage: buffered, keyed by time and partition, transformed, compressed,
//! and each in one object, whatever crashes.
//!
//! ```text
//!   a fleet's shard, or a reader ── transform ── folder ──┬──> open objects: framed, compressed in blocks
//!                 │ failed                                │ full, old, idle, or the budget's coldest
//!                 └──> Firehose's JSON lines              v
//!                          end position on the lease ── create if absent ── checkpoint
//! ```
//!
//! ```
//! use std::time::Duration;
//! use kinesis_pipeline::{EncodedRecord, KinesisStream, LocalKinesis, StartAt, Until, firehose::Verdict};
//! use kinesis_pipeline_delivery::{Compression, Delivery};
//! use object_store::memory::InMemory;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let stream: KinesisStream<String> = LocalKinesis::start().await?.stream("words", 2).await?;
//! # for word in ["hi", "", "there"] { stream.put(&word.to_owned()).await?; }
//!
//! let records = stream.with_record_type::<EncodedRecord>();
//! let records = records.reader().start(StartAt::TrimHorizon).until(Until::Tip).open().await?;
//! let report = Delivery::to(InMemory::new())
//!     .prefix("words/")
//!     .buffer(50 << 20, Duration::from_secs(60))
//!     .compression(Compression::Gzip)
//!     .transform(|word: String| match word.as_str() {
//!         "" => Verdict::Drop,
//!         _ => Verdict::Keep(word.to_uppercase()),
//!     })
//!     .run(records)
//!     .await?;
//! assert_eq!((report.kept, report.dropped), (2, 1));
//! # Ok(())
//! # }
//! ```
//!
#![doc = include_str!("choose.md")]
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod counts;
mod delivery;
mod encode;
mod error;
mod merge;
mod prefix;
mod settings;
mod shard;
mod store;
mod transform;
mod window;

pub use counts::DeliveryReport;
pub use delivery::{Delivery, DeliveryHandle, DeliveryHealth, DeliveryWorker, Like, Location};
pub use encode::{Compression, Format};
pub use error::{DeliveryError, InvalidDelivery};
pub use merge::{MergedSegment, MergedSegments, merged_segments};
/// The crate of the stores that [`Delivery::to`] takes, in the matching version.
#[doc(no_inline)]
pub use object_store;
pub use prefix::{Naming, PrefixError};
pub use store::{Guard, StoreFault, StoreTrouble};
