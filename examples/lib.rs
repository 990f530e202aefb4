//! The examples are the files in this folder. `run_all.rs` runs them as a test.
