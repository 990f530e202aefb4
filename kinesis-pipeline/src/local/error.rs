use super::api_error::ApiError;

/// What the embedded Kinesis could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A setting or a fault makes no sense.
    #[error("the embedded Kinesis cannot be set up: {reason}")]
    #[non_exhaustive]
    Settings {
        /// What is wrong, and what to write instead.
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
    /// Nothing can listen on the address: it is in use, not of this machine, or not an address.
    #[cfg(feature = "local-server")]
    #[error("cannot listen on {address}: choose another address or stop what uses it")]
    #[non_exhaustive]
    Listen {
        /// The address that was asked for.
        address: String,
        /// The reason, from the system.
        source: std::io::Error,
    },
    /// No certificate could be made for TLS.
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
    pub(crate) fn settings(reason: impl Into<String>) -> Self {
        Self::Settings {
            reason: reason.into(),
        }
    }

    pub(crate) fn refused(error: ApiError) -> Self {
        Self::Refused {
            code: error.code,
            message: error.message,
        }
    }
}
