use std::{borrow::Borrow, fmt, marker::PhantomData, sync::Arc};

use aws_sdk_firehose::{Client, config::Region};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};

use super::{batch::Firehose, name::FirehoseName, receipt::DeliveryReceipt};
use crate::{
    clock::Clock,
    firehose::NewLine,
    put::{InvalidPutOption, PutError, PutFailure, PutOptions},
    record::{EncodeContext, EncodedRecord, KinesisRecord, RecordError},
    service::{
        StreamId,
        aws::{ConnectError, ConnectOptions},
    },
    stream::KinesisStream,
};

/// The largest record that Firehose accepts, in bytes before base64.
const RECORD_BYTES_MAX: usize = 1_000 * 1_024;
/// The most bytes of one request, by Firehose. The pipeline also counts keys, which are not sent, so a request never
/// exceeds it.
const REQUEST_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// The largest number of records of one `put_all` that wait for their results at the same time.
const LOOK_AHEAD_RECORDS_MAX: usize = 10_000;

/// A Firehose stream of records of type `R`, with puts that need no Kinesis stream before it.
///
/// Cheap to clone. Clones share one put pipeline, so that their concurrent puts share requests. The pipeline is that of
/// [`KinesisStream::put`](crate::KinesisStream::put), with the same [`PutOptions`] and classes of errors.
///
/// # Limits
/// | | |
/// |---|---|
/// | a record | 1,000 KiB, after encoding and with its new line |
/// | a request | 500 records, 4 MiB |
/// | a Firehose stream | a rate limit by account and region; above it records are throttled and put again |
///
/// Firehose has no keys, shards or order. A record's partition key is not sent, and records of one key may be delivered
/// in any order. A record whose answer was lost can be stored twice.
///
/// # Examples
///
/// ```no_run
/// use kinesis_pipeline::{KinesisRecord, firehose::DeliveryStream};
/// use serde::{Deserialize, Serialize};
/// # use kinesis_pipeline::record::Keyed;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let clicks = DeliveryStream::<serde_json::Value>::connect("clicks").await?;
/// let click = serde_json::json!({ "page": "/", "user": "ann" });
/// let receipt = clicks.put(&click).await?;
/// println!("Firehose calls it {}", receipt.record_id);
///
/// let again: Vec<_> = clicks
///     .put_all([click.clone(), click])
///     .await
///     .into_iter()
///     .filter_map(Result::err)
///     .filter(|failure| failure.error.is_retryable())
///     .map(|failure| failure.record)
///     .collect();
/// # Ok(())
/// # }
/// ```
pub struct DeliveryStream<R> {
    /// The pipeline, for encoded records.
    stream: KinesisStream<EncodedRecord>,
    new_line: NewLine,
    record: PhantomData<fn(R) -> R>,
}

impl<R> DeliveryStream<R> {
    /// Makes a Firehose stream from its name or ARN. Credentials and region come from the environment, as for every AWS
    /// tool. With an ARN, its region is used.
    ///
    /// Firehose accepts only names, and looks in the account of the credentials. The account of an ARN is not sent.
    ///
    /// It looks for the credentials for up to 5 seconds, but makes no call to Firehose. Cancel safe.
    ///
    /// # Errors
    /// [`ConnectError`]: there is no region, there are no credentials, or the ARN is not one of a Firehose stream.
    pub async fn connect(stream: impl Into<String>) -> Result<Self, ConnectError> {
        Self::connect_with(ConnectOptions::new(), stream).await
    }

    /// Makes a Firehose stream from its name or ARN, with these options. The region of an ARN is preferred to theirs.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(
        mut options: ConnectOptions,
        stream: impl Into<String>,
    ) -> Result<Self, ConnectError> {
        let stream = FirehoseName::parse(stream.into())?;
        if let Some(region) = stream.region {
            options = options.region(region);
        }
        let client = Client::new(&options.load().await?);
        Ok(Self::named(&client, stream.name))
    }

    /// Makes a Firehose stream on your own client, from its name or ARN. No call is made.
    ///
    /// The client's configuration is kept, with these exceptions: retries are off, absent time-outs are set as by
    /// [`AwsKinesis`](crate::service::aws::AwsKinesis), and the region of an ARN is used. A text that begins with
    /// `arn:` but is not an ARN of a Firehose stream is sent unchanged, and Firehose refuses it at the first put.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers hand their client over"
    )]
    pub fn with_client(client: Client, stream: impl Into<String>) -> Self {
        let text = stream.into();
        match FirehoseName::parse(text.clone()) {
            Ok(FirehoseName {
                name,
                region: Some(region),
            }) => {
                let config = client.config().to_builder().region(Region::new(region));
                Self::named(&Client::from_conf(config.build()), name)
            }
            Ok(FirehoseName { name, region: None }) => Self::named(&client, name),
            Err(_) => Self::named(&client, text),
        }
    }

    fn named(client: &Client, name: String) -> Self {
        let service = Arc::new(Firehose::new(client));
        let stream = KinesisStream::with_service(service, StreamId::from(name));
        Self::over(stream, PutOptions::new(), NewLine::default())
    }

    fn over(stream: KinesisStream<EncodedRecord>, options: PutOptions, new_line: NewLine) -> Self {
        let options = options.request_bytes_max(REQUEST_BYTES_MAX);
        Self {
            stream: stream.with_checked_put_options(options),
            new_line,
            record: PhantomData,
        }
    }

    /// Returns the same Firehose stream with other put options. Puts of the returned handle and its clones share
    /// requests with each other, but not with those of the old handle.
    ///
    /// # Errors
    /// [`InvalidPutOption`]: an option is out of its range, or asks for an order, which Firehose does not have.
    pub fn with_put_options(self, options: PutOptions) -> Result<Self, InvalidPutOption> {
        options.check()?;
        if options.keeps_order() {
            return Err(InvalidPutOption {
                option: "order",
                value: "PerKey".to_owned(),
                range: "None alone: Firehose keeps no order".to_owned(),
            });
        }
        Ok(Self::over(self.stream, options, self.new_line))
    }

    /// Returns the same Firehose stream with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.stream = self.stream.with_clock(clock);
        self
    }

    /// Sets the end of a record. Default: [`NewLine::Append`], as Firehose puts nothing between records. Appending a
    /// new line copies the record.
    #[must_use]
    pub fn new_line(mut self, new_line: NewLine) -> Self {
        self.new_line = new_line;
        self
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.stream.id().as_str()
    }
}

impl<R: KinesisRecord> DeliveryStream<R> {
    /// Puts one record and waits until Firehose has accepted it.
    ///
    /// Concurrent puts, on this handle or its clones, share requests. A temporary failure is retried as [`PutOptions`]
    /// say, for each record alone. While the pipeline is full by its options, a put waits for room.
    ///
    /// # Errors
    /// [`PutError`] states why the record was not accepted, whether to put it again, and whether it may be stored
    /// anyway. A record of more than 1,000 KiB is [`PutError::TooLarge`], and is not sent.
    ///
    /// # Cancel safety
    /// A put that is dropped while it waits for room has no effect. After that the record is sent even if its future is
    /// dropped, as long as the runtime runs.
    pub async fn put(&self, record: &R) -> Result<DeliveryReceipt, PutError> {
        let encoded = self.encode(record)?;
        self.put_encoded(&encoded).await
    }

    /// Puts many records, owned or by reference. Returns one result for each record, in their order.
    ///
    /// Requests are as large as Firehose allows. A record that was not accepted is returned with its error, and does
    /// not affect the others. At most 10,000 records, and the bytes of [`PutOptions::in_flight_bytes_max`], are being
    /// sent at a time.
    ///
    /// # Cancel safety
    /// Dropping the future loses the results: records that were read from the iterator may or may not be stored.
    pub async fn put_all<T, I>(&self, records: I) -> Vec<Result<DeliveryReceipt, PutFailure<T>>>
    where
        I: IntoIterator<Item = T>,
        T: Borrow<R>,
    {
        let put = |record: T| {
            let encoded = self.encode(record.borrow());
            async move {
                let result = match encoded {
                    Ok(encoded) => self.put_encoded(&encoded).await,
                    Err(error) => Err(error),
                };
                result.map_err(|error| PutFailure::new(error, record))
            }
        };
        stream::iter(records)
            .map(put)
            .buffered(LOOK_AHEAD_RECORDS_MAX)
            .collect()
            .await
    }

    async fn put_encoded(&self, encoded: &EncodedRecord) -> Result<DeliveryReceipt, PutError> {
        let receipt = self.stream.put(encoded).await?;
        Ok(DeliveryReceipt::of(&receipt))
    }

    fn encode(&self, record: &R) -> Result<EncodedRecord, PutError> {
        let context = EncodeContext::of(self.stream.clock());
        let encoded = EncodedRecord::of(record, None, &context);
        let mut encoded = encoded.map_err(|error| self.not_encoded(error))?;
        if self.new_line == NewLine::Append && !encoded.data.ends_with(b"\n") {
            encoded.data = with_new_line(&encoded.data);
        }
        let bytes = encoded.data.len();
        if bytes > RECORD_BYTES_MAX {
            return Err(PutError::TooLarge {
                stream: self.stream.id().clone(),
                bytes,
                bytes_max: RECORD_BYTES_MAX,
            });
        }
        Ok(encoded)
    }

    fn not_encoded(&self, error: RecordError) -> PutError {
        let stream = self.stream.id().clone();
        match error {
            RecordError::Key(source) => PutError::Key { stream, source },
            RecordError::Encode(source) => PutError::Encode {
                stream,
                source: Arc::new(source),
            },
        }
    }
}

fn with_new_line(data: &[u8]) -> Bytes {
    let mut line = BytesMut::with_capacity(data.len() + 1);
    line.extend_from_slice(data);
    line.extend_from_slice(b"\n");
    line.freeze()
}

impl<R> Clone for DeliveryStream<R> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            new_line: self.new_line,
            record: PhantomData,
        }
    }
}

impl<R> fmt::Debug for DeliveryStream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryStream")
            .field("name", &self.name())
            .field("endpoint", &self.stream.service().endpoint())
            .field("new_line", &self.new_line)
            .finish_non_exhaustive()
    }
}
