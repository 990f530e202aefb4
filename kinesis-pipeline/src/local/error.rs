use super::api_error::ApiError;

/// What the embedded Kinesis could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A setting of the builder makes no sense.
    #[error("the embedded Kinesis cannot start: {reason}")]
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
}

impl LocalError {
    pub(crate) fn refused(error: ApiError) -> Self {
        Self::Refused {
            code: error.code,
            message: error.message,
        }
    }
}
