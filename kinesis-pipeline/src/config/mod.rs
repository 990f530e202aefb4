//! Streams by name from a YAML file, in the format of Triton.
//!
//! ```text
//!   file or text ── read ──> NamedStream by name ── connect ──> KinesisStream<R>
//! ```

mod error;
mod named;
mod read;

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use error::{ConfigError, ConfigProblem};
pub use named::NamedStream;

use crate::stream::KinesisStream;

/// The environment variable with the path of the file.
const FILE_VARIABLE: &str = "TRITON_CONFIG";
const FILE_DEFAULT: &str = "/etc/triton.yaml";
/// The limit of the file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Named streams from a YAML file. The names are your own:
///
/// ```yaml
/// my_stream:
///   name: my_stream_v2                   # the stream's name or ARN
///   partition_key: value                 # optional: the field of untyped records that holds the key
///   region: us-west-1                    # optional: us-east-1, or that of the ARN
///   endpoint_url: http://127.0.0.1:4567  # optional
///   profile: dev                         # optional: a profile of the AWS configuration files
/// ```
///
/// The file has at most 1 MiB.
///
/// ```
/// use kinesis_pipeline::StreamConfig;
///
/// let config = StreamConfig::parse("my_stream: {name: my_stream_v2, region: us-west-1}")?;
/// assert_eq!(config.named("my_stream")?.name, "my_stream_v2");
/// assert!(config.named("your_stream").is_err());
/// # Ok::<(), kinesis_pipeline::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct StreamConfig {
    file: Option<PathBuf>,
    streams: BTreeMap<String, NamedStream>,
}

impl StreamConfig {
    /// Reads the streams of this file.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, and the line, stream and key if they are known.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let loaded = read::file(path, FILE_BYTES_MAX).and_then(|text| Self::parse(&text));
        match loaded {
            Ok(config) => Ok(Self {
                file: Some(path.to_owned()),
                ..config
            }),
            Err(error) => Err(error.in_file(path)),
        }
    }

    /// Reads the streams of the file that `TRITON_CONFIG` names, or else of `/etc/triton.yaml`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::load(env::var_os(FILE_VARIABLE).unwrap_or_else(|| FILE_DEFAULT.into()))
    }

    /// Reads the streams of this text.
    ///
    /// # Errors
    /// [`ConfigError`] names the line, stream and key if they are known.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            file: None,
            streams: read::text(text)?,
        })
    }

    /// Returns the configured names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.streams.keys().map(String::as_str)
    }

    /// Returns the settings of the stream with this name.
    ///
    /// # Errors
    /// [`ConfigProblem::UnknownStream`] lists the configured names.
    pub fn named(&self, name: &str) -> Result<&NamedStream, ConfigError> {
        self.streams.get(name).ok_or_else(|| {
            self.error(ConfigProblem::UnknownStream {
                stream: name.to_owned(),
                configured: self.names().map(str::to_owned).collect(),
            })
        })
    }

    /// Connects to the stream with this name.
    ///
    /// It looks for the credentials for up to 5 seconds, but makes no call to Kinesis. Cancel safe.
    ///
    /// # Errors
    /// [`ConfigProblem::UnknownStream`], and [`ConfigProblem::Connect`] without credentials.
    pub async fn stream<R>(&self, name: &str) -> Result<KinesisStream<R>, ConfigError> {
        let named = self.named(name)?;
        let connected = named.connect_options().connect().await;
        let service = connected.map_err(|source| {
            self.error(ConfigProblem::Connect {
                stream: name.to_owned(),
                source,
            })
        })?;
        Ok(named.on(Arc::new(service)))
    }

    fn error(&self, problem: ConfigProblem) -> ConfigError {
        let error = ConfigError::new(problem);
        match &self.file {
            Some(file) => error.in_file(file),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn a_missing_file_is_named_with_its_cause() {
        let error = StreamConfig::load("/nowhere/triton.yaml").unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/triton.yaml: "));
        assert!(matches!(error.problem, ConfigProblem::Unreadable { .. }));
        assert!(error.source().is_some());
    }

    #[tokio::test]
    async fn an_unknown_stream_lists_the_configured_names() {
        let config = StreamConfig::parse("b: {name: x}\na: {name: y}").unwrap();
        let error = config.stream::<bytes::Bytes>("c").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "no stream `c` is configured: there are a, b"
        );
        let none = StreamConfig::parse("").unwrap().named("c").unwrap_err();
        assert_eq!(
            none.to_string(),
            "no stream `c` is configured: no stream is"
        );
    }
}
