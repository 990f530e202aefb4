use std::time::Duration;

use crate::put::Receipt;

/// The proof that Firehose has accepted a record.
///
/// It does not mean that the record is delivered: that happens later, at least once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryReceipt {
    /// Firehose's id of the record.
    pub record_id: String,
    /// The number of attempts; 1 if the first one stored the record.
    pub attempts: u32,
    /// The time from the put to the receipt.
    pub time_in_buffer: Duration,
}

impl DeliveryReceipt {
    /// Makes a receipt of a record that was accepted at the first attempt, at once.
    #[must_use]
    pub fn new(record_id: impl Into<String>) -> Self {
        Self {
            record_id: record_id.into(),
            attempts: 1,
            time_in_buffer: Duration::ZERO,
        }
    }

    /// Makes a receipt from the pipeline's, which has the record's id in place of the shard.
    pub(super) fn of(receipt: &Receipt) -> Self {
        Self {
            record_id: receipt.shard_id.as_str().to_owned(),
            attempts: receipt.attempts,
            time_in_buffer: receipt.time_in_buffer,
        }
    }
}
