//! The examples are the files beside this one; `run_all.rs` runs them as a test.
