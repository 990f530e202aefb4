//! The completion of a record: its receipt, its flush group, and its share of the memory budget.
//!
//! - `pending`: a record with its completion, which stays alone once the record's bytes are in a request.
//! - `oneshot`: pooled oneshot channels, 32 to an allocation, for receipts.
//! - `receipt`: the public `Receipt`, and the future of it.
//! - `flush`: flush groups. A flush waits for all records of the groups before it.
//! - `slab`: storage of records that keep an order or are sent again; a key of 8 bytes stands for each.

pub(super) mod flush;
pub(super) mod oneshot;
pub(super) mod pending;
pub(super) mod receipt;
pub(super) mod slab;
