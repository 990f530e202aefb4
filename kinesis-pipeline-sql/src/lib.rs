//! Streams of Amazon Kinesis in SQL databases: rows and positions in one transaction of Postgres, or in CrateDB.

pub mod crate_db;
pub mod row;
