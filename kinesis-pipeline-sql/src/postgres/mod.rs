//! Rows and positions into Postgres.
//!
//! ```text
//!   Row ── encode ──> EncodedRows ── write: BEGIN, COPY [, merge], position, COMMIT ──> Postgres
//!                                      │ an error of the data: bisect, by savepoints
//! ```
//!
//! No prepared statement and no setting outlives its transaction: `PgBouncer` may run each transaction on another
//! connection.

mod connect;
mod describe;
mod encode;
mod fault;
mod numeric;
mod position;
mod position_table;
pub(crate) mod triton;
mod write;

pub(crate) use connect::{ConnectOptions, connect};
pub(crate) use describe::{Described, create, describe};
pub(crate) use encode::EncodedRows;
pub(crate) use fault::{Fault, fault_of};
pub(crate) use position::{Claimed, PositionKey};
pub(crate) use position_table::{PositionLayout, PositionTable, create_positions};
pub(crate) use write::{WriteError, Writer, Written};
