//! A reader of the `.properties` file of KCL's `MultiLangDaemon`, for users who come from there.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::worker::WorkerBuilder;
use crate::{KinesisStream, StartAt};

/// The limit of a file, in bytes. Real files have some 2 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

const APPLICATION: &str = "applicationName";
const STREAM: &str = "streamName";
const REGION: &str = "regionName";
const WORKER: &str = "workerId";
const START: &str = "initialPositionInStream";
const START_TIME: &str = "initialPositionInStreamExtended";
const FAILOVER: &str = "failoverTimeMillis";
const POLL_INTERVAL: &str = "idleTimeBetweenReadsInMillis";
const RECORDS_MAX: &str = "maxRecords";
const LEASES_MAX: &str = "maxLeasesForWorker";
const STOP_MAX: &str = "shutdownGraceMillis";
const RETRIEVAL: &str = "retrievalMode";
const CONSUMER: &str = "consumerName";
/// The settings that a worker has. Others of KCL have no meaning here.
const KNOWN: [&str; 13] = [
    APPLICATION,
    STREAM,
    REGION,
    WORKER,
    START,
    START_TIME,
    FAILOVER,
    POLL_INTERVAL,
    RECORDS_MAX,
    LEASES_MAX,
    STOP_MAX,
    RETRIEVAL,
    CONSUMER,
];

/// The reason why no worker can be made from a `.properties` file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PropertiesError {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// An escape in a line is not complete.
    #[error("line {line}: `\\u` needs four hexadecimal digits")]
    Escape {
        /// The line, counted from 1.
        line: usize,
    },
    /// A required setting is absent.
    #[error("there is no `{name}`: set it")]
    Missing {
        /// The setting.
        name: &'static str,
    },
    /// A setting has a value that is not allowed.
    #[error("`{name} = {value}`: set {wanted}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// The allowed values.
        wanted: &'static str,
    },
    /// The file is for another stream than the one it is used with.
    #[error(
        "the file is about the stream `{found}`, and this is `{stream}`: connect to the file's"
    )]
    OtherStream {
        /// The stream in the file.
        found: String,
        /// The stream that it is used with.
        stream: String,
    },
}

/// The settings of a `MultiLangDaemon` of KCL, in the format of Java's `.properties` files.
///
/// ```
/// use kinesis_pipeline::WorkerProperties;
///
/// let properties = WorkerProperties::parse("applicationName = demo\nstreamName = readings\nmaxActiveThreads = 9")?;
/// assert_eq!(properties.stream_name(), Some("readings"));
/// assert_eq!(properties.without_meaning().collect::<Vec<_>>(), ["maxActiveThreads"]);
/// # Ok::<(), kinesis_pipeline::PropertiesError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerProperties {
    values: BTreeMap<String, String>,
}

impl WorkerProperties {
    /// Reads a file of at most 1 MiB.
    ///
    /// # Errors
    /// [`PropertiesError`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, PropertiesError> {
        let path = path.as_ref();
        let unreadable = |source| PropertiesError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let size = fs::metadata(path).map_err(unreadable)?.len();
        if size > FILE_BYTES_MAX {
            let source = io::Error::other("it has more than 1 MiB");
            return Err(unreadable(source));
        }
        Self::parse(&fs::read_to_string(path).map_err(unreadable)?)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`PropertiesError::Escape`]: an escape is not complete.
    pub fn parse(text: &str) -> Result<Self, PropertiesError> {
        let mut values = BTreeMap::new();
        let mut lines = text.lines().enumerate();
        while let Some((index, first)) = lines.next() {
            let mut logical = first.trim_start().to_owned();
            if logical.is_empty() || logical.starts_with(['#', '!']) {
                continue;
            }
            while is_continued(&logical) {
                logical.pop();
                let Some((_, next)) = lines.next() else { break };
                logical.push_str(next.trim_start());
            }
            let escape = PropertiesError::Escape { line: index + 1 };
            let Some((name, value)) = pair(&logical) else {
                return Err(escape);
            };
            values.insert(name, value);
        }
        Ok(Self { values })
    }

    /// Returns the value of `streamName`.
    #[must_use]
    pub fn stream_name(&self) -> Option<&str> {
        self.get(STREAM)
    }

    /// Returns the value of `applicationName`.
    #[must_use]
    pub fn application_name(&self) -> Option<&str> {
        self.get(APPLICATION)
    }

    /// Returns the value of `regionName`.
    #[must_use]
    pub fn region_name(&self) -> Option<&str> {
        self.get(REGION)
    }

    /// Returns the settings in the file that have no meaning for a worker of this library, sorted by name.
    pub fn without_meaning(&self) -> impl Iterator<Item = &str> {
        let names = self.values.keys().map(String::as_str);
        names.filter(|name| !KNOWN.contains(name))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.trim_end())
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, PropertiesError> {
        let parse = |value: &str| {
            value.parse().map_err(|_| PropertiesError::Invalid {
                name,
                value: value.to_owned(),
                wanted: "a whole number",
            })
        };
        self.get(name).map(parse).transpose()
    }

    fn count(&self, name: &'static str) -> Result<Option<usize>, PropertiesError> {
        let number = self.number(name)?;
        Ok(number.map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
    }

    fn millis(&self, name: &'static str) -> Result<Option<Duration>, PropertiesError> {
        Ok(self.number(name)?.map(Duration::from_millis))
    }

    fn start(&self) -> Result<Option<StartAt>, PropertiesError> {
        let time = self.number(START_TIME)?;
        match (self.get(START), time) {
            (None, None) => Ok(None),
            (Some("AT_TIMESTAMP") | None, Some(seconds)) => {
                let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
                time.map(|time| Some(StartAt::Timestamp(time)))
                    .ok_or_else(|| PropertiesError::Invalid {
                        name: START_TIME,
                        value: seconds.to_string(),
                        wanted: "seconds since 1970",
                    })
            }
            (Some("TRIM_HORIZON"), _) => Ok(Some(StartAt::TrimHorizon)),
            (Some("LATEST"), _) => Ok(Some(StartAt::Latest)),
            (Some(value), _) => Err(PropertiesError::Invalid {
                name: START,
                value: value.to_owned(),
                wanted: "TRIM_HORIZON, LATEST, or AT_TIMESTAMP with `initialPositionInStreamExtended`",
            }),
        }
    }

    /// Returns the consumer's name for enhanced fan-out; `None` for polling.
    fn fan_out(&self, app: &str) -> Result<Option<String>, PropertiesError> {
        match self.get(RETRIEVAL) {
            Some("FANOUT") => Ok(Some(self.get(CONSUMER).unwrap_or(app).to_owned())),
            // KCL's default tries fan-out first. Polling costs nothing and needs no extra rights, so it is our default.
            None | Some("POLLING" | "DEFAULT") => Ok(None),
            Some(value) => Err(PropertiesError::Invalid {
                name: RETRIEVAL,
                value: value.to_owned(),
                wanted: "POLLING, FANOUT or DEFAULT",
            }),
        }
    }

    fn builder<R>(&self, stream: &KinesisStream<R>) -> Result<WorkerBuilder<R>, PropertiesError> {
        let app = self.get(APPLICATION);
        let app = app.ok_or(PropertiesError::Missing { name: APPLICATION })?;
        let mut worker = stream.worker(app);
        if let Some(id) = self.get(WORKER) {
            worker = worker.id(id);
        }
        if let Some(start) = self.start()? {
            worker = worker.start(start);
        }
        if let Some(time) = self.millis(FAILOVER)? {
            worker = worker.failover(time).hand_over_max(3 * time);
        }
        if let Some(interval) = self.millis(POLL_INTERVAL)? {
            worker = worker.poll_interval(interval);
        }
        if let Some(records) = self.count(RECORDS_MAX)? {
            worker = worker.batch_records_max(records);
        }
        if let Some(leases) = self.count(LEASES_MAX)? {
            worker = worker.leases_max(leases);
        }
        if let Some(time) = self.millis(STOP_MAX)? {
            worker = worker.stop_max(time);
        }
        if let Some(consumer) = self.fan_out(app)? {
            worker = worker.fan_out(consumer);
        }
        Ok(worker)
    }
}

impl<R> KinesisStream<R> {
    /// Returns a worker to be set up, with the settings of a `.properties` file of KCL's `MultiLangDaemon`. It still
    /// needs a lease store.
    ///
    /// Settings without a meaning here, such as `executableName`, are listed in one warning in the log.
    ///
    /// # Errors
    /// [`PropertiesError`]: the file cannot be read, has no `applicationName`, is for another stream, or has an invalid
    /// value.
    pub fn worker_from_properties(
        &self,
        path: impl AsRef<Path>,
    ) -> Result<WorkerBuilder<R>, PropertiesError> {
        let properties = WorkerProperties::load(path)?;
        let stream = self.target.stream.to_string();
        // An ARN ends with the stream's name.
        let is_other = |found: &&str| stream != *found && !stream.ends_with(&format!("/{found}"));
        if let Some(found) = properties.stream_name().filter(is_other) {
            let found = found.to_owned();
            return Err(PropertiesError::OtherStream { found, stream });
        }
        let ignored: Vec<_> = properties.without_meaning().collect();
        if !ignored.is_empty() {
            tracing::warn!(settings = %ignored.join(", "), "settings without a meaning here");
        }
        properties.builder(self)
    }
}

/// Whether a line ends with an odd number of backslashes, so that the next line belongs to it.
fn is_continued(line: &str) -> bool {
    let backslashes = line.len() - line.trim_end_matches('\\').len();
    backslashes % 2 == 1
}

/// Returns the name and the value of a line; `None` if an escape is incomplete.
fn pair(line: &str) -> Option<(String, String)> {
    let mut is_escaped = false;
    let end = line.find(|c: char| {
        let ends = !is_escaped && (c == '=' || c == ':' || c.is_ascii_whitespace());
        is_escaped = !is_escaped && c == '\\';
        ends
    });
    let (name, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
    Some((unescaped(name)?, unescaped(value)?))
}

fn unescaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits = chars.as_str().get(..4)?;
                let code = u32::from_str_radix(digits, 16).ok()?;
                // `None` means half of a surrogate pair. Java allows it, but no setting has it.
                out.push(char::from_u32(code)?);
                chars = chars.as_str()[4..].chars();
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests;
