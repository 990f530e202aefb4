//! Tests of streams into a real PostgreSQL. The worker processes are killed and paused at random. The embedded Kinesis
//! is reached over HTTP, as the real one is; the leases are in a file that the processes share.
//!
//! ```text
//! cargo test -p kinesis-pipeline-tests --all-features --test sql -- --nocapture
//! KINESIS_PIPELINE_RECORDS=500000 .. the same ..        # the full form
//! ```
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod journey;
mod killed;
mod paused;
#[expect(dead_code, reason = "the tests of the sink use more of it")]
#[path = "../../kinesis-pipeline-sql/tests/support/mod.rs"]
mod support;
mod worker;
