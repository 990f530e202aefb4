//! A stand-in of CrateDB's `/_sql`, from its documentation: strict, so that a statement that CrateDB would not carry
//! out fails here too.
//!
//! It does: tables with typed columns and a primary key; one row or many per statement; an answer for each row, with a
//! reason for the first 10 that fail; `ON CONFLICT`; `_seq_no` and `_primary_term`; reads by the whole primary key that
//! see the newest row, and all others, which see what was refreshed; `OBJECT` columns that learn the types of their
//! keys. It leaves out all else of SQL, and says so with code 4000.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    reason = "each of its users takes a part of it"
)]

mod engine;
mod http;
mod statement;
mod types;

pub use engine::{CrateDb, Fault, Reply};
