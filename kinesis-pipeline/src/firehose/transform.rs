use std::{borrow::Borrow, fmt, future::Future, pin::Pin, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};

use super::{
    Event, FailureReason, InputRecord, IntoVerdict, Response, Verdict,
    base64::Blocks,
    failure::{self, BoxError},
    once::{Use, Uses},
    output::PartitionKeys,
    record::{self, KeysOf, Made, caught, caught_future},
    response::Writer,
};
use crate::{
    clock::Clock,
    record::{EncodeContext, KinesisRecord},
};

/// The largest response of a Lambda function in a synchronous call, in bytes.
pub const RESPONSE_BYTES_MAX: usize = 6_291_556;

/// The default number of concurrent records of [`Transform::run_async`].
const CONCURRENCY_DEFAULT: usize = 16;
const CONCURRENCY_MAX: usize = 1_000;

/// Runs a function over every record of an event, and answers each of them once.
///
/// Uses the default settings; for others see [`Transform`]. Each kept record ends with a new line.
///
/// ```
/// use kinesis_pipeline::firehose::{self, Event, Verdict};
/// use serde_json::Value;
///
/// let event = Event::parse(br#"{"records":[{"recordId":"1","data":"eyJhIjogMX0="}]}"#)?;
/// let response = firehose::transform(event, |record: Value| Verdict::Keep(record));
/// assert_eq!(response.kept(), 1);
/// # Ok::<(), kinesis_pipeline::firehose::EventError>(())
/// ```
pub fn transform<'e, T, V>(event: impl Borrow<Event<'e>>, function: impl FnMut(T) -> V) -> Response
where
    T: KinesisRecord,
    V: IntoVerdict<Record: KinesisRecord>,
{
    Transform::new().run(event, function)
}

/// The separator between the records of a delivered object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NewLine {
    /// A new line is added to a record that does not end with one. Firehose puts nothing between records.
    #[default]
    Append,
    /// Nothing is added.
    AsIs,
}

/// A record whose answer did not fit in the response, unchanged, to be put to its stream again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverflowRecord {
    /// The id in the event.
    pub record_id: String,
    /// The record's original bytes.
    pub data: Bytes,
    /// The partition key in the Kinesis stream that the record came from, if it came from one.
    pub partition_key: Option<String>,
}

type Reingested = Result<(), BoxError>;
type Reingest = Box<dyn Fn(Vec<OverflowRecord>) -> Reingested + Send + Sync>;
type ReingestAsync = Box<
    dyn Fn(Vec<OverflowRecord>) -> Pin<Box<dyn Future<Output = Reingested> + Send>> + Send + Sync,
>;

/// A transform with settings. It makes records of type `R`.
///
/// ```
/// use kinesis_pipeline::firehose::{Event, InputRecord, NewLine, Transform, Verdict};
///
/// let transform = Transform::new()
///     .new_line(NewLine::AsIs)
///     .partition_keys(|line: &String| [("first", line[..1].to_owned())]);
/// let event = Event::of(vec![InputRecord::new("1", b"hi")]);
/// let response = transform.run(&event, |line: String| Verdict::Keep(line.to_uppercase()));
/// assert!(response.failures().is_empty());
/// ```
pub struct Transform<R> {
    pub(super) new_line: NewLine,
    return_dropped_data: bool,
    response_bytes_max: usize,
    concurrency: usize,
    clock: Clock,
    pub(super) keys_of: Option<KeysOf<R>>,
    reingest: Option<Reingest>,
    reingest_async: Option<ReingestAsync>,
}

impl<R> Default for Transform<R> {
    fn default() -> Self {
        Self {
            new_line: NewLine::default(),
            return_dropped_data: true,
            response_bytes_max: RESPONSE_BYTES_MAX,
            concurrency: CONCURRENCY_DEFAULT,
            clock: Clock::of_runtime(),
            keys_of: None,
            reingest: None,
            reingest_async: None,
        }
    }
}

impl<R> fmt::Debug for Transform<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transform")
            .field("new_line", &self.new_line)
            .field("return_dropped_data", &self.return_dropped_data)
            .field("response_bytes_max", &self.response_bytes_max)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

impl<R> Transform<R> {
    /// Makes a transform with the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the end of a kept record. Default: [`NewLine::Append`].
    #[must_use]
    pub fn new_line(mut self, new_line: NewLine) -> Self {
        self.new_line = new_line;
        self
    }

    /// Whether the answers of dropped records have their original data, while there is room for the data of all later
    /// records. Firehose does not need it. Default: true.
    #[must_use]
    pub fn return_dropped_data(mut self, yes: bool) -> Self {
        self.return_dropped_data = yes;
        self
    }

    /// Sets the limit of a response, in bytes. Default and upper limit: [`RESPONSE_BYTES_MAX`]. With any limit, all ids
    /// are answered.
    #[must_use]
    pub fn response_bytes_max(mut self, bytes: usize) -> Self {
        self.response_bytes_max = bytes.min(RESPONSE_BYTES_MAX);
        self
    }

    /// Sets the number of concurrent records of [`run_async`](Self::run_async). Default: 16; range: 1 to 1,000.
    #[must_use]
    pub fn concurrency(mut self, records: usize) -> Self {
        self.concurrency = records.clamp(1, CONCURRENCY_MAX);
        self
    }

    /// Sets the clock for the times in envelopes. Default: that of the runtime ([`Clock::of_runtime`]).
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the keys of a kept record for dynamic partitioning: `!{partitionKeyFromLambda:name}` in the prefix.
    ///
    /// All outputs of one record are delivered together: if their keys differ, the record fails.
    #[must_use]
    pub fn partition_keys<K, N, I>(mut self, keys_of: K) -> Self
    where
        K: Fn(&R) -> I + Send + Sync + 'static,
        I: IntoIterator<Item = (N, String)>,
        N: Into<String>,
    {
        self.keys_of = Some(Box::new(move |record| {
            let keys = keys_of(record).into_iter();
            keys.map(|(name, value)| (name.into(), value))
                .collect::<PartitionKeys>()
        }));
        self
    }

    /// Sets a function that puts records to the stream again if they do not fit in the response. It gets all of them at
    /// once. They are answered as dropped if it succeeds, and as failed otherwise. Without it they fail.
    ///
    /// If it puts some of the records before an error, these are delivered and also fail: delivery is at least once.
    #[must_use]
    pub fn reingest(
        mut self,
        reingest: impl Fn(Vec<OverflowRecord>) -> Reingested + Send + Sync + 'static,
    ) -> Self {
        self.reingest = Some(Box::new(reingest));
        self
    }

    /// Sets an async [`reingest`](Self::reingest). It is preferred to that one, but only [`run_async`](Self::run_async)
    /// can use it.
    #[must_use]
    pub fn reingest_async<F>(
        mut self,
        reingest: impl Fn(Vec<OverflowRecord>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Reingested> + Send + 'static,
    {
        self.reingest_async = Some(Box::new(move |records| Box::pin(reingest(records))));
        self
    }
}

impl<R: KinesisRecord> Transform<R> {
    /// Runs the function over every record, one after the other, and answers each id once.
    ///
    /// If a record cannot be decoded, or the function returns an error or panics, only that record fails. (A panic can
    /// be caught only if the program is not built with `panic = "abort"`.)
    ///
    /// Records of type `Bytes` share blocks of 64 KiB: a record that is kept keeps its whole block in memory.
    pub fn run<'e, T, V>(
        &self,
        event: impl Borrow<Event<'e>>,
        mut function: impl FnMut(T) -> V,
    ) -> Response
    where
        T: KinesisRecord,
        V: IntoVerdict<Record = R>,
    {
        let mut blocks = Blocks::new();
        self.run_raw(event, |record| {
            function(record.decode_in(&mut blocks)?).into_verdict()
        })
    }

    /// Runs as [`run`](Self::run) does. The function gets the record from the event, with its id, arrival time and
    /// position in the Kinesis stream, and decodes it itself.
    pub fn run_raw<'e>(
        &self,
        event: impl Borrow<Event<'e>>,
        mut function: impl FnMut(&InputRecord<'e>) -> Result<Verdict<R>, FailureReason>,
    ) -> Response {
        let event: &Event<'e> = event.borrow();
        let (mut writer, uses) = self.begin(event);
        let context = self.context();
        let mut data = BytesMut::new();
        for (index, record) in event.records.iter().enumerate() {
            match uses.of_record(index) {
                Use::Answer => {
                    data.clear();
                    let made = caught(|| self.encode(function(record)?, &context, &mut data));
                    writer.answer(index, made, &data);
                }
                Use::Refuse => writer.answer(index, Err(FailureReason::RepeatedId), &[]),
                Use::Skip => writer.skip(index),
            }
        }
        let reingested = self.reingest_now(event, &mut writer);
        finish(event, writer, reingested)
    }

    /// Runs as [`run`](Self::run) does, with an async function. [`concurrency`](Self::concurrency) limits the
    /// concurrent records.
    ///
    /// Cancel safety: dropping the future drops the calls in flight. There is no response then, and Firehose sends the
    /// event again.
    pub async fn run_async<'e, T, V, F>(
        &self,
        event: impl Borrow<Event<'e>>,
        function: impl Fn(T) -> F,
    ) -> Response
    where
        T: KinesisRecord,
        F: Future<Output = V>,
        V: IntoVerdict<Record = R>,
    {
        let event: &Event<'e> = event.borrow();
        let (mut writer, uses) = self.begin(event);
        let (context, function) = (&self.context(), &function);
        // The closure takes indexes: with references to records the future could not move between threads.
        let one = |index: usize| {
            let (record, case) = (&event.records[index], uses.of_record(index));
            async move {
                let mut data = BytesMut::new();
                let made = match case {
                    Use::Skip => None,
                    Use::Refuse => Some(Err(FailureReason::RepeatedId)),
                    Use::Answer => Some(
                        caught_future(async {
                            let verdict = function(record.decode()?).await.into_verdict()?;
                            self.encode(verdict, context, &mut data)
                        })
                        .await,
                    ),
                };
                (index, made, data)
            }
        };
        let mut made = stream::iter((0..event.records.len()).map(one)).buffered(self.concurrency);
        while let Some((index, made, data)) = made.next().await {
            match made {
                Some(made) => writer.answer(index, made, &data),
                None => writer.skip(index),
            }
        }
        let reingested = self.reingest_waiting(event, &mut writer).await;
        finish(event, writer, reingested)
    }

    fn begin<'w>(&self, event: &'w Event<'_>) -> (Writer<'w>, Uses) {
        let (bytes_max, dropped_data) = (self.response_bytes_max, self.return_dropped_data);
        let writer = Writer::new(&event.records, bytes_max, dropped_data);
        (writer, Uses::of(&event.records))
    }

    fn context(&self) -> EncodeContext {
        EncodeContext::at(self.clock.now())
    }

    fn encode(
        &self,
        verdict: Verdict<R>,
        context: &EncodeContext,
        data: &mut BytesMut,
    ) -> Result<Made, FailureReason> {
        record::encode(verdict, self.new_line, self.keys_of.as_ref(), context, data)
    }

    fn reingest_now(&self, event: &Event<'_>, writer: &mut Writer<'_>) -> Option<Reingested> {
        let reingest = self.reingest.as_ref()?;
        let records = overflowing(event, writer)?;
        let put = || reingest(records).map_err(FailureReason::function);
        Some(caught(put).map_err(Into::into))
    }

    async fn reingest_waiting(
        &self,
        event: &Event<'_>,
        writer: &mut Writer<'_>,
    ) -> Option<Reingested> {
        let Some(reingest) = &self.reingest_async else {
            return self.reingest_now(event, writer);
        };
        let records = overflowing(event, writer)?;
        let put = async { reingest(records).await.map_err(FailureReason::function) };
        Some(caught_future(put).await.map_err(Into::into))
    }
}

/// Returns the original records that did not fit; `None` if there are none. A record without valid bytes cannot be put
/// again, and fails here.
fn overflowing(event: &Event<'_>, writer: &mut Writer<'_>) -> Option<Vec<OverflowRecord>> {
    let mut records = Vec::new();
    for (index, answer_bytes) in std::mem::take(&mut writer.overflow) {
        let record = &event.records[index];
        match record.bytes() {
            Ok(data) => {
                writer.overflow.push((index, answer_bytes));
                records.push(OverflowRecord {
                    record_id: record.record_id().to_owned(),
                    data,
                    partition_key: partition_key(record),
                });
            }
            Err(reason) => writer.fail(index, reason),
        }
    }
    (!records.is_empty()).then_some(records)
}

fn partition_key(record: &InputRecord<'_>) -> Option<String> {
    record.kinesis()?.partition_key().map(str::to_owned)
}

/// Answers the records that did not fit, and logs the failures.
fn finish(event: &Event<'_>, mut writer: Writer<'_>, reingested: Option<Reingested>) -> Response {
    let reingested = reingested.map(|put| put.map_err(Arc::from));
    for (index, answer_bytes) in std::mem::take(&mut writer.overflow) {
        match &reingested {
            Some(Ok(())) => writer.reingested(index),
            Some(Err(source)) => {
                let source = Arc::clone(source);
                writer.fail(index, FailureReason::NotReingested { source });
            }
            None => writer.fail(index, FailureReason::TooLarge { answer_bytes }),
        }
    }
    let response = writer.finish();
    failure::log(&event.invocation_id, response.failures());
    response
}

#[cfg(test)]
#[path = "transform_tests.rs"]
mod tests;
