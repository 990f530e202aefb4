//! Loads on the embedded Kinesis.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod bad_rows;
mod models;
mod reads;
mod resume;
mod run;
mod support;
mod wrong_input;
