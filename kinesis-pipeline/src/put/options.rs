use std::{ops::RangeInclusive, time::Duration};

use super::request::request::REQUEST_BYTES_MAX;

use crate::service::backoff::jittered;

const MIB: usize = 1024 * 1024;
/// The largest record (data and partition key) that a stream takes unless its limit was raised, in bytes.
pub(super) const RECORD_BYTES_MAX: usize = MIB;

/// The options of a stream's puts: batching, retries, limits. Give them to
/// [`KinesisStream::with_put_options`](crate::KinesisStream::with_put_options).
///
/// ```
/// use std::time::Duration;
/// use kinesis_pipeline::PutOptions;
///
/// let patient = PutOptions::new()
///     .attempts_max(20)
///     .backoff(Duration::from_millis(100), Duration::from_secs(5));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches that do not depend on each other"
)]
pub struct PutOptions {
    pub(super) attempts_max: u32,
    pub(super) throttled_attempts_max: u32,
    pub(super) backoff_min: Duration,
    pub(super) backoff_max: Duration,
    pub(super) unreachable_max: Duration,
    pub(super) outage_max: Duration,
    pub(super) request_timeout: Duration,
    pub(super) requests_in_flight_max: usize,
    /// The size limit of one request, in bytes.
    pub(super) request_bytes_max: usize,
    pub(super) in_flight_bytes_max: usize,
    pub(super) in_flight_records_max: usize,
    pub(super) linger_max: Duration,
    /// Whether an idle pipeline sends records at once, instead of after `linger_max`.
    pub(super) eager: bool,
    /// Whether records are placed by the shard map, with a queue and a pacer for each shard.
    pub(super) placed: bool,
    /// Whether shards have no pacer.
    pub(super) ignores_limits: bool,
    pub(super) aggregate: bool,
    pub(super) aggregate_bytes_max: usize,
    pub(super) put_again: PutAgain,
    pub(super) order: Order,
    pub(super) record_ttl: Option<Duration>,
}

/// The records of an aggregate that are put again after a reshard left some in a shard that does not take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PutAgain {
    /// The records that the shard does not take.
    Strays,
    /// All records of the aggregate.
    Aggregate,
}

/// The order in which the records of one producer, or of one stream handle and its clones, are stored.
///
/// # Examples
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use kinesis_pipeline::{KinesisStream, LocalKinesis, Order, PartitionKey, StartAt, Until, record::Keyed};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream: KinesisStream<Keyed<String>> = LocalKinesis::start().await?.stream("readings", 2).await?;
/// let producer = stream.producer().aggregate(true).order(Order::PerKey).build()?;
/// for count in 0..100 {
///     let reading = Keyed::new(PartitionKey::new("attic")?, count.to_string());
///     producer.put(&reading).await?; // the receipts are not awaited one by one
/// }
/// producer.close().await?;
///
/// let mut records = stream.reader().start(StartAt::TrimHorizon).until(Until::Tip).open().await?;
/// for count in 0..100 {
///     let record = records.next().await.ok_or("a record is missing")??;
///     assert_eq!(record.data.record, count.to_string());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// No order: requests overtake each other, and later records overtake one that is retried.
    #[default]
    None,
    /// The records of one key are stored in the order in which their puts were accepted. One Kinesis record per shard is
    /// in flight, so without aggregates the rate is one record per shard and round trip.
    ///
    /// A record that fails for good is left out. A record whose answer was lost can be stored twice. Its second copy too
    /// is stored before the later records, unless the service carries a request out after its time-out.
    PerKey,
}

impl Default for PutOptions {
    fn default() -> Self {
        Self {
            attempts_max: 10,
            throttled_attempts_max: 40,
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            unreachable_max: Duration::from_secs(5),
            outage_max: Duration::from_mins(1),
            request_timeout: Duration::from_secs(30),
            requests_in_flight_max: 8,
            request_bytes_max: REQUEST_BYTES_MAX,
            in_flight_bytes_max: 16 * MIB,
            in_flight_records_max: 10_000,
            linger_max: Duration::from_millis(20),
            eager: true,
            placed: false,
            ignores_limits: false,
            aggregate: false,
            aggregate_bytes_max: 50 * 1024,
            put_again: PutAgain::Strays,
            order: Order::None,
            record_ttl: None,
        }
    }
}

impl PutOptions {
    /// Returns the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of attempts after which a record fails with an error of the service or the network. Default 10, 1
    /// to 100.
    #[must_use]
    pub fn attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = attempts;
        self
    }

    /// Sets the number of attempts after which a throttled record fails. Default 40, which take about a minute with the
    /// default back-off; 1 to 1,000.
    #[must_use]
    pub fn throttled_attempts_max(mut self, attempts: u32) -> Self {
        self.throttled_attempts_max = attempts;
        self
    }

    /// Sets the back-off between two attempts: `min` after the first attempt, doubled with each further one up to `max`,
    /// each time shortened by a random part of up to half. Default 50 ms and 2 s; 1 ms to 60 s.
    #[must_use]
    pub fn backoff(mut self, min: Duration, max: Duration) -> Self {
        self.backoff_min = min;
        self.backoff_max = max;
        self
    }

    /// Sets how long to keep retrying while no connection can be made. After that, all waiting records fail with
    /// [`PutError::GaveUp`](crate::PutError::GaveUp). Default 5 s, 0 to 1 hour.
    #[must_use]
    pub fn unreachable_max(mut self, time: Duration) -> Self {
        self.unreachable_max = time;
        self
    }

    /// Sets how long to keep trying while the source of the credentials fails or their session has expired, and while
    /// calls that ask for the stream's record size limit fail. After that, the records fail with
    /// [`PutError::GaveUp`](crate::PutError::GaveUp) or [`PutError::LimitUnknown`](crate::PutError::LimitUnknown).
    /// Missing or wrong credentials fail at once. Default 1 minute, 0 to 1 hour.
    #[must_use]
    pub fn outage_max(mut self, time: Duration) -> Self {
        self.outage_max = time;
        self
    }

    /// Sets the time limit of one request. Default 30 s, 10 ms to 10 minutes.
    #[must_use]
    pub fn request_timeout(mut self, time: Duration) -> Self {
        self.request_timeout = time;
        self
    }

    /// Sets the largest number of requests in flight. Default 8, 1 to 256.
    #[must_use]
    pub fn requests_in_flight_max(mut self, requests: usize) -> Self {
        self.requests_in_flight_max = requests;
        self
    }

    /// Sets the memory limit for records that are not stored yet, in bytes. `put` waits while it is reached. Default 16 MiB, 1 MiB
    /// to 2 GiB.
    #[must_use]
    pub fn in_flight_bytes_max(mut self, bytes: usize) -> Self {
        self.in_flight_bytes_max = bytes;
        self
    }

    /// Sets the largest number of records that are not stored yet. `put` waits while it is reached. Default 10,000, 1 to 10,000,000.
    #[must_use]
    pub fn in_flight_records_max(mut self, records: usize) -> Self {
        self.in_flight_records_max = records;
        self
    }

    /// Sets the order in which records are stored. Default [`Order::None`].
    ///
    /// With [`Order::PerKey`], one record per shard is in flight: a round trip of 10 ms allows 100 records a second and
    /// shard. A [`Producer`](crate::Producer) with aggregates keeps the order at the full speed of the shards.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self.placed = order == Order::PerKey;
        self
    }

    /// Sets the size limit of one request in bytes, for a service that takes fewer than Kinesis.
    #[cfg(feature = "firehose")]
    pub(crate) fn request_bytes_max(mut self, bytes: usize) -> Self {
        self.request_bytes_max = bytes;
        self
    }

    /// Whether records are put in an order.
    #[cfg(feature = "firehose")]
    pub(crate) fn keeps_order(&self) -> bool {
        self.order != Order::None
    }

    pub(crate) fn check(&self) -> Result<(), InvalidPutOption> {
        const MS: Duration = Duration::from_millis(1);
        const MINUTE: Duration = Duration::from_mins(1);
        within("attempts_max", self.attempts_max, 1..=100)?;
        let throttled = self.throttled_attempts_max;
        within("throttled_attempts_max", throttled, 1..=1_000)?;
        within("backoff min", self.backoff_min, MS..=MINUTE)?;
        within("backoff max", self.backoff_max, self.backoff_min..=MINUTE)?;
        within(
            "unreachable_max",
            self.unreachable_max,
            Duration::ZERO..=60 * MINUTE,
        )?;
        within("outage_max", self.outage_max, Duration::ZERO..=60 * MINUTE)?;
        within(
            "request_timeout",
            self.request_timeout,
            10 * MS..=10 * MINUTE,
        )?;
        within(
            "requests_in_flight_max",
            self.requests_in_flight_max,
            1..=256,
        )?;
        within(
            "in_flight_bytes_max",
            self.in_flight_bytes_max,
            MIB..=2048 * MIB,
        )?;
        within(
            "in_flight_records_max",
            self.in_flight_records_max,
            1..=10_000_000,
        )?;
        within("linger_max", self.linger_max, Duration::ZERO..=MINUTE)?;
        within(
            "aggregate_bytes_max",
            self.aggregate_bytes_max,
            1024..=RECORD_BYTES_MAX,
        )?;
        let ttl = self.record_ttl.unwrap_or(MINUTE);
        within("record_ttl", ttl, 10 * MS..=1_440 * MINUTE)
    }

    /// Whether new records are sent soon, or written into an aggregate, so that they may share memory.
    #[inline]
    pub(super) fn uses_arenas(&self) -> bool {
        self.placed && self.order == Order::None
    }

    /// Returns the wait before the next try in an outage that has lasted for `lasted`: about half of that, and never past
    /// `outage_max`, so that a last try is made at that time. It does not depend on attempts, as no request was sent.
    pub(super) fn outage_backoff(&self, lasted: Duration, jitter: f64) -> Duration {
        let full = (lasted / 2).clamp(self.backoff_min, self.backoff_max);
        let wait = jittered(full, jitter);
        wait.min(self.outage_max.saturating_sub(lasted))
    }
}

fn within<T: Copy + PartialOrd + std::fmt::Debug>(
    option: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), InvalidPutOption> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(InvalidPutOption {
        option,
        value: format!("{value:?}"),
        range: format!("{:?} to {:?}", range.start(), range.end()),
    })
}

/// A put option out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the put option {option} is {value}: choose a value from {range}")]
#[non_exhaustive]
pub struct InvalidPutOption {
    /// The option's name.
    pub option: &'static str,
    /// The value that was given.
    pub value: String,
    /// The allowed range.
    pub range: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(PutOptions::new().check(), Ok(()));
    }

    #[test]
    fn an_option_out_of_range_is_named_with_its_range() {
        let error = PutOptions::new().attempts_max(0).check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the put option attempts_max is 0: choose a value from 1 to 100"
        );
        let too_long = PutOptions::new().outage_max(Duration::from_hours(2));
        assert_eq!(too_long.check().unwrap_err().option, "outage_max");
        let swapped = PutOptions::new().backoff(Duration::from_secs(2), Duration::from_secs(1));
        assert_eq!(swapped.check().unwrap_err().option, "backoff max");
    }
}
