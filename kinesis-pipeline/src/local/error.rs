#[cfg(feature = "local-durable")]
use std::path::{Path, PathBuf};

use super::api_error::ApiError;

/// An error of the embedded Kinesis.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A setting or a fault makes no sense.
    #[error("the embedded Kinesis cannot be set up: {reason}")]
    #[non_exhaustive]
    Settings {
        /// The mistake, and the text to write instead.
        reason: String,
    },
    /// The embedded Kinesis refused a call as the service would.
    #[error("the embedded Kinesis refused with {code}: {message}")]
    #[non_exhaustive]
    Refused {
        /// The service's error code.
        code: &'static str,
        /// The service's words.
        message: String,
    },
    /// Another process has the data directory.
    #[cfg(feature = "local-durable")]
    #[error(
        "the data directory {path} is in use: stop the process that has it, or choose another directory",
        path = path.display()
    )]
    #[non_exhaustive]
    DataDirInUse {
        /// The directory.
        path: PathBuf,
    },
    /// The data directory holds something else.
    #[cfg(feature = "local-durable")]
    #[error(
        "{path} is no data directory of the embedded Kinesis: {reason}; choose an empty or a new directory",
        path = path.display()
    )]
    #[non_exhaustive]
    DataDirForeign {
        /// The directory, or the file in it.
        path: PathBuf,
        /// The reason why it is none.
        reason: String,
    },
    /// The data directory is damaged and cannot be read any more.
    #[cfg(feature = "local-durable")]
    #[error(
        "{path} is damaged: bring it back from a copy, or remove it to begin without streams",
        path = path.display()
    )]
    #[non_exhaustive]
    DataDirDamaged {
        /// The directory, or the file in it.
        path: PathBuf,
        /// The damage that was found.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The data directory cannot be read or written: its permissions or the room on the disk forbid it.
    #[cfg(feature = "local-durable")]
    #[error("{path} cannot be used: check its permissions and the room there", path = path.display())]
    #[non_exhaustive]
    DataDirUnusable {
        /// The directory, or the file in it.
        path: PathBuf,
        /// The reason, from the system.
        source: std::io::Error,
    },
    /// The address cannot be listened on: it is in use, not of this machine, or not an address.
    #[cfg(feature = "local-server")]
    #[error("cannot listen on {address}: choose another address or stop what uses it")]
    #[non_exhaustive]
    Listen {
        /// The address that was asked for.
        address: String,
        /// The reason, from the system.
        source: std::io::Error,
    },
    /// The certificate for TLS could not be made.
    #[cfg(feature = "local-tls")]
    #[error("cannot make a certificate for TLS")]
    #[non_exhaustive]
    Certificate {
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The embedded DynamoDB did not start.
    #[cfg(feature = "local-server")]
    #[error("the embedded DynamoDB cannot start")]
    #[non_exhaustive]
    Database {
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl LocalError {
    pub(super) fn settings(reason: impl Into<String>) -> Self {
        Self::Settings {
            reason: reason.into(),
        }
    }

    #[cfg(feature = "local-durable")]
    pub(super) fn in_use(path: &Path) -> Self {
        Self::DataDirInUse {
            path: path.to_owned(),
        }
    }

    #[cfg(feature = "local-durable")]
    pub(super) fn foreign(path: &Path, reason: &str) -> Self {
        Self::DataDirForeign {
            path: path.to_owned(),
            reason: reason.to_owned(),
        }
    }

    #[cfg(feature = "local-durable")]
    pub(super) fn damaged(
        path: &Path,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::DataDirDamaged {
            path: path.to_owned(),
            source: source.into(),
        }
    }

    #[cfg(feature = "local-durable")]
    pub(super) fn unusable(path: &Path, source: std::io::Error) -> Self {
        Self::DataDirUnusable {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn refused(error: ApiError) -> Self {
        Self::Refused {
            code: error.code,
            message: error.message,
        }
    }
}
