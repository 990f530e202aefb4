//! `PutRecordBatch` behind the service trait of streams, so that one put pipeline serves both.

use aws_sdk_firehose::{
    Client,
    config::{Config, Region, SharedInterceptor, retry::RetryConfig, timeout::TimeoutConfig},
    primitives::Blob,
    types::{PutRecordBatchResponseEntry, Record},
};
use futures_util::FutureExt as _;

use crate::{
    record::EncodedRecord,
    service::{
        CreateStream, DeleteStream, DescribeStreamSummary, EntryFailure, ErrorClass, GetRecords,
        GetShardIterator, Kinesis, ListShards, ListStreams, MergeShards, PutRecords,
        PutRecordsAnswer, RecordPage, ServiceError, ServiceFuture, ShardIterator, ShardPage,
        SplitShard, StoredAt, StreamPage, StreamSummary,
        aws::{endpoint::Finder, error::Site, timeouts_default},
    },
};

const OPERATION: &str = "PutRecordBatch";

/// Firehose as a service that stores records and has no shards.
#[derive(Clone, Debug)]
pub(super) struct Firehose {
    client: Client,
    endpoint: String,
}

impl Firehose {
    /// Returns the service behind this client. The client's retries are off: the pipeline retries each record.
    pub(super) fn new(client: &Client) -> Self {
        let config = client.config();
        let timeouts = config
            .timeout_config()
            .map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder)
            .take_unset_from(timeouts_default());
        let endpoint = endpoint_of(config);
        let config = config
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build());
        Self {
            client: Client::from_conf(config.build()),
            endpoint,
        }
    }

    async fn put(&self, call: PutRecords) -> Result<PutRecordsAnswer, ServiceError> {
        let record = |record: &EncodedRecord| {
            let data = Blob::new(&record.data[..]);
            Record::builder().data(data).build()
        };
        let records: Result<Vec<Record>, _> = call.records.iter().map(record).collect();
        let records = records.map_err(|error| self.invalid(OPERATION).with_source(error))?;
        let sent = self
            .client
            .put_record_batch()
            .delivery_stream_name(call.stream.as_str())
            .set_records(Some(records))
            .send()
            .await;
        let site = Site {
            endpoint: &self.endpoint,
            service: "Firehose",
        };
        let answer = sent.map_err(|error| {
            let mut failed = site.failed(OPERATION, error);
            if let Some(code) = &failed.code {
                failed.class = class_of(code, failed.class);
            }
            failed
        })?;
        let results = answer.request_responses.into_iter().map(result);
        results
            .collect::<Option<Vec<_>>>()
            .map(PutRecordsAnswer::new)
            .ok_or_else(|| self.malformed())
    }

    #[cold]
    fn malformed(&self) -> ServiceError {
        let message = "a record has neither an id nor an error";
        let mut error =
            ServiceError::unanswered(OPERATION, &self.endpoint, ErrorClass::Other, message);
        error.may_have_been_done = true;
        error
    }

    #[cold]
    fn invalid(&self, operation: &'static str) -> ServiceError {
        let message = "Firehose takes records and has no shards";
        ServiceError::unanswered(operation, &self.endpoint, ErrorClass::Invalid, message)
    }

    fn refuse<'a, T: Send + 'a>(&self, operation: &'static str) -> ServiceFuture<'a, T> {
        Box::pin(std::future::ready(Err(self.invalid(operation))))
    }
}

/// Returns the class of an error code. Firehose uses this code when the stream's rate limit is reached.
fn class_of(code: &str, class: ErrorClass) -> ErrorClass {
    match code {
        "ServiceUnavailableException" => ErrorClass::Throttled,
        _ => class,
    }
}

/// Returns the result of one record; `None` if the answer has none.
fn result(entry: PutRecordBatchResponseEntry) -> Option<Result<StoredAt, EntryFailure>> {
    if let Some(code) = entry.error_code {
        let mut failure = EntryFailure::new(code, entry.error_message.unwrap_or_default());
        failure.class = class_of(&failure.code, failure.class);
        return Some(Err(failure));
    }
    let record_id = entry.record_id?;
    // The shard stands for the record id. The pipeline uses neither the shard nor the sequence number of such records.
    Some(Ok(StoredAt::new(record_id.as_str().into(), 0_u128.into())))
}

/// Returns the endpoint for error messages, as in the Kinesis service.
fn endpoint_of(config: &Config) -> String {
    let finder = Finder::new(in_region);
    let found = finder.found();
    let mut probe = config
        .to_builder()
        .timeout_config(TimeoutConfig::disabled())
        .retry_config(RetryConfig::disabled());
    probe.set_interceptors([SharedInterceptor::new(finder)]);
    let client = Client::from_conf(probe.build());
    let _ended = client.list_delivery_streams().send().now_or_never();
    found
        .get()
        .cloned()
        .unwrap_or_else(|| in_region(config.region(), false, false))
}

fn in_region(region: Option<&Region>, _is_fips: bool, _is_dual_stack: bool) -> String {
    region.map_or_else(
        || "Firehose in no region".to_owned(),
        |region| format!("Firehose in {region}"),
    )
}

impl Kinesis for Firehose {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn put_records(&self, call: PutRecords) -> ServiceFuture<'_, PutRecordsAnswer> {
        Box::pin(self.put(call))
    }

    fn get_shard_iterator(&self, _: GetShardIterator) -> ServiceFuture<'_, ShardIterator> {
        self.refuse("GetShardIterator")
    }

    fn get_records(&self, _: GetRecords) -> ServiceFuture<'_, RecordPage> {
        self.refuse("GetRecords")
    }

    fn list_shards(&self, _: ListShards) -> ServiceFuture<'_, ShardPage> {
        self.refuse("ListShards")
    }

    fn list_streams(&self, _: ListStreams) -> ServiceFuture<'_, StreamPage> {
        self.refuse("ListStreams")
    }

    fn describe_stream_summary(
        &self,
        _: DescribeStreamSummary,
    ) -> ServiceFuture<'_, StreamSummary> {
        self.refuse("DescribeStreamSummary")
    }

    fn create_stream(&self, _: CreateStream) -> ServiceFuture<'_, ()> {
        self.refuse("CreateStream")
    }

    fn delete_stream(&self, _: DeleteStream) -> ServiceFuture<'_, ()> {
        self.refuse("DeleteStream")
    }

    fn split_shard(&self, _: SplitShard) -> ServiceFuture<'_, ()> {
        self.refuse("SplitShard")
    }

    fn merge_shards(&self, _: MergeShards) -> ServiceFuture<'_, ()> {
        self.refuse("MergeShards")
    }
}
