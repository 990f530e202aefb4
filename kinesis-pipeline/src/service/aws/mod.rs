//! The service on AWS, through the official SDK.
//!
//! ```text
//!   ConnectOptions ── credentials, region ──> AwsKinesis ── one file per call ──> aws_sdk_kinesis::Client
//! ```

mod cbor_error;
mod check_put_records;
mod connect;
mod connections;
mod consumer;
mod create_stream;
pub(crate) mod credentials;
mod delete_stream;
mod deregister_stream_consumer;
mod describe_stream_consumer;
mod describe_stream_summary;
mod dialect;
mod direct;
pub(crate) mod endpoint;
pub(crate) mod error;
mod get_records;
mod get_shard_iterator;
mod limits;
mod list_shards;
mod list_streams;
mod members;
mod merge_shards;
mod prepared;
mod put_records;
mod register_stream_consumer;
mod shards;
mod split_shard;
#[cfg(test)]
mod stub;
mod subscribe_to_shard;
mod time;
mod update_shard_count;

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_sdk_kinesis::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
};

use super::{
    Consumer, CreateStream, DeleteStream, DeregisterStreamConsumer, DescribeStreamConsumer,
    DescribeStreamSummary, GetRecords, GetShardIterator, Kinesis, ListShards, ListStreams,
    MergeShards, PutCheck, PutRecords, PutRecordsAnswer, RecordPage, RegisterStreamConsumer,
    ServiceFuture, ShardIterator, ShardPage, SplitShard, StreamPage, StreamSummary,
    SubscribeToShard, Subscription, UpdateShardCount,
};

pub use connect::{ConnectError, ConnectOptions};
use connections::Connections;
use dialect::Dialect;
use prepared::PreparedCalls;
use put_records::bodies::Bodies;

/// The time limit for making a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The time limit until the head of an answer. It covers the sending of a 10 MiB request.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The time limit until the end of an answer.
const OPERATION_TIMEOUT: Duration = Duration::from_mins(1);

/// Amazon Kinesis through the official SDK. Cheap to clone.
///
/// It makes each call once: the SDK's own retries are off, because the pipelines above retry by record and by shard,
/// which the SDK cannot. A client without time-outs gets some: 3 seconds to connect, 30 seconds to the beginning of an
/// answer, 60 seconds to its end.
///
/// The bodies of `PutRecords` and `GetRecords` are written and read here, which halves their CPU time. A client with an
/// interceptor or a protocol of its own still sees them in the SDK's types.
///
/// The SDK composes the first `PutRecords` of a stream, one a minute and those after a failure. The others are prepared
/// calls: they repeat its request with a body, time and signature of their own, which saves a quarter of the CPU time of a
/// put of records of 100 bytes. Credentials, endpoint, connections and time limits are the client's in both cases. A
/// connection that stops taking bytes is given up after the read time-out. A prepared call that is denied is made again by
/// the SDK, whose result counts. A client with an interceptor or a generator of invocation identifiers, and one in a Lambda
/// function, prepares no calls; [`without_prepared_calls`](Self::without_prepared_calls) turns them off.
///
/// These bodies are in CBOR, as the SDKs for Java send them. An endpoint that refuses CBOR gets the same call in JSON,
/// and from then on every call. To use JSON from the start, call [`without_cbor`](Self::without_cbor) or set a variable
/// of the SDKs for Java: `AWS_CBOR_DISABLE=true` or `CBOR_ENABLED=false`.
#[derive(Clone, Debug)]
pub struct AwsKinesis {
    client: Client,
    connections: Connections,
    endpoint: String,
    dialect: Arc<Dialect>,
    bodies: Arc<Bodies>,
    prepared: Arc<PreparedCalls>,
    /// Whether the last listing of shards came from an embedded Kinesis that enforces no limits.
    is_unlimited: Arc<AtomicBool>,
}

impl AwsKinesis {
    /// Makes a service from a client of the SDK. Its configuration is kept, except that retries are turned off and absent
    /// time-outs are set.
    ///
    /// Connections are not shared with `client`. Subscriptions have connections of their own, unless the configuration has
    /// an HTTP client.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        let config = client.config();
        let timeouts = config
            .timeout_config()
            .map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder)
            .take_unset_from(timeouts_default());
        let endpoint = endpoint::of(config);
        let is_direct = config.protocol().is_none() && config.interceptors().next().is_none();
        // A Lambda function sends the trace identifier of its invocation, another one each time.
        let may_prepare = config.invocation_id_generator().is_none()
            && env::var_os("AWS_LAMBDA_FUNCTION_NAME").is_none();
        let is_cbor = !dialect::is_cbor_disabled(|name| env::var(name).ok());
        let config = config
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build())
            .build();
        Self {
            client: Client::from_conf(config),
            connections: Connections::default(),
            endpoint,
            dialect: Arc::new(Dialect::new(is_direct, is_cbor)),
            bodies: Arc::default(),
            prepared: Arc::new(PreparedCalls::new(may_prepare)),
            is_unlimited: Arc::default(),
        }
    }

    /// Returns the SDK's client, for calls that the seam does not have. It does not retry.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Lets the SDK compose every call.
    ///
    /// Choose it if the SDK's trace spans and metrics must count every call, if you have an endpoint resolver that answers
    /// differently from call to call, or an HTTP client that gives each call another connector.
    #[must_use]
    pub fn without_prepared_calls(mut self) -> Self {
        self.prepared = Arc::new(PreparedCalls::new(false));
        self
    }

    /// Sends and reads records in JSON.
    #[must_use]
    pub fn without_cbor(mut self) -> Self {
        self.dialect = Arc::new(self.dialect.without_cbor());
        self.prepared = Arc::new(self.prepared.anew());
        self
    }
}

/// Returns the time-outs of a client that has none.
pub(crate) fn timeouts_default() -> aws_sdk_kinesis::config::timeout::TimeoutConfigBuilder {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
}

/// Converts a count to the SDK's signed type. One that does not fit becomes the largest, which the service refuses.
fn int(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

impl From<&Client> for AwsKinesis {
    fn from(client: &Client) -> Self {
        Self::new(client)
    }
}

impl Kinesis for AwsKinesis {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn enforces_limits(&self) -> bool {
        !self.is_unlimited.load(Ordering::Relaxed)
    }

    fn put_records(&self, call: PutRecords) -> ServiceFuture<'_, PutRecordsAnswer> {
        Box::pin(put_records::send(self, call))
    }

    fn check_put_records(&self, call: PutRecords) -> ServiceFuture<'_, PutCheck> {
        Box::pin(check_put_records::send(self, call))
    }

    fn get_shard_iterator(&self, call: GetShardIterator) -> ServiceFuture<'_, ShardIterator> {
        Box::pin(get_shard_iterator::send(self, call))
    }

    fn get_records(&self, call: GetRecords) -> ServiceFuture<'_, RecordPage> {
        Box::pin(get_records::send(self, call))
    }

    fn list_shards(&self, call: ListShards) -> ServiceFuture<'_, ShardPage> {
        Box::pin(list_shards::send(self, call))
    }

    fn list_streams(&self, call: ListStreams) -> ServiceFuture<'_, StreamPage> {
        Box::pin(list_streams::send(self, call))
    }

    fn describe_stream_summary(
        &self,
        call: DescribeStreamSummary,
    ) -> ServiceFuture<'_, StreamSummary> {
        Box::pin(describe_stream_summary::send(self, call))
    }

    fn create_stream(&self, call: CreateStream) -> ServiceFuture<'_, ()> {
        Box::pin(create_stream::send(self, call))
    }

    fn delete_stream(&self, call: DeleteStream) -> ServiceFuture<'_, ()> {
        Box::pin(delete_stream::send(self, call))
    }

    fn split_shard(&self, call: SplitShard) -> ServiceFuture<'_, ()> {
        Box::pin(split_shard::send(self, call))
    }

    fn merge_shards(&self, call: MergeShards) -> ServiceFuture<'_, ()> {
        Box::pin(merge_shards::send(self, call))
    }

    fn update_shard_count(&self, call: UpdateShardCount) -> ServiceFuture<'_, ()> {
        Box::pin(update_shard_count::send(self, call))
    }

    fn register_stream_consumer(
        &self,
        call: RegisterStreamConsumer,
    ) -> ServiceFuture<'_, Consumer> {
        Box::pin(register_stream_consumer::send(self, call))
    }

    fn describe_stream_consumer(
        &self,
        call: DescribeStreamConsumer,
    ) -> ServiceFuture<'_, Consumer> {
        Box::pin(describe_stream_consumer::send(self, call))
    }

    fn deregister_stream_consumer(&self, call: DeregisterStreamConsumer) -> ServiceFuture<'_, ()> {
        Box::pin(deregister_stream_consumer::send(self, call))
    }

    fn subscribe_to_shard(&self, call: SubscribeToShard) -> ServiceFuture<'_, Subscription> {
        Box::pin(subscribe_to_shard::send(self, call))
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::config::{BehaviorVersion, Config};

    use super::*;

    #[test]
    fn time_outs_of_the_client_are_kept_and_absent_ones_set() {
        let mine = TimeoutConfig::builder()
            .read_timeout(Duration::from_secs(7))
            .disable_operation_timeout()
            .build();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .timeout_config(mine)
            .build();
        let aws = AwsKinesis::new(&Client::from_conf(config));
        let config = aws.client().config();
        let timeouts = config.timeout_config().unwrap();
        assert_eq!(timeouts.connect_timeout(), Some(CONNECT_TIMEOUT));
        assert_eq!(timeouts.read_timeout(), Some(Duration::from_secs(7)));
        assert_eq!(timeouts.operation_timeout(), None);
        assert!(!config.retry_config().unwrap().has_retry());
    }

    /// Imitates an SDK whose own protocol has changed.
    #[cfg(feature = "local-server")]
    #[tokio::test]
    async fn a_protocol_that_turns_out_to_be_another_one_is_left_to_the_sdk() {
        use aws_smithy_cbor::protocol::RpcV2CborProtocol;

        use super::dialect::Form;
        use crate::{
            EncodedRecord, PartitionKey,
            local::LocalKinesis,
            service::{Capacity, IteratorStart},
        };
        let local = LocalKinesis::builder().transition(Duration::ZERO);
        let local = local.start().await.unwrap();
        let server = local.serve("127.0.0.1:0").await.unwrap();
        let config = server.kinesis_config().protocol(RpcV2CborProtocol::new());
        let client = Client::from_conf(config.build());
        let unaware = || {
            let mut aws = AwsKinesis::new(&client);
            aws.dialect = Arc::new(Dialect::new(true, true));
            aws
        };
        let aws = unaware();
        aws.create_stream(CreateStream::new("s", Capacity::Provisioned(1)))
            .await
            .unwrap();
        let key = PartitionKey::new("k").unwrap();
        let records = vec![EncodedRecord::new(key, bytes::Bytes::from_static(b"one"))];
        let answer = aws.put_records(PutRecords::new("s".into(), records)).await;
        let stored = answer.unwrap().results.remove(0).unwrap();
        assert_eq!(aws.dialect.form(), Form::Typed);
        let aws = unaware();
        let start = GetShardIterator::new("s".into(), stored.shard_id, IteratorStart::TrimHorizon);
        let iterator = aws.get_shard_iterator(start).await.unwrap();
        let page = aws.get_records(GetRecords::new("s".into(), iterator)).await;
        assert_eq!(&page.unwrap().records[0].data[..], b"one");
        assert_eq!(aws.dialect.form(), Form::Typed);
    }
}
