use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

use crate::service::aws::ConnectError;

/// An error in the configuration of named streams: the file, the line and the problem.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConfigError {
    /// The file; `None` if the configuration was a text.
    pub file: Option<PathBuf>,
    /// The line, counted from 1, if it is known.
    pub line: Option<u64>,
    /// The problem.
    pub problem: ConfigProblem,
}

/// A problem of a configuration file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// The file cannot be read.
    #[error("the stream configuration cannot be read; TRITON_CONFIG names the file")]
    #[non_exhaustive]
    Unreadable {
        /// The system's error.
        source: io::Error,
    },
    /// The file is larger than 1 MiB, or not a text.
    #[error("this is not a stream configuration: {found}")]
    #[non_exhaustive]
    NotConfiguration {
        /// The type that was found instead.
        found: &'static str,
    },
    /// The text is not YAML, or not a map of streams.
    #[error("not a YAML map of streams: {message}")]
    #[non_exhaustive]
    Malformed {
        /// The parser's error.
        message: String,
    },
    /// A stream has no value for a required key.
    #[error("stream `{stream}` has no `{key}`: add `{key}: ...`")]
    #[non_exhaustive]
    MissingKey {
        /// The stream's configured name.
        stream: String,
        /// The key.
        key: &'static str,
    },
    /// A stream has an unknown key.
    #[error(
        "stream `{stream}` has an unknown key `{key}`: {}",
        advice(*.meant)
    )]
    #[non_exhaustive]
    UnknownKey {
        /// The stream's configured name.
        stream: String,
        /// The key.
        key: String,
        /// The key that was probably intended.
        meant: Option<&'static str>,
    },
    /// No stream with this name is configured.
    #[error("no stream `{stream}` is configured: {}", list(.configured))]
    #[non_exhaustive]
    UnknownStream {
        /// The requested name.
        stream: String,
        /// The configured names.
        configured: Vec<String>,
    },
    /// The stream's service cannot be reached from here.
    #[error("cannot connect to stream `{stream}`")]
    #[non_exhaustive]
    Connect {
        /// The stream's configured name.
        stream: String,
        /// The reason.
        source: ConnectError,
    },
}

fn advice(meant: Option<&'static str>) -> String {
    match meant {
        Some(key) => format!("did you mean `{key}`?"),
        None => format!("the keys are {}", super::read::KEYS.join(", ")),
    }
}

fn list(configured: &[String]) -> String {
    match configured {
        [] => "no stream is".to_owned(),
        names => format!("there are {}", names.join(", ")),
    }
}

impl ConfigError {
    pub(super) fn new(problem: ConfigProblem) -> Self {
        Self {
            file: None,
            line: None,
            problem,
        }
    }

    pub(super) fn at_line(mut self, line: u64) -> Self {
        // The parser counts lines from 1. 0 means that the line is unknown.
        self.line = (line > 0).then_some(line);
        self
    }

    pub(super) fn in_file(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{}, line {line}: ", file.display())?,
            (Some(file), None) => write!(f, "{}: ", file.display())?,
            (None, Some(line)) => write!(f, "line {line}: ")?,
            (None, None) => {}
        }
        self.problem.fmt(f)
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.problem.source()
    }
}
