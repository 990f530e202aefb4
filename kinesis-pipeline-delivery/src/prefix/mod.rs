//! Keys of objects: prefixes with Firehose's expressions, and names made of positions.
//!
//! ```text
//!   "data/!{timestamp:yyyy/MM}/!{partitionKeyFromLambda:state}/" ── parse ──> Template
//!   Template + time of the oldest record + values of the record ── render ──> the prefix of a key
//! ```
//!
//! `template` parses and renders, `timestamp` knows Java's date patterns, `value` escapes values of records, and `name`
//! makes the last part of a key.

mod name;
mod template;
mod timestamp;
mod value;

pub use name::Naming;
pub(crate) use name::{ObjectId, fingerprint};
pub use template::PrefixError;
pub(crate) use template::{Facts, Source, Template};
pub(crate) use value::{ValueError, check_key, safe};
