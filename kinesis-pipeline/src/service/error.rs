use std::{error::Error, fmt, sync::Arc};

/// The class of a failed call, by which a caller decides whether to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// A shard's or an account's rate is used up: retry later.
    Throttled,
    /// A passing fault of the service, of the network or of the source of the credentials, or a session that has expired
    /// and may be renewed: retry.
    Transient,
    /// The shard iterator is older than 5 minutes: ask for a new one.
    IteratorExpired,
    /// The stream, shard or consumer does not exist.
    NotFound,
    /// The stream or consumer is being created, changed or deleted, or exists already.
    InUse,
    /// A limit of the account is reached, or control calls come too fast.
    LimitExceeded,
    /// The credentials are missing, wrong or do not allow the call; or the stream's key denies it.
    AccessDenied,
    /// The request can never succeed as it is.
    Invalid,
    /// An error of no other class.
    Other,
}

impl ErrorClass {
    /// Returns the class of an error code of the Kinesis API.
    ///
    /// Codes are those of the API reference, without a namespace: `ProvisionedThroughputExceededException`,
    /// and of `PutRecords` entries: `InternalFailure`.
    #[must_use]
    pub fn of_code(code: &str) -> Self {
        match code {
            "ProvisionedThroughputExceededException"
            | "KMSThrottlingException"
            | "ThrottlingException"
            | "Throttling"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "TooManyRequestsException"
            | "SlowDown" => Self::Throttled,
            "InternalFailure"
            | "InternalFailureException"
            | "InternalServerError"
            | "ServiceUnavailable"
            | "ServiceUnavailableException"
            | "RequestTimeout"
            | "RequestTimeoutException" => Self::Transient,
            code if is_expired_session(code) => Self::Transient,
            "ExpiredIteratorException" => Self::IteratorExpired,
            "ResourceNotFoundException" => Self::NotFound,
            "ResourceInUseException" => Self::InUse,
            "LimitExceededException" => Self::LimitExceeded,
            "AccessDeniedException"
            | "AccessDenied"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "OptInRequired"
            | "RequestExpired"
            | "RequestExpiredException"
            | "RequestTimeTooSkewed"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException"
            | "KMSAccessDeniedException"
            | "KMSDisabledException"
            | "KMSInvalidStateException"
            | "KMSNotFoundException"
            | "KMSOptInRequired"
            | "InvalidKMSResourceException" => Self::AccessDenied,
            "InvalidArgumentException"
            | "ValidationException"
            | "ValidationError"
            | "InvalidParameterValue"
            | "SerializationException"
            | "UnknownOperationException" => Self::Invalid,
            _ => Self::Other,
        }
    }

    /// Whether the same call may succeed later: [`Throttled`](Self::Throttled) and
    /// [`Transient`](Self::Transient).
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Throttled | Self::Transient)
    }

    /// Whether a later call may succeed. Besides retryable errors: a stream that is being changed, a limit of control
    /// calls, an expired iterator.
    pub(crate) fn may_pass(self) -> bool {
        let is_passing = matches!(
            self,
            Self::InUse | Self::LimitExceeded | Self::IteratorExpired
        );
        self.is_retryable() || is_passing
    }

    /// Whether a call that only reads is worth another try after `failures` failures in a row. An unknown code may pass, so
    /// the call is tried a few times. (A put with such a code is not repeated: it may have been carried out.)
    pub(crate) fn may_pass_after(self, failures: u32) -> bool {
        self.may_pass() || (self == Self::Other && failures <= UNKNOWN_FAILURES_MAX)
    }
}

/// Whether a code says that the session of the credentials has expired. The source of the credentials renews a session
/// before its end, so there is a new one: the old one ended between signing and arrival, or the clock is slow.
pub(crate) fn is_expired_session(code: &str) -> bool {
    matches!(code, "ExpiredToken" | "ExpiredTokenException")
}

/// The number of failures in a row with an unknown code after which it is final.
const UNKNOWN_FAILURES_MAX: u32 = 5;

/// A call that failed as a whole.
///
/// Its text has the operation, the service's code and message, and the endpoint, but no credential and no record.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServiceError {
    /// The API's name of the call, such as `PutRecords`.
    pub operation: &'static str,
    /// The class of the failure.
    pub class: ErrorClass,
    /// The service's error code; `None` when no answer came.
    pub code: Option<String>,
    /// The service's message, or one of this library if no answer came.
    pub message: String,
    /// The endpoint of the call.
    pub endpoint: String,
    /// The service's id of the request, to give to AWS support.
    pub request_id: Option<String>,
    /// Whether the service may have carried out the call although it failed: the request was sent and no answer came.
    pub may_have_been_done: bool,
    /// Whether the call was not made because the source of the credentials failed.
    unsigned: bool,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl ServiceError {
    /// Makes the error of a call that the service answered with an error.
    #[must_use]
    pub fn answered(
        operation: &'static str,
        endpoint: impl Into<String>,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let code = code.into();
        Self {
            operation,
            class: ErrorClass::of_code(&code),
            code: Some(code),
            message: message.into(),
            endpoint: endpoint.into(),
            request_id: None,
            may_have_been_done: false,
            unsigned: false,
            source: None,
        }
    }

    /// Makes the error of a call without an answer. Set [`may_have_been_done`](Self::may_have_been_done) if the request
    /// may have arrived.
    #[must_use]
    pub fn unanswered(
        operation: &'static str,
        endpoint: impl Into<String>,
        class: ErrorClass,
        message: impl Into<String>,
    ) -> Self {
        Self {
            operation,
            class,
            code: None,
            message: message.into(),
            endpoint: endpoint.into(),
            request_id: None,
            may_have_been_done: false,
            unsigned: false,
            source: None,
        }
    }

    /// Makes the error of a call that was not made because the source of the credentials failed in a way that may pass.
    #[must_use]
    pub fn unsigned(
        operation: &'static str,
        endpoint: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let mut error = Self::unanswered(operation, endpoint, ErrorClass::Transient, message);
        error.unsigned = true;
        error
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.class.is_retryable()
    }

    /// Whether new credentials may come: their source failed for now, or the session has expired. Missing and wrong
    /// credentials are [`ErrorClass::AccessDenied`].
    #[must_use]
    pub fn awaits_credentials(&self) -> bool {
        self.unsigned || self.code.as_deref().is_some_and(is_expired_session)
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} failed", self.operation, self.endpoint)?;
        if let Some(code) = &self.code {
            write!(f, " with {code}")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

impl Error for ServiceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
