//! The core of the embedded Kinesis: settings, clock and state.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use super::{
    api_error::ApiError,
    faults::{FaultBook, SharedFaults},
    limits::Rates,
    locks,
    state::{
        account::Account,
        changes::Marks,
        shard::shard_index,
        stream::{Change, Stream, StreamState, shard_not_found, stream_not_found},
        topology::Topology,
    },
    stream_ref::StreamRef,
    validate::{Arn, consumer_of_arn},
};
use crate::clock::{Clock, epoch_millis};

/// The settings of the builder.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) region: String,
    pub(super) account_id: String,
    /// The limit of open shards of the account.
    pub(super) shard_limit: u32,
    /// The time that creating, deleting and resharding a stream takes.
    pub(super) transition: Duration,
    /// The seed of the faults that strike by chance.
    pub(super) seed: u64,
    /// Whether the service's rates hold.
    pub(super) enforce_limits: bool,
}

/// The server's state, shared by all operations.
pub(super) struct Core {
    pub(super) clock: Clock,
    pub(super) settings: Settings,
    pub(super) faults: SharedFaults,
    pub(super) rates: Rates,
    account: Arc<Account>,
}

/// The parts that streams and consumers have in common.
#[derive(Debug)]
pub(super) struct Resource<'a> {
    pub(super) tags: &'a mut BTreeMap<String, String>,
    pub(super) policy: &'a mut Option<String>,
}

impl Core {
    /// Makes a Kinesis without streams, in memory.
    pub(super) fn new(clock: Clock, settings: Settings) -> Self {
        Self::with_account(clock, settings, Arc::new(Account::new(None)))
    }

    /// Makes a Kinesis with the streams of this account.
    pub(super) fn with_account(clock: Clock, settings: Settings, account: Arc<Account>) -> Self {
        Self {
            clock,
            faults: Arc::new(FaultBook::new(settings.seed)),
            rates: Rates::default(),
            settings,
            account,
        }
    }

    /// Waits until all changes so far survive the end of this process. Returns at once for a state in memory.
    ///
    /// # Errors
    /// `InternalFailureException` once something cannot be written.
    pub(super) async fn kept(&self) -> Result<(), ApiError> {
        match &self.account.marks {
            None => Ok(()),
            Some(changes) => changes.kept().await,
        }
    }

    /// Returns the list of changes for the keeper, if this Kinesis has one.
    pub(super) fn marks(&self) -> Marks {
        self.account.marks.clone()
    }

    /// Returns the time, in milliseconds since the epoch.
    pub(super) fn now_millis(&self) -> u64 {
        epoch_millis(self.clock.now())
    }

    /// Returns the time at which a change that begins now is due.
    pub(super) fn due_millis(&self, now_millis: u64) -> u64 {
        let transition = u64::try_from(self.settings.transition.as_millis()).unwrap_or(u64::MAX);
        now_millis.saturating_add(transition)
    }

    /// Returns the stream that a request names, whatever its status, and the time of the call.
    pub(super) fn named(&self, stream: &StreamRef) -> Result<(Arc<Stream>, u64), ApiError> {
        let now_millis = self.now_millis();
        let stream = self.stream(stream.name(), stream.arn(), now_millis)?;
        Ok((stream, now_millis))
    }

    /// Returns the stream that a request names, if records can be put to it and read from it, and the time of the call.
    pub(super) fn named_usable(&self, stream: &StreamRef) -> Result<(Arc<Stream>, u64), ApiError> {
        let now_millis = self.now_millis();
        let stream = self.usable_stream(stream.name(), stream.arn(), now_millis)?;
        Ok((stream, now_millis))
    }

    /// Returns the index of a shard that a request names. As on the service, an id that is none is told before a stream that
    /// is not there.
    pub(super) fn shard_index(&self, stream: &StreamRef, id: &str) -> Result<u32, ApiError> {
        let name = self.stream_name(stream.name(), stream.arn())?;
        shard_index(id).ok_or_else(|| shard_not_found(id, name, &self.settings.account_id))
    }

    /// Whether the stream that a request names places records itself, so that they need no key.
    pub(super) fn is_distributed(&self, stream: &StreamRef) -> bool {
        self.named(stream)
            .is_ok_and(|(stream, now_millis)| stream.read(now_millis).is_distributed)
    }

    /// Returns the stream with this name or ARN, whatever its status.
    pub(super) fn stream(
        &self,
        name: Option<&str>,
        arn: Option<&str>,
        now_millis: u64,
    ) -> Result<Arc<Stream>, ApiError> {
        let name = self.stream_name(name, arn)?;
        let found = locks::read(&self.account.streams).get(name).cloned();
        found
            .filter(|stream| !stream.is_gone(now_millis))
            .ok_or_else(|| stream_not_found(name, &self.settings.account_id))
    }

    /// Returns the stream with this name or ARN, if records can be put to it and read from it.
    pub(super) fn usable_stream(
        &self,
        name: Option<&str>,
        arn: Option<&str>,
        now_millis: u64,
    ) -> Result<Arc<Stream>, ApiError> {
        let stream = self.stream(name, arn, now_millis)?;
        if stream.read(now_millis).is_usable() {
            return Ok(stream);
        }
        Err(stream.not_found())
    }

    /// Returns the name of the stream that this name or ARN names; the stream may not be there.
    pub(super) fn stream_name<'a>(
        &self,
        name: Option<&'a str>,
        arn: Option<&'a str>,
    ) -> Result<&'a str, ApiError> {
        let Some(arn_text) = arn else {
            return name.ok_or_else(|| {
                ApiError::invalid_argument("Either StreamName or StreamARN must be given.")
            });
        };
        let arn = Arn::parse(arn_text);
        let here = arn.filter(|arn| {
            arn.region == self.settings.region && arn.account_id == self.settings.account_id
        });
        let Some(found) = here.and_then(|arn| arn.resource.strip_prefix("stream/")) else {
            return Err(ApiError::not_found(format!(
                "Stream {arn_text} not found: this Kinesis is account {} in {}.",
                self.settings.account_id, self.settings.region
            )));
        };
        if name.is_some_and(|name| name != found) {
            return Err(ApiError::invalid_argument(
                "StreamName and StreamARN name different streams.",
            ));
        }
        Ok(found)
    }

    /// Returns the stream of the consumer with this ARN, and the consumer's name.
    pub(super) fn consumer(
        &self,
        arn: &str,
        now_millis: u64,
    ) -> Result<(Arc<Stream>, String), ApiError> {
        let missing = || ApiError::not_found(format!("Consumer {arn} not found."));
        let (stream_arn, name) = consumer_of_arn(arn).ok_or_else(missing)?;
        let stream = self.stream(None, Some(stream_arn), now_millis)?;
        let state = stream.read(now_millis);
        let found = state
            .consumers(now_millis)
            .any(|consumer| consumer.arn == arn);
        drop(state);
        if found {
            Ok((stream, name.to_owned()))
        } else {
            Err(missing())
        }
    }

    /// Reads or changes the common parts (tags, policy) of the stream or consumer with this ARN.
    pub(super) fn change_resource<T>(
        &self,
        arn: &str,
        change: impl FnOnce(Resource<'_>) -> T,
    ) -> Result<T, ApiError> {
        let now_millis = self.now_millis();
        if consumer_of_arn(arn).is_none() {
            let stream = self.stream(None, Some(arn), now_millis)?;
            let state = &mut *stream.write(now_millis);
            return Ok(change(Resource {
                tags: &mut state.tags,
                policy: &mut state.policy,
            }));
        }
        let (stream, name) = self.consumer(arn, now_millis)?;
        let state = &mut *stream.write(now_millis);
        let consumer = state.consumers.get_mut(&name);
        let consumer =
            consumer.ok_or_else(|| ApiError::not_found(format!("Consumer {arn} not found.")))?;
        Ok(change(Resource {
            tags: &mut consumer.tags,
            policy: &mut consumer.policy,
        }))
    }

    /// Returns the time since which the account is committed to a minimum throughput.
    pub(super) fn commitment(&self) -> Option<u64> {
        self.account.commitment()
    }

    /// Remembers the numbers of a stream that is being deleted: see [`Account::set_deleted`].
    pub(super) fn set_deleted(&self, name: &str, latest_seconds: u64, now_millis: u64) {
        self.account.set_deleted(name, latest_seconds, now_millis);
    }

    /// Begins or ends the account's commitment.
    pub(super) fn set_commitment(&self, is_on: bool) {
        self.account.set_commitment(is_on, self.now_millis());
    }

    /// Returns the ARN of the stream with this name.
    pub(super) fn stream_arn(&self, name: &str) -> String {
        let Settings {
            region, account_id, ..
        } = &self.settings;
        format!("arn:aws:kinesis:{region}:{account_id}:stream/{name}")
    }

    /// Returns the streams that are there, by name.
    pub(super) fn streams(&self, now_millis: u64) -> Vec<Arc<Stream>> {
        let streams = locks::read(&self.account.streams);
        streams
            .values()
            .filter(|stream| !stream.is_gone(now_millis))
            .cloned()
            .collect()
    }

    /// Counts the open shards of the account's provisioned streams.
    pub(super) fn open_shard_count(&self, now_millis: u64) -> usize {
        self.streams(now_millis)
            .iter()
            .map(|stream| {
                let state = stream.read(now_millis);
                if state.is_on_demand {
                    0
                } else {
                    state.topology.open_count()
                }
            })
            .sum()
    }

    /// Returns the service's answer if the account may not have this many more open shards.
    pub(super) fn allow_shards(&self, added: usize, now_millis: u64) -> Result<(), ApiError> {
        let count = self.open_shard_count(now_millis);
        let Settings {
            region,
            account_id,
            shard_limit,
            ..
        } = &self.settings;
        if count + added <= *shard_limit as usize {
            return Ok(());
        }
        Err(ApiError::limit_exceeded(format!(
            "This request would exceed the shard limit for the account {account_id} in {region}. \
             Current shard count for the account: {count}. Limit: {shard_limit}. \
             Number of additional shards that would have resulted from this request: {added}."
        )))
    }

    /// Adds a stream, usable once `due_millis` has come.
    pub(super) fn add_stream(
        &self,
        name: &str,
        mut state: StreamState,
        due_millis: u64,
        now_millis: u64,
    ) -> Result<(), ApiError> {
        let account_id = self.settings.account_id.clone();
        let mut streams = locks::write(&self.account.streams);
        let is_there = |stream: &Arc<Stream>| !stream.is_gone(now_millis);
        streams.retain(|_, stream| is_there(stream));
        if streams.contains_key(name) {
            return Err(ApiError::in_use(format!(
                "Stream {name} under account {account_id} already exists."
            )));
        }
        if let Some(latest_seconds) = self.account.deleted_seconds(name) {
            state.topology.begin_after(latest_seconds);
        }
        let stream = Stream::new(
            name.to_owned(),
            self.stream_arn(name),
            account_id,
            self.account.take_generation(),
            now_millis,
            state,
            self.marks(),
        );
        stream.schedule(
            &mut stream.write(now_millis),
            Change::Create,
            due_millis,
            now_millis,
        );
        streams.insert(name.to_owned(), Arc::new(stream));
        Ok(())
    }

    /// Adds a stream that is usable at once, unless there is one of this name.
    pub(super) fn ensure_stream(&self, name: &str, shard_count: u32) -> Result<Presence, ApiError> {
        let now_millis = self.now_millis();
        if let Ok(stream) = self.stream(Some(name), None, now_millis) {
            if stream.read(now_millis).is_usable() {
                return Ok(Presence::Usable);
            }
            let millis = stream.due_millis().saturating_sub(now_millis);
            return Ok(Presence::NotYet(Duration::from_millis(millis)));
        }
        self.allow_shards(shard_count as usize, now_millis)?;
        let state = StreamState::new(false, Topology::even(shard_count, now_millis));
        match self.add_stream(name, state, now_millis, now_millis) {
            // Another task was faster.
            Err(error) if error.code == "ResourceInUseException" => {
                Ok(Presence::NotYet(Duration::ZERO))
            }
            added => added.map(|()| Presence::Usable),
        }
    }
}

/// The presence of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Presence {
    /// Records can be put and read.
    Usable,
    /// The stream is being created or deleted, for this time.
    NotYet(Duration),
}

impl fmt::Debug for Core {
    /// Formats the name alone: the state has records, which must not get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}
