use std::time::Duration;

use crate::{local::api_error::ApiError, shard::ShardId};

/// A fault of the embedded Kinesis, for tests of what a program does when calls go wrong.
///
/// By default it strikes once, the next call of any operation that it fits.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use kinesis_pipeline::{KinesisStream, LocalKinesis, PutOptions, local::Fault};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kinesis = LocalKinesis::start().await?;
/// let stream: KinesisStream<Bytes> = kinesis.stream("readings", 1).await?;
///
/// // Throttled twice, and tried on: a put that needs three attempts.
/// kinesis.faults().add(Fault::throttle().on("PutRecords").times(2))?;
/// assert_eq!(stream.put(&"21.5".into()).await?.attempts, 3);
///
/// // Stored, and the answer lost: the record may be there twice when it is put again.
/// kinesis.faults().add(Fault::lose_response().on("PutRecords"))?;
/// let once = stream.with_put_options(PutOptions::new().attempts_max(1))?;
/// let error = once.put(&"21.6".into()).await.expect_err("no answer");
/// assert!(error.may_have_been_stored());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Fault {
    pub(super) effect: Effect,
    pub(super) operation: Option<String>,
    pub(super) shard: Option<ShardId>,
    pub(super) each_entry: bool,
    /// The number of fitting calls that pass before the first is struck.
    pub(super) passing: u64,
    /// The number of calls that are still to be struck; without a number, all of them.
    pub(super) times: Option<u64>,
    pub(super) probability: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Effect {
    Fail,
    Throttle,
    Deny,
    Answer {
        code: &'static str,
        message: &'static str,
    },
    Delay(Duration),
    LoseResponse,
    ExpireIterator,
    HalfOpen,
}

impl Fault {
    fn new(effect: Effect) -> Self {
        Self {
            effect,
            operation: None,
            shard: None,
            each_entry: false,
            passing: 0,
            times: Some(1),
            probability: 1.0,
        }
    }

    /// Makes a failure of the service: `InternalFailureException`, or `InternalFailure` for an entry of `PutRecords`.
    pub fn fail() -> Self {
        Self::new(Effect::Fail)
    }

    /// Makes a throttled call: `ProvisionedThroughputExceededException` for puts and reads, `LimitExceededException` for
    /// other calls.
    pub fn throttle() -> Self {
        Self::new(Effect::Throttle)
    }

    /// Makes a call without permission: `AccessDeniedException`.
    pub fn deny() -> Self {
        Self::new(Effect::Deny)
    }

    /// Makes an error answer with this code, such as `KMSThrottlingException`.
    pub fn answer(code: &'static str, message: &'static str) -> Self {
        Self::new(Effect::Answer { code, message })
    }

    /// Makes a delay: the call waits for this time, and is carried out.
    pub fn delay(duration: Duration) -> Self {
        Self::new(Effect::Delay(duration))
    }

    /// Makes a lost answer: the call is carried out (a put stores its records), and the connection closes without an answer.
    pub fn lose_response() -> Self {
        Self::new(Effect::LoseResponse)
    }

    /// Makes the iterator of a `GetRecords` call too old: `ExpiredIteratorException`.
    pub fn expire_iterator() -> Self {
        Self::new(Effect::ExpireIterator).on("GetRecords")
    }

    /// Makes a half-open subscription: it stays open, but no further event comes.
    pub fn half_open() -> Self {
        Self::new(Effect::HalfOpen).on("SubscribeToShard")
    }

    /// Strikes only calls of this operation, such as `GetRecords`; any by default.
    pub fn on(mut self, operation: impl Into<String>) -> Self {
        self.operation = Some(operation.into());
        self
    }

    /// Strikes only calls about this shard; of a put, only the entries that go to it are failed or throttled.
    pub fn shard(mut self, shard: impl Into<ShardId>) -> Self {
        self.shard = Some(shard.into());
        self
    }

    /// Strikes the entries of `PutRecords` one by one, not the call: each counts as a call of its own.
    pub fn each_entry(mut self) -> Self {
        self.each_entry = true;
        self.on("PutRecords")
    }

    /// Strikes this number of calls. Default 1.
    pub fn times(mut self, calls: u64) -> Self {
        self.times = Some(calls);
        self
    }

    /// Strikes every call until the faults are cleared.
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    /// Lets this number of fitting calls pass first. Default 0.
    pub fn after(mut self, calls: u64) -> Self {
        self.passing = calls;
        self
    }

    /// Strikes a fitting call with this probability, 0 to 1, drawn from the seed of the Kinesis; 1 by default.
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability.clamp(0.0, 1.0);
        self
    }

    /// Whether the fault can happen to the operation.
    pub(super) fn fits(&self) -> bool {
        let on = |name: &str| self.operation.as_deref() == Some(name);
        let refuses = self.error("PutRecords").is_some();
        match self.effect {
            Effect::ExpireIterator => on("GetRecords"),
            Effect::HalfOpen => on("SubscribeToShard"),
            _ => !self.each_entry || (on("PutRecords") && refuses),
        }
    }

    /// Returns the error that this fault answers to an operation, if it answers one.
    pub(super) fn error(&self, operation: &str) -> Option<ApiError> {
        const WORDS: &str = "a fault that was asked for";
        match self.effect {
            Effect::Fail => Some(ApiError::internal_failure(WORDS)),
            Effect::Throttle => Some(if is_of_shards(operation) {
                ApiError::throughput_exceeded(WORDS)
            } else {
                ApiError::limit_exceeded(WORDS)
            }),
            Effect::Deny => Some(ApiError::access_denied(format!(
                "The caller is not authorized to perform: kinesis:{operation} ({WORDS})"
            ))),
            Effect::Answer { code, message } => Some(ApiError {
                code,
                message: message.to_owned(),
            }),
            Effect::ExpireIterator => Some(ApiError::expired_iterator(format!(
                "Iterator expired ({WORDS})"
            ))),
            Effect::Delay(_) | Effect::LoseResponse | Effect::HalfOpen => None,
        }
    }
}

/// Whether a shard's throughput limits the operation.
fn is_of_shards(operation: &str) -> bool {
    matches!(
        operation,
        "PutRecord" | "PutRecords" | "GetRecords" | "GetShardIterator"
    )
}
