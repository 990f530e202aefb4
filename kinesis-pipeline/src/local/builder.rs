#[cfg(feature = "local-durable")]
use std::path::PathBuf;
use std::{sync::Arc, time::Duration};

#[cfg(feature = "local-durable")]
use super::durable;
use super::{
    LocalError, LocalKinesis,
    core::{Core, Settings},
};
use crate::clock::Clock;

/// The default limit of open shards of the account.
const SHARD_LIMIT_DEFAULT: u32 = 20_000;
/// The default time that a stream takes to be created, resharded or deleted.
const TRANSITION_DEFAULT: Duration = Duration::from_millis(10);

/// A builder of a [`LocalKinesis`].
#[derive(Clone, Debug)]
#[must_use]
pub struct LocalKinesisBuilder {
    /// The clock; `None` for that of the runtime in which the Kinesis starts.
    clock: Option<Clock>,
    settings: Settings,
    #[cfg(feature = "local-durable")]
    data_dir: Option<PathBuf>,
}

impl Default for LocalKinesisBuilder {
    fn default() -> Self {
        Self {
            clock: None,
            settings: Settings {
                region: "us-east-1".to_owned(),
                account_id: "000000000000".to_owned(),
                shard_limit: SHARD_LIMIT_DEFAULT,
                transition: TRANSITION_DEFAULT,
                seed: 0,
                enforce_limits: false,
            },
            #[cfg(feature = "local-durable")]
            data_dir: None,
        }
    }
}

impl LocalKinesisBuilder {
    /// Sets the clock of arrival times, retention and expiry. Default: that of the runtime in which the Kinesis
    /// [starts](Self::start), which is the system's, or tokio's while a test has paused it ([`Clock::of_runtime`]).
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Sets the region in ARNs; `us-east-1` by default.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.settings.region = region.into();
        self
    }

    /// Sets the account in ARNs, 12 digits; `000000000000` by default.
    pub fn account_id(mut self, account_id: impl Into<String>) -> Self {
        self.settings.account_id = account_id.into();
        self
    }

    /// Sets the limit of open shards of the account; 20,000 by default.
    pub fn shard_limit(mut self, shards: u32) -> Self {
        self.settings.shard_limit = shards;
        self
    }

    /// Sets the time that creating, deleting and resharding a stream takes; 10 milliseconds by default. Meanwhile its
    /// status is `CREATING`, `DELETING` or `UPDATING`.
    pub fn transition(mut self, transition: Duration) -> Self {
        self.settings.transition = transition;
        self
    }

    /// Sets the seed of random faults: the same seed and the same calls give the same faults. Default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// Whether the service's rates are enforced. Default false.
    ///
    /// A shard then takes 1 MiB and 1,000 records a second, and gives 2 MiB and 5 reads a second; control calls have rates
    /// of their own. Calls over a rate are refused as on the service; of a put, only the entries over it.
    pub fn enforce_limits(mut self, enforce: bool) -> Self {
        self.settings.enforce_limits = enforce;
        self
    }

    /// Sets a directory that keeps everything: streams, records, sequence numbers, consumers, tags. Default: nothing is
    /// kept.
    ///
    /// It is created if it does not exist, and belongs to one Kinesis at a time, of one region and account. Its contents are
    /// read into memory at the start. They survive the process, also `kill -9`: a call answers after its changes were handed
    /// to the operating system. A power cut can lose the last second. Subscriptions, faults and rates begin anew.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("kinesis-pipeline-doc-{}", std::process::id()));
    /// use bytes::Bytes;
    /// use kinesis_pipeline::local::LocalKinesis;
    ///
    /// let kinesis = LocalKinesis::builder().data_dir(&directory).start().await?;
    /// kinesis.stream::<Bytes>("readings", 4).await?;
    /// drop(kinesis); // the last handle gives the directory back
    ///
    /// let kinesis = LocalKinesis::builder().data_dir(&directory).start().await?;
    /// let page = kinesis.service().list_streams(Default::default()).await?;
    /// assert_eq!(page.names, ["readings"]);
    /// # drop(kinesis);
    /// # std::fs::remove_dir_all(directory)?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "local-durable")]
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Starts the Kinesis.
    ///
    /// # Errors
    /// [`LocalError::Settings`]: the account or region is not valid in an ARN, or not that of the data directory. The errors
    /// whose names begin with `DataDir`: the data directory is in use, holds something else, is damaged, or cannot be
    /// written.
    #[cfg_attr(
        not(feature = "local-durable"),
        expect(clippy::unused_async, reason = "a data directory is opened here")
    )]
    pub async fn start(self) -> Result<LocalKinesis, LocalError> {
        let Settings {
            region, account_id, ..
        } = &self.settings;
        if account_id.len() != 12 || !account_id.bytes().all(|byte| byte.is_ascii_digit()) {
            let reason = format!("the account id `{account_id}` must have 12 digits");
            return Err(LocalError::settings(reason));
        }
        if region.is_empty() || region.contains(':') {
            let reason = format!("`{region}` is not the name of a region, such as `us-east-1`");
            return Err(LocalError::settings(reason));
        }
        let clock = self.clock.unwrap_or_else(Clock::of_runtime);
        #[cfg(feature = "local-durable")]
        if let Some(path) = self.data_dir {
            let (core, keeper) = durable::start(path, clock, self.settings).await?;
            return Ok(LocalKinesis {
                core: Arc::new(core),
                _keeper: Some(Arc::new(keeper)),
            });
        }
        Ok(LocalKinesis {
            core: Arc::new(Core::new(clock, self.settings)),
            #[cfg(feature = "local-durable")]
            _keeper: None,
        })
    }
}
