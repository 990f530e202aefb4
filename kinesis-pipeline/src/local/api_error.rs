//! The errors of the service's answers.

/// An error of the service: its code, its message, and its HTTP status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(super) struct ApiError {
    /// The error type of the API reference, without a namespace: `ResourceNotFoundException`.
    pub(super) code: &'static str,
    /// The service's words.
    pub(super) message: String,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $code:literal;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(message: impl Into<String>) -> Self {
            Self { code: $code, message: message.into() }
        })*
    };
}

impl ApiError {
    constructors! {
        /// A member breaks a constraint of the model.
        validation => "ValidationException";
        /// The request's members have wrong types.
        serialization => "SerializationException";
        /// A member is well formed but not valid here.
        invalid_argument => "InvalidArgumentException";
        /// The stream, shard or consumer does not exist.
        not_found => "ResourceNotFoundException";
        /// The stream or consumer is in a state that forbids the call.
        in_use => "ResourceInUseException";
        /// A limit of the account is reached.
        limit_exceeded => "LimitExceededException";
        /// A shard's rate is used up.
        throughput_exceeded => "ProvisionedThroughputExceededException";
        /// The iterator is older than 5 minutes.
        expired_iterator => "ExpiredIteratorException";
        /// The token is older than 5 minutes.
        expired_token => "ExpiredNextTokenException";
        /// The caller may not do this.
        access_denied => "AccessDeniedException";
        /// A passing fault of the service.
        internal_failure => "InternalFailureException";
        /// The embedded Kinesis leaves an operation of the API out.
        unknown_operation => "UnknownOperationException";
        /// The request asks for its checks alone, and has passed them.
        dry_run => "DryRunOperationException";
    }

    /// Returns the answer to a name that is no operation of the API: a code without words, as on the service.
    pub(super) fn no_operation() -> Self {
        Self::unknown_operation("")
    }

    /// Returns the answer to a request that asked for its checks alone, once it has passed them.
    pub(super) fn dry_run_passed() -> Self {
        Self::dry_run("The request would have succeeded, but DryRun is set.")
    }

    /// Returns the HTTP status of the answer: 500 for a fault of the service, 400 for everything else.
    pub(super) fn http_status(&self) -> u16 {
        match self.code {
            "InternalFailureException" | "InternalFailure" => 500,
            "ServiceUnavailable" => 503,
            _ => 400,
        }
    }
}

/// A failed call: an error, or no answer at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CallFailure {
    /// The service answers this error.
    Answered(ApiError),
    /// The call was carried out, but a fault loses the answer: the connection closes without one.
    ResponseLost,
}

impl From<ApiError> for CallFailure {
    fn from(error: ApiError) -> Self {
        Self::Answered(error)
    }
}
