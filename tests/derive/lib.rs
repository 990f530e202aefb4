//! The tests are the targets `derive` and `derive_ui`; the package has no code of its own.
//!
//! A type without serde's derives does not compile. What the compiler says then lists the types that do implement the
//! trait, which changes with every dependency: it is no case of `derive_ui`.
//!
//! ```compile_fail
//! use kinesis_pipeline::KinesisRecord;
//!
//! #[derive(KinesisRecord)]
//! struct Reading {
//!     device: String,
//! }
//! ```
//!
//! With them, the same type does:
//!
//! ```
//! use kinesis_pipeline::KinesisRecord;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, KinesisRecord)]
//! struct Reading {
//!     device: String,
//! }
//! ```
