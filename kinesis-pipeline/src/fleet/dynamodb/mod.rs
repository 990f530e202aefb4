//! Leases in DynamoDB, in the table of the Java KCL.
//!
//! ```text
//!   DynamoDbLeases ── list: scan in segments ──> item: Lease <── attributes of a row
//!        └── write ── expression: condition and changes of a LeaseWrite ──> PutItem, UpdateItem, DeleteItem
//! ```

mod expression;
mod item;
mod store;

pub use store::DynamoDbLeases;
