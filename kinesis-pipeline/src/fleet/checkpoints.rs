use std::{sync::Arc, time::Duration};

#[cfg(doc)]
use super::LeaseError;
use super::{
    identity::Identity,
    lease_cache::LeaseCache,
    place,
    signed::signed,
    table::LeaseTable,
    table_call::{Kind, LeaseUpdate, TableCall},
};
use crate::{
    Checkpoint, CheckpointFuture, CheckpointStore, Clock, ConnectError, ShardId,
    service::aws::ConnectOptions,
};
use aws_sdk_dynamodb::{Client, config::timeout::TimeoutConfig};

/// The time without a renewal after which an owner counts as gone, as in KCL.
const OWNER_EXPIRY: Duration = Duration::from_secs(10);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit of an operation with all its retries. A reader allows 30 s for a whole save.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(20);

/// Checkpoints in DynamoDB, in the lease table of the Java Kinesis Client Library (KCL). A fleet can continue where a
/// reader stopped, and a reader where a fleet did.
///
/// The table has the application's name, unless [`table_name`](Self::table_name) gives another, and is created at
/// the first save if it is absent, with on-demand billing. Cheap to clone; clones are one store.
///
#[cfg_attr(all(feature = "derive", feature = "local-server"), doc = "```")]
#[cfg_attr(
    not(all(feature = "derive", feature = "local-server")),
    doc = "```ignore"
)]
/// use kinesis_pipeline::{CheckpointStore, DynamoDbCheckpoints, KinesisStream, LocalKinesis, Until};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let local = LocalKinesis::start().await?;
/// let stream: KinesisStream<bytes::Bytes> = local.stream("readings", 1).await?;
///
/// // On AWS: DynamoDbCheckpoints::connect().await?
/// let database = local.serve_dynamodb("127.0.0.1:0").await?;
/// let store = DynamoDbCheckpoints::with_client(aws_sdk_dynamodb::Client::new(&database.sdk_config()));
///
/// stream.put(&"a".into()).await?;
/// let reader = stream.reader().checkpoints(store.clone(), "my-app").until(Until::Tip);
/// let mut records = reader.start(kinesis_pipeline::StartAt::TrimHorizon).open().await?;
/// while let Some(record) = records.next().await {
///     println!("{:?}", record?.data);
/// }
/// // Saved before the last `None`.
/// assert_eq!(store.load("my-app", "readings").await?.len(), 1);
/// # Ok(())
/// # }
/// ```
///
/// # The content of a row
///
/// There is one row for each shard, as KCL creates it and writes checkpoints to it, without an owner: `leaseKey`,
/// `leaseCounter`, `checkpoint`, `checkpointSubSequenceNumber`, `ownerSwitchesSinceCheckpoint`. A record that is
/// finished with all user records of its aggregate has the sub-sequence number 9223372036854775807, because KCL
/// continues behind it. Facts that have no KCL attribute are in a map `kinesisPipeline`: the arrival time, the time up
/// to which a quiet shard is current, the time at which reading began, the stream and its creation time. Times are in
/// milliseconds. KCL's updates leave the map alone, but a row that KCL deletes and creates again has none, so its times
/// are not known. Other attributes of a row are not changed. New rows have no parents, children or hash keys of shards,
/// as they are not known here; a fleet that takes over adds the hash keys.
///
/// A row of KCL with `LATEST`, or with `AT_TIMESTAMP` and no time of this library, is not a checkpoint: the shard
/// begins at the reader's start, as in KCL. In the other direction, KCL takes the time from its own settings: a fleet
/// that takes over before a shard's first record was read must start with `AT_TIMESTAMP` and that time.
///
/// # One stream, one writer
///
/// A table has the checkpoints of one application in one stream. A save for another stream fails with
/// [`LeaseError::OtherStream`], and a load for it finds nothing. The table of a fleet of several streams has other
/// keys, and is refused with [`LeaseError::ManyStreams`].
///
/// Every write is made on the condition that the row is as it was loaded, or as this store wrote it last. If another
/// program has written it, the save fails with [`LeaseError::Overtaken`], until the checkpoints are loaded again. A row
/// with an owner belongs to a worker of a fleet. Its checkpoint is saved, and the owner removed, only if the worker has
/// not renewed the lease for [`owner_expiry`](Self::owner_expiry) since it was loaded. Otherwise the save fails with
/// [`LeaseError::Held`]. None of these errors is retryable: the reader ends with it.
///
/// # Calls
///
/// Reading the table takes one consistent `Scan`, in pages of 1 MiB. A save takes one write for each shard, 8 at a
/// time. The client's own retries apply (the SDK's standard: 3 tries). An operation takes at most 20 s unless the
/// client sets another time. Needed rights on the table: `dynamodb:Scan`, `PutItem`, `UpdateItem` and `DeleteItem`, and
/// `DescribeTable` and `CreateTable` if it is to be created.
#[derive(Clone, Debug)]
pub struct DynamoDbCheckpoints {
    pub(super) client: Client,
    pub(super) settings: Settings,
    /// The id of this store, by which it recognizes its own writes. Other stores have other ids.
    pub(super) writer: Arc<str>,
    pub(super) cache: Arc<LeaseCache>,
    pub(super) clock: Clock,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    table_name: Option<Arc<str>>,
    pub(super) creates_table: bool,
    pub(super) owner_expiry: Duration,
}

impl DynamoDbCheckpoints {
    /// Makes a store on your own client. No call is made.
    ///
    /// The client's configuration is kept, except that absent time-outs are set: 3 seconds to connect, 10 seconds to
    /// the beginning of an answer, 20 seconds for an operation with its retries.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers hand their client over"
    )]
    pub fn with_client(client: Client) -> Self {
        let absent = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT);
        let config = client.config();
        let timeouts = config
            .timeout_config()
            .map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder)
            .take_unset_from(absent);
        let config = config.to_builder().timeout_config(timeouts.build());
        Self {
            client: Client::from_conf(config.build()),
            settings: Settings {
                table_name: None,
                creates_table: true,
                owner_expiry: OWNER_EXPIRY,
            },
            writer: uuid::Uuid::new_v4().to_string().into(),
            cache: Arc::default(),
            clock: Clock::of_runtime(),
        }
    }

    /// Makes a store on AWS: credentials, region and endpoint (`AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL`) come
    /// from the environment, as for every AWS tool.
    ///
    /// It finds the credentials, within 5 seconds, but makes no call to DynamoDB. Cancel safe.
    ///
    /// # Errors
    /// [`ConnectError`]: there is no region, or there are no credentials.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use kinesis_pipeline::{DynamoDbCheckpoints, KinesisStream};
    ///
    /// let stream = KinesisStream::<bytes::Bytes>::connect("readings").await?;
    /// let store = DynamoDbCheckpoints::connect().await?;
    /// let mut records = stream.reader().checkpoints(store, "my-app").open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect() -> Result<Self, ConnectError> {
        let config = ConnectOptions::new().load().await?;
        Ok(Self::with_client(Client::new(&config)))
    }

    /// Sets the table's name. Default: the application's name, as in KCL.
    #[must_use]
    pub fn table_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.settings.table_name = Some(name.into());
        self
    }

    /// Whether to create the table if it is absent. Default: true. If false, loading fails with
    /// [`LeaseError::MissingTable`]. A save waits up to 25 s for a table that is being created.
    #[must_use]
    pub fn create_table(mut self, creates: bool) -> Self {
        self.settings.creates_table = creates;
        self
    }

    /// Sets the time without a renewal after which the worker that owns a lease counts as gone. Default 10 s, KCL's
    /// `failoverTimeMillis`: set it to that of your fleet.
    ///
    /// The first save or removal of a shard with an owner waits until that time has passed since the checkpoints were
    /// loaded. A reader allows 30 s for a save: with a longer expiry the first saves fail, and are repeated.
    #[must_use]
    pub fn owner_expiry(mut self, time: Duration) -> Self {
        self.settings.owner_expiry = time;
        self
    }

    fn call<'a>(&'a self, app: &'a str, stream: &str) -> TableCall<'a> {
        let name = self.settings.table_name.as_deref().unwrap_or(app);
        let client = &self.client;
        TableCall {
            store: self,
            table: LeaseTable { client, name },
            identity: Identity::new(app, stream),
        }
    }
}

impl CheckpointStore for DynamoDbCheckpoints {
    fn load<'a>(&'a self, app: &'a str, stream: &'a str) -> CheckpointFuture<'a, Vec<Checkpoint>> {
        Box::pin(async move {
            let call = self.call(app, stream);
            let loaded = signed(&self.clock, || call.load()).await;
            loaded.map_err(|error| call.failed(error))
        })
    }

    fn save<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        checkpoints: Vec<Checkpoint>,
    ) -> CheckpointFuture<'a, ()> {
        let changes = checkpoints.iter().map(|checkpoint| {
            let (place, times) = place::encode(checkpoint);
            LeaseUpdate {
                lease_key: checkpoint.shard_id.as_str().to_owned(),
                kind: Kind::Save(place, times),
            }
        });
        let changes: Vec<_> = changes.collect();
        Box::pin(async move {
            let call = self.call(app, stream);
            let done = signed(&self.clock, || call.save(&changes)).await;
            done.map_err(|error| call.failed(error))
        })
    }

    fn remove<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        shards: Vec<ShardId>,
    ) -> CheckpointFuture<'a, ()> {
        let changes = shards.iter().map(|shard| LeaseUpdate {
            lease_key: shard.as_str().to_owned(),
            kind: Kind::Remove,
        });
        let changes: Vec<_> = changes.collect();
        Box::pin(async move {
            let call = self.call(app, stream);
            let done = signed(&self.clock, || call.remove(&changes)).await;
            done.map_err(|error| call.failed(error))
        })
    }
}
