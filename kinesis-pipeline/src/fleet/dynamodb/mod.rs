//! Leases in DynamoDB, in the table of the Java KCL.
//!
//! ```text
//!   DynamoDbLeases ── list: scan in segments ──────────────> row: Lease <── attributes of a row
//!        │   └── write ── expression: condition and changes ──> PutItem, UpdateItem, DeleteItem
//!        ├── report: own metrics ──> a KCL 3 leader ──> lead: the coordinator's rows: who leads
//!        └── assigned: the leases that it gave to this worker, by KCL's index
//! ```

mod assigned;
mod lead;
mod report;
mod store;

pub use store::DynamoDbLeases;
