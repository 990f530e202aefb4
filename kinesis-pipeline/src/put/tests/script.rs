//! A service that records what it is sent and answers as a test says.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;

use crate::{
    HashKeyRange, KinesisStream, PutOptions, Shard,
    record::{EncodedRecord, PartitionKey},
    service::{
        CreateStream, DeleteStream, DescribeStreamSummary, EntryFailure, ErrorClass, GetRecords,
        GetShardIterator, Kinesis, ListShards, ListStreams, MergeShards, PutRecords,
        PutRecordsAnswer, RecordPage, ServiceError, ServiceFuture, ShardIterator, ShardPage,
        SplitShard, StoredAt, StreamPage, StreamSummary,
    },
};

pub(super) const ENDPOINT: &str = "http://127.0.0.1:1";
/// Said instead of a limit, it means that the source of the credentials fails.
pub(super) const UNSIGNED: &str = "unsigned";
const LATENCY: Duration = Duration::from_millis(5);

/// How one request ends.
pub(super) enum Answer {
    /// Every record is stored.
    Stored,
    /// The records with these indices fail with this code, the others are stored.
    Failed(&'static [usize], &'static str),
    /// The whole request fails with this code.
    Error(&'static str),
    /// No connection.
    Refused,
    /// The source of the credentials fails.
    Unsigned,
    /// The records are stored, the answer is lost.
    Lost,
    /// The answer never comes.
    Silence,
    /// An answer about one record too few.
    OneTooFew,
    /// The service's code panics.
    Panic,
}

/// One request as it was seen.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) keys: Vec<String>,
    pub(super) bytes: usize,
}

/// A scripted service; what the script does not say is stored after 5 ms.
pub(super) struct Script {
    answers: Mutex<VecDeque<Answer>>,
    otherwise: Box<dyn Fn(&PutRecords) -> Answer + Send + Sync>,
    calls: Mutex<Vec<Call>>,
    in_flight: Mutex<InFlight>,
    limits: Mutex<Limits>,
}

/// What the stream says of its largest record.
#[derive(Default)]
struct Limits {
    /// Bytes, or the code of an error; the last one is said again.
    script: VecDeque<Result<usize, &'static str>>,
    asked: usize,
}

#[derive(Clone, Copy, Default)]
struct InFlight {
    now: usize,
    max: usize,
}

impl Script {
    pub(super) fn new(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Self::with(answers, |_| Answer::Stored)
    }

    /// A service that decides by the request once the script is played.
    pub(super) fn with(
        answers: impl IntoIterator<Item = Answer>,
        otherwise: impl Fn(&PutRecords) -> Answer + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            otherwise: Box::new(otherwise),
            calls: Mutex::default(),
            in_flight: Mutex::default(),
            limits: Mutex::default(),
        })
    }

    /// What the stream says when it is asked for its largest record, time after time.
    pub(super) fn say_limits(&self, limits: impl IntoIterator<Item = Result<usize, &'static str>>) {
        self.limits.lock().unwrap().script = limits.into_iter().collect();
    }

    /// How often it was asked.
    pub(super) fn limits_asked(&self) -> usize {
        self.limits.lock().unwrap().asked
    }

    fn next_limit(&self) -> Result<usize, &'static str> {
        let mut limits = self.limits.lock().unwrap();
        limits.asked += 1;
        let next = limits.script.pop_front().expect("a limit is scripted");
        if limits.script.is_empty() {
            limits.script.push_back(next);
        }
        next
    }

    pub(super) fn stream(self: &Arc<Self>) -> KinesisStream<EncodedRecord> {
        KinesisStream::with_service(Arc::clone(self) as Arc<dyn Kinesis>, "readings")
    }

    pub(super) fn stream_with(
        self: &Arc<Self>,
        options: PutOptions,
    ) -> KinesisStream<EncodedRecord> {
        self.stream().with_put_options(options).unwrap()
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// How many records each request had.
    pub(super) fn sizes(&self) -> Vec<usize> {
        self.calls().iter().map(|call| call.keys.len()).collect()
    }

    pub(super) fn in_flight_max(&self) -> usize {
        self.in_flight.lock().unwrap().max
    }

    fn called(&self, call: &PutRecords) -> (usize, Answer) {
        let mut calls = self.calls.lock().unwrap();
        calls.push(Call {
            keys: call
                .records
                .iter()
                .map(|record| record.partition_key.to_string())
                .collect(),
            bytes: call.records.iter().map(EncodedRecord::size_bytes).sum(),
        });
        let mut in_flight = self.in_flight.lock().unwrap();
        in_flight.now += 1;
        in_flight.max = in_flight.max.max(in_flight.now);
        let answer = self.answers.lock().unwrap().pop_front();
        (
            calls.len(),
            answer.unwrap_or_else(|| (self.otherwise)(call)),
        )
    }
}

/// A record under this key.
pub(super) fn record(key: impl fmt::Display) -> EncodedRecord {
    sized(key, 10)
}

/// A record under this key with this much data.
pub(super) fn sized(key: impl fmt::Display, data_bytes: usize) -> EncodedRecord {
    let key = PartitionKey::new(key.to_string()).unwrap();
    EncodedRecord::new(key, Bytes::from(vec![b'x'; data_bytes]))
}

#[expect(clippy::result_large_err, reason = "what the seam returns")]
fn answer(
    answer: &Answer,
    number: usize,
    records: usize,
) -> Result<PutRecordsAnswer, ServiceError> {
    let unanswered = |message: &str, may_have_been_done| {
        let mut error =
            ServiceError::unanswered("PutRecords", ENDPOINT, ErrorClass::Transient, message);
        error.may_have_been_done = may_have_been_done;
        error
    };
    let stored = |index: usize| {
        // The sequence number tells the request and the place in it.
        let sequence_number = (number * 1_000 + index) as u128;
        StoredAt::new("shardId-000000000000".into(), sequence_number.into())
    };
    let results = match *answer {
        Answer::Stored => (0..records).map(|index| Ok(stored(index))).collect(),
        Answer::OneTooFew => (1..records).map(|index| Ok(stored(index))).collect(),
        Answer::Failed(failed, code) => (0..records)
            .map(|index| {
                if failed.contains(&index) {
                    Err(EntryFailure::new(code, "as the script says"))
                } else {
                    Ok(stored(index))
                }
            })
            .collect(),
        Answer::Error(code) => {
            return Err(ServiceError::answered(
                "PutRecords",
                ENDPOINT,
                code,
                "as the script says",
            ));
        }
        Answer::Refused => return Err(unanswered("connection refused", false)),
        Answer::Unsigned => return Err(ServiceError::unsigned("PutRecords", ENDPOINT, "busy")),
        Answer::Lost => return Err(unanswered("connection reset", true)),
        Answer::Silence | Answer::Panic => unreachable!("handled by the call"),
    };
    Ok(PutRecordsAnswer::new(results))
}

impl Kinesis for Script {
    fn endpoint(&self) -> &str {
        ENDPOINT
    }

    fn put_records(&self, call: PutRecords) -> ServiceFuture<'_, PutRecordsAnswer> {
        let (number, scripted) = self.called(&call);
        Box::pin(async move {
            match scripted {
                Answer::Silence => std::future::pending().await,
                Answer::Panic => panic!("as the script says"),
                _ => tokio::time::sleep(LATENCY).await,
            }
            self.in_flight.lock().unwrap().now -= 1;
            answer(&scripted, number, call.records.len())
        })
    }

    fn get_shard_iterator(&self, _: GetShardIterator) -> ServiceFuture<'_, ShardIterator> {
        unimplemented!()
    }

    fn get_records(&self, _: GetRecords) -> ServiceFuture<'_, RecordPage> {
        unimplemented!()
    }

    fn list_shards(&self, _: ListShards) -> ServiceFuture<'_, ShardPage> {
        let shard = Shard::new(
            "shardId-000000000000".into(),
            HashKeyRange::ALL,
            1_u128.into(),
        );
        let page = ShardPage {
            shards: vec![shard],
            ..ShardPage::default()
        };
        Box::pin(async move { Ok(page) })
    }

    fn list_streams(&self, _: ListStreams) -> ServiceFuture<'_, StreamPage> {
        unimplemented!()
    }

    fn describe_stream_summary(
        &self,
        _: DescribeStreamSummary,
    ) -> ServiceFuture<'_, StreamSummary> {
        Box::pin(async move {
            let limit = self.next_limit();
            tokio::time::sleep(LATENCY).await;
            let operation = "DescribeStreamSummary";
            let refused = |code| match code {
                UNSIGNED => ServiceError::unsigned(operation, ENDPOINT, "busy"),
                _ => ServiceError::answered(operation, ENDPOINT, code, "as the script says"),
            };
            let created_at = std::time::SystemTime::UNIX_EPOCH;
            let mut stream = StreamSummary::new("readings", "arn", created_at);
            stream.record_bytes_max = limit.map_err(refused)?;
            Ok(stream)
        })
    }

    fn create_stream(&self, _: CreateStream) -> ServiceFuture<'_, ()> {
        unimplemented!()
    }

    fn delete_stream(&self, _: DeleteStream) -> ServiceFuture<'_, ()> {
        unimplemented!()
    }

    fn split_shard(&self, _: SplitShard) -> ServiceFuture<'_, ()> {
        unimplemented!()
    }

    fn merge_shards(&self, _: MergeShards) -> ServiceFuture<'_, ()> {
        unimplemented!()
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}
