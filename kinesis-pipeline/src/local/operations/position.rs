//! Starting positions of reads in a shard, for `GetShardIterator` and `SubscribeToShard`.

use crate::local::{
    api_error::ApiError,
    protocol::values::Timestamp,
    state::{
        sequence::{COUNTER_MAX, Number},
        shard::{Shard, shard_id},
        stream::{Stream, StreamState},
    },
};

/// The kinds of position that the API knows.
pub(super) const POSITION_KINDS: &[&str] = &[
    "AFTER_SEQUENCE_NUMBER",
    "LATEST",
    "AT_TIMESTAMP",
    "AT_SEQUENCE_NUMBER",
    "TRIM_HORIZON",
];

/// A place to begin, as a request names it. The kind is one of [`POSITION_KINDS`].
#[derive(Clone, Copy, Debug)]
pub(in crate::local) struct Position<'a> {
    pub(in crate::local) kind: &'a str,
    pub(in crate::local) sequence_number: Option<&'a str>,
    pub(in crate::local) timestamp: Option<Timestamp>,
    /// The operation that asks, for the messages.
    pub(in crate::local) operation: &'a str,
}

impl Position<'_> {
    /// Returns the counter of the first record to read.
    pub(in crate::local) fn counter(
        &self,
        stream: &Stream,
        state: &StreamState,
        shard: &Shard,
        now_millis: u64,
    ) -> Result<u64, ApiError> {
        match (self.kind, self.sequence_number) {
            ("AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER", Some(text)) => {
                let number = self.number(text, stream, shard)?;
                Ok(self.counter_of_number(number, state, shard, now_millis))
            }
            ("AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER", None) => {
                Err(self.mismatch("and no StartingSequenceNumber."))
            }
            (_, Some(_)) => Err(self.mismatch("and also a StartingSequenceNumber.")),
            ("TRIM_HORIZON", None) => Ok(0),
            ("LATEST", None) => Ok(shard.log(state.horizon_millis(now_millis)).next()),
            (_, None) => {
                let millis = self.millis(now_millis)?;
                Ok(shard
                    .log(state.horizon_millis(now_millis))
                    .at_millis(millis))
            }
        }
    }

    fn mismatch(&self, what: &str) -> ApiError {
        ApiError::invalid_argument(format!(
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and \
             StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. \
             Request specified {} {what}",
            self.kind
        ))
    }

    fn millis(&self, now_millis: u64) -> Result<u64, ApiError> {
        let millis = self.timestamp.map(Timestamp::millis).ok_or_else(|| {
            ApiError::invalid_argument(
                "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. \
                 Current request has no timestamp parameter.",
            )
        })?;
        if millis <= now_millis {
            return Ok(millis);
        }
        Err(ApiError::invalid_argument(format!(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
             timestampInMillis: {millis}, currentTimestampInMillis: {now_millis}"
        )))
    }

    /// Reads a sequence number, which must be one of this shard: of a record, or of its start or end.
    fn number(&self, text: &str, stream: &Stream, shard: &Shard) -> Result<Number, ApiError> {
        let invalid = |reason: &str| {
            ApiError::invalid_argument(format!(
                "StartingSequenceNumber {text} used in {} on shard {} in stream {} under account {} \
                 is invalid{reason}.",
                self.operation, shard.id, stream.name, stream.account_id
            ))
        };
        let number = Number::parse(text).ok_or_else(|| invalid(""))?;
        if number.shard_index != shard.index {
            return Err(ApiError::invalid_argument(format!(
                "Invalid StartingSequenceNumber. It encodes {}, while it was used in a call to a shard \
                 with {}",
                shard_id(number.shard_index),
                shard.id
            )));
        }
        if number.created_seconds != shard.created_seconds {
            return Err(invalid(" because it did not come from this stream"));
        }
        Ok(number)
    }

    /// Returns the counter for a sequence number. A number without a record, expired or never used, stands for the first
    /// record after it.
    fn counter_of_number(
        &self,
        number: Number,
        state: &StreamState,
        shard: &Shard,
        now_millis: u64,
    ) -> u64 {
        let log = shard.log(state.horizon_millis(now_millis));
        let counter = number.counter.min(COUNTER_MAX);
        if counter >= log.next() {
            return log.next();
        }
        let Some(arrived_millis) = log.arrived_millis(counter) else {
            return counter;
        };
        let stored = shard.number(counter, arrived_millis);
        let is_before = match self.kind {
            "AT_SEQUENCE_NUMBER" => stored < number,
            _ => stored <= number,
        };
        counter + u64::from(is_before)
    }
}
