use std::{fmt, time::Duration};

use super::producer::Producer;
use crate::{
    put::{
        admission::shared::Shared,
        options::{InvalidPutOption, Order, PutAgain, PutOptions},
        pipeline::pipeline::Pipeline,
    },
    stream::KinesisStream,
};

/// A builder of a [`Producer`]. A clone of it builds another producer, with a queue and limits of its own.
///
/// # Examples
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use std::time::Duration;
/// use bytes::Bytes;
/// use kinesis_pipeline::{KinesisStream, LocalKinesis, Order};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 2).await?;
/// let producer = stream
///     .producer()
///     .aggregate(true)                        // small records share a Kinesis record
///     .order(Order::PerKey)                   // ... and those of one key keep their order
///     .in_flight_bytes_max(8 * 1024 * 1024)   // a put waits while so much is on its way
///     .close_timeout(Duration::from_secs(20)) // less than the platform's grace time
///     .build()?;
/// producer.put(&"21.5".into()).await?;
/// producer.close().await?;
///
/// let refused = stream.producer().requests_in_flight_max(0).build().expect_err("out of its range");
/// assert!(refused.to_string().contains("requests_in_flight_max"));
/// # Ok(())
/// # }
/// ```
pub struct ProducerBuilder<R> {
    stream: KinesisStream<R>,
    options: PutOptions,
    aggregate_bytes_max: Option<usize>,
    close_timeout: Duration,
}

impl<R> Clone for ProducerBuilder<R> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            options: self.options.clone(),
            aggregate_bytes_max: self.aggregate_bytes_max,
            close_timeout: self.close_timeout,
        }
    }
}

/// The default size of an aggregate with an order. One aggregate per shard is in flight then and carries all that
/// waits for the shard, so it may be larger.
const ORDERED_AGGREGATE_BYTES_MAX: usize = 256 * 1024;

impl<R> ProducerBuilder<R> {
    /// Makes a builder with the defaults of a producer.
    pub(crate) fn new(stream: KinesisStream<R>) -> Self {
        Self {
            stream,
            options: PutOptions {
                attempts_max: 30,
                throttled_attempts_max: 100,
                in_flight_bytes_max: 64 * 1024 * 1024,
                requests_in_flight_max: 16,
                in_flight_records_max: 100_000,
                linger_max: Duration::from_millis(100),
                eager: false,
                placed: true,
                ..PutOptions::default()
            },
            aggregate_bytes_max: None,
            close_timeout: Duration::from_secs(30),
        }
    }
}

impl<R> ProducerBuilder<R> {
    /// Whether several records share one Kinesis record, in the format of the Kinesis Producer Library:
    /// small records then go through a shard at 1 MiB a second instead of 1,000 records a second. Every
    /// reader of the stream must split such [aggregates](crate::guide::words), as this library, Amazon's Kinesis Client Library (KCL) and
    /// Lambda's helpers do. Default false.
    #[must_use]
    pub fn aggregate(mut self, aggregate: bool) -> Self {
        self.options.aggregate = aggregate;
        self
    }

    /// Sets the size limit of an aggregate. Default 51,200 bytes, or 256 KiB with [`Order::PerKey`]; 1 KiB to
    /// 1 MiB.
    ///
    /// Without an order, a paced shard ([`ignore_limits`](Self::ignore_limits) is off) gets aggregates of 25 KiB at most:
    /// one PUT payload unit, which each shard takes 40 times a second.
    #[must_use]
    pub fn aggregate_bytes_max(mut self, bytes: usize) -> Self {
        self.aggregate_bytes_max = Some(bytes);
        self
    }

    /// Whether an aggregate is put again as a whole if a reshard left one of its records in a shard that does not take
    /// it. Default false: only such records ([strays](crate::guide::words)) are put again, as the Kinesis Producer
    /// Library does, and the others get their receipts.
    ///
    /// Readers differ: this library's reader drops at most the strays, KCL drops the whole aggregate. Set it if KCL reads
    /// the stream and its shards are split while records are put. All other readers then get the records of such an
    /// aggregate twice.
    #[must_use]
    pub fn whole_aggregates_again(mut self, whole: bool) -> Self {
        self.options.put_again = if whole {
            PutAgain::Aggregate
        } else {
            PutAgain::Strays
        };
        self
    }

    /// Sets the order in which records are stored. Default [`Order::None`].
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.options.order = order;
        self
    }

    /// Turns the pacing of shards off: each shard is written to as fast as it answers. For a server that enforces no
    /// limits. The embedded Kinesis without limits is not paced anyway. Paced by default.
    #[must_use]
    pub fn ignore_limits(mut self) -> Self {
        self.options.ignores_limits = true;
        self
    }

    /// Sets the linger: the longest time that a record waits for others to share its request. Default 100 ms, 0 to 60 s.
    #[must_use]
    pub fn linger(mut self, time: Duration) -> Self {
        self.options.linger_max = time;
        self
    }

    /// Sets the memory limit for records that are not stored yet, in bytes. `put` waits while it is reached. Default 64 MiB, 1 MiB
    /// to 2 GiB.
    #[must_use]
    pub fn in_flight_bytes_max(mut self, bytes: usize) -> Self {
        self.options = self.options.in_flight_bytes_max(bytes);
        self
    }

    /// Sets the largest number of records that are not stored yet. `put` waits while it is reached. Each takes some 400
    /// bytes besides its data. Default 100,000, 1 to 10,000,000.
    #[must_use]
    pub fn in_flight_records_max(mut self, records: usize) -> Self {
        self.options = self.options.in_flight_records_max(records);
        self
    }

    /// Sets the largest number of requests in flight. Default 16, 1 to 256.
    #[must_use]
    pub fn requests_in_flight_max(mut self, requests: usize) -> Self {
        self.options = self.options.requests_in_flight_max(requests);
        self
    }

    /// Sets the number of attempts after which a record fails with an error of the service or the network. Default 30, 1
    /// to 100.
    #[must_use]
    pub fn attempts_max(mut self, attempts: u32) -> Self {
        self.options = self.options.attempts_max(attempts);
        self
    }

    /// Sets the number of attempts after which a throttled record fails. Default 100, 1 to 1,000.
    #[must_use]
    pub fn throttled_attempts_max(mut self, attempts: u32) -> Self {
        self.options = self.options.throttled_attempts_max(attempts);
        self
    }

    /// Sets the back-off between two attempts: see [`PutOptions::backoff`]. Default 50 ms and 2 s.
    #[must_use]
    pub fn backoff(mut self, min: Duration, max: Duration) -> Self {
        self.options = self.options.backoff(min, max);
        self
    }

    /// Sets how long to keep retrying while no connection can be made. After that, all waiting records fail with
    /// [`PutError::GaveUp`](crate::PutError::GaveUp). Default 5 s, 0 to 1 hour.
    #[must_use]
    pub fn unreachable_max(mut self, time: Duration) -> Self {
        self.options = self.options.unreachable_max(time);
        self
    }

    /// Sets how long to keep trying while the source of the credentials fails: see [`PutOptions::outage_max`]. Default
    /// 1 minute, 0 to 1 hour.
    #[must_use]
    pub fn outage_max(mut self, time: Duration) -> Self {
        self.options = self.options.outage_max(time);
        self
    }

    /// Sets the time limit of one request. Default 30 s, 10 ms to 10 minutes.
    #[must_use]
    pub fn request_timeout(mut self, time: Duration) -> Self {
        self.options = self.options.request_timeout(time);
        self
    }

    /// Sets the time to live of a record, counted from its put: 10 ms to 1 day. A record that is not stored by then fails
    /// with [`PutError::Expired`](crate::PutError::Expired). Keep your copy until the receipt arrives if you may want to
    /// put it again. Default: no limit.
    #[must_use]
    pub fn record_ttl(mut self, time: Duration) -> Self {
        self.options.record_ttl = Some(time);
        self
    }

    /// Sets how long [`Producer::close`] waits for accepted records. Default 30 s.
    #[must_use]
    pub fn close_timeout(mut self, time: Duration) -> Self {
        self.close_timeout = time;
        self
    }

    /// Builds the producer. It makes no call before the first put. Call [`Producer::close`] before the program ends.
    ///
    /// # Errors
    /// [`InvalidPutOption`]: an option is out of its range.
    pub fn build(mut self) -> Result<Producer<R>, InvalidPutOption> {
        if self.options.order == Order::PerKey {
            self.options.aggregate_bytes_max = ORDERED_AGGREGATE_BYTES_MAX;
        }
        if let Some(bytes) = self.aggregate_bytes_max {
            self.options.aggregate_bytes_max = bytes;
        }
        self.options.check()?;
        let shared = Shared::new(self.stream.target.clone(), self.options);
        let pipeline = Pipeline::new(shared, fastrand::Rng::new());
        Ok(Producer::new(self.stream, pipeline, self.close_timeout))
    }
}

impl<R> fmt::Debug for ProducerBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerBuilder")
            .field("stream", self.stream.id())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
