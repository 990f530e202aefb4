//! Puts to Firehose itself, without a Kinesis stream before it: the put pipeline of streams over `PutRecordBatch`.
//!
//! ```text
//!   name: a name, or an ARN with its region
//!   DeliveryStream ── encode, new line, size limit ── crate::put: queue, request, retry ── batch: PutRecordBatch
//! ```

mod batch;
mod name;
mod receipt;
mod stream;
#[cfg(test)]
mod tests;

pub use receipt::DeliveryReceipt;
pub use stream::DeliveryStream;
