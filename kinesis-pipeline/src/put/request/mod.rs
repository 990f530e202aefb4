//! One `PutRecords` call: its entries, its KPL aggregates, and the sending.
//!
//! - `request`: the entries of one call, within the limits of the service.
//! - `entry`: one Kinesis record of a call, and the user records that it carries.
//! - `aggregate`: an aggregate under construction.
//! - `draft`: the Kinesis records of a call; the MD5s of its aggregates are computed here, side by side.
//! - `send`: the call itself, with its time-out.

pub(super) mod aggregate;
pub(super) mod draft;
pub(super) mod entry;
pub(super) mod request;
pub(super) mod send;
