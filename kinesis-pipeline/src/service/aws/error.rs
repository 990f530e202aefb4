use std::error::Error;

use aws_sdk_kinesis::{
    error::{ConnectorError, ProvideErrorMetadata, SdkError},
    operation::RequestId,
};

use super::{
    AwsKinesis,
    credentials::{self, Credentials},
};
use crate::service::{ErrorClass, ServiceError};

type BoxError = Box<dyn Error + Send + Sync>;

impl AwsKinesis {
    /// Converts an error of the SDK to the seam's.
    #[cold]
    pub(super) fn failed<E>(&self, operation: &'static str, error: SdkError<E>) -> ServiceError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let site = Site {
            endpoint: &self.endpoint,
            service: "Kinesis",
        };
        site.failed(operation, error)
    }

    /// Makes the error for an answer that lacks something that the API promises.
    #[cold]
    pub(super) fn malformed(&self, operation: &'static str, what: &str) -> ServiceError {
        let message = format!("the answer is not one of Kinesis: {what}");
        let mut error =
            ServiceError::unanswered(operation, &self.endpoint, ErrorClass::Other, message);
        error.may_have_been_done = true;
        error
    }
}

/// The service that a failed call was made to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    pub(crate) endpoint: &'a str,
    /// The service's name, for messages.
    pub(crate) service: &'static str,
}

impl Site<'_> {
    /// Converts an error of the SDK to the seam's.
    #[cold]
    pub(crate) fn failed<E>(self, operation: &'static str, error: SdkError<E>) -> ServiceError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let request_id = error.request_id().map(str::to_owned);
        let mut failed = self.sorted(operation, error);
        failed.request_id = request_id;
        failed
    }

    fn sorted<E>(self, operation: &'static str, error: SdkError<E>) -> ServiceError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        if let Some(credentials) = Credentials::of(&error) {
            return self.without_credentials(operation, credentials, &error);
        }
        match error {
            SdkError::ServiceError(context) => {
                let status = context.raw().status().as_u16();
                self.answered(
                    operation,
                    status,
                    context.err().code(),
                    context.err().message(),
                )
            }
            SdkError::ResponseError(context) if !context.raw().status().is_success() => {
                self.answered(operation, context.raw().status().as_u16(), None, None)
            }
            SdkError::ResponseError(_) | SdkError::TimeoutError(_) => {
                let mut failed = self.unanswered(operation, "no complete answer came");
                failed.may_have_been_done = true;
                failed.with_source(inner(error))
            }
            SdkError::DispatchFailure(_) => self.not_dispatched(operation, inner(error)),
            _ => ServiceError::unanswered(
                operation,
                self.endpoint,
                ErrorClass::Invalid,
                "the request cannot be made",
            )
            .with_source(inner(error)),
        }
    }

    fn answered(
        self,
        operation: &'static str,
        status: u16,
        code: Option<&str>,
        message: Option<&str>,
    ) -> ServiceError {
        let Some(code) = code else {
            return self.answered_without_code(operation, status);
        };
        let mut message = message.unwrap_or_default().to_owned();
        if let Some(hint) = hint(code) {
            message = format!("{message} ({hint})");
        }
        let mut error = ServiceError::answered(operation, self.endpoint, code, message);
        if error.class == ErrorClass::Other {
            error.class = class_of_status(status);
        }
        error
    }

    /// Makes the error of an answer without a code, as proxies, load balancers and foreign servers give it.
    fn answered_without_code(self, operation: &'static str, status: u16) -> ServiceError {
        let message = format!(
            "HTTP status {status} without an error code: is this {}?",
            self.service
        );
        let class = class_of_status(status);
        let mut error = ServiceError::unanswered(operation, self.endpoint, class, message);
        // A gateway may give up on a request that the service behind it still carries out.
        error.may_have_been_done = class == ErrorClass::Transient;
        error
    }

    fn without_credentials(
        self,
        operation: &'static str,
        credentials: Credentials,
        error: &(dyn Error + 'static),
    ) -> ServiceError {
        let (endpoint, message) = (self.endpoint, credentials.to_string());
        let failed = if credentials.may_pass() {
            ServiceError::unsigned(operation, endpoint, message)
        } else {
            ServiceError::unanswered(operation, endpoint, ErrorClass::AccessDenied, message)
        };
        match credentials::reason(error) {
            Some(reason) => failed.with_source(reason),
            None => failed,
        }
    }

    fn not_dispatched(self, operation: &'static str, source: BoxError) -> ServiceError {
        let (class, message, sent) = match Dispatch::of(source.as_ref()) {
            Dispatch::NotConnected => (ErrorClass::Transient, "could not connect", false),
            Dispatch::Invalid => (ErrorClass::Invalid, "the request cannot be made", false),
            Dispatch::Lost => (ErrorClass::Transient, "the connection was lost", true),
            Dispatch::Unknown => (ErrorClass::Other, "the request was not completed", true),
        };
        let mut error = ServiceError::unanswered(operation, self.endpoint, class, message);
        error.may_have_been_done = sent;
        error.with_source(match source.downcast::<ConnectorError>() {
            Ok(connector) => connector.into_source(),
            Err(source) => source,
        })
    }

    fn unanswered(self, operation: &'static str, message: &str) -> ServiceError {
        ServiceError::unanswered(operation, self.endpoint, ErrorClass::Transient, message)
    }
}

/// The progress of a request that got no answer.
#[derive(Debug, PartialEq, Eq)]
enum Dispatch {
    /// No connection could be made: nothing was sent.
    NotConnected,
    /// The request cannot be made, for instance because its URL has no host.
    Invalid,
    /// It was sent, wholly or in part.
    Lost,
    /// The HTTP client does not say.
    Unknown,
}

impl Dispatch {
    fn of(error: &(dyn Error + 'static)) -> Self {
        let hyper = cause::<hyper_util::client::legacy::Error>(error);
        if hyper.is_some_and(hyper_util::client::legacy::Error::is_connect) {
            return Self::NotConnected;
        }
        match cause::<ConnectorError>(error) {
            Some(error) if error.is_user() => Self::Invalid,
            Some(error) if error.is_io() || error.is_timeout() || error.as_other().is_some() => {
                Self::Lost
            }
            _ if hyper.is_some() => Self::Lost,
            _ => Self::Unknown,
        }
    }
}

fn class_of_status(status: u16) -> ErrorClass {
    match status {
        401 | 403 => ErrorClass::AccessDenied,
        408 | 500.. => ErrorClass::Transient,
        429 => ErrorClass::Throttled,
        400 | 413 => ErrorClass::Invalid,
        _ => ErrorClass::Other,
    }
}

fn hint(code: &str) -> Option<&'static str> {
    match code {
        "ExpiredToken" | "ExpiredTokenException" => Some("renew the session's credentials"),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch" => Some(
            "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or AWS_PROFILE",
        ),
        "RequestExpired" | "RequestExpiredException" | "RequestTimeTooSkewed" => {
            Some("set this machine's clock")
        }
        _ => None,
    }
}

/// Returns the cause of an SDK error, without the layer that only sorts it.
fn inner<E: Error + Send + Sync + 'static>(error: SdkError<E>) -> BoxError {
    error.into_source().unwrap_or_else(Into::into)
}

/// Finds the first cause of a type in an error's chain.
pub(super) fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError, future};
    use aws_sdk_kinesis::Client;

    use super::*;
    use crate::service::{
        Kinesis, ListStreams,
        aws::stub::{self, Answer, Stub},
    };

    #[derive(Debug)]
    struct Nothing;

    impl ProvideCredentials for Nothing {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("nothing is set")))
        }
    }

    async fn failure(aws: &AwsKinesis) -> ServiceError {
        aws.list_streams(ListStreams::new()).await.unwrap_err()
    }

    #[tokio::test]
    async fn an_answered_error_has_code_words_endpoint_and_request_id() {
        let stub = Stub::answering(
            400,
            r#"{"__type":"com.amazonaws.kinesis.v20131202#ResourceNotFoundException","message":"no s"}"#,
        )
        .await;
        let error = failure(&stub.aws()).await;
        assert_eq!(error.class, ErrorClass::NotFound);
        assert_eq!(error.code.as_deref(), Some("ResourceNotFoundException"));
        assert_eq!(error.request_id.as_deref(), Some("request-1"));
        assert!(!error.may_have_been_done);
        let text = format!(
            "ListStreams at {} failed with ResourceNotFoundException: no s (request request-1)",
            stub.endpoint()
        );
        assert_eq!(error.to_string(), text);
    }

    #[tokio::test]
    async fn codes_and_statuses_are_classed() {
        let table = [
            (
                400,
                r#"{"__type":"ProvisionedThroughputExceededException"}"#,
                ErrorClass::Throttled,
            ),
            (
                400,
                r#"{"__type":"KMSThrottlingException"}"#,
                ErrorClass::Throttled,
            ),
            (
                400,
                r#"{"__type":"KMSDisabledException"}"#,
                ErrorClass::AccessDenied,
            ),
            (
                400,
                r#"{"__type":"ExpiredIteratorException"}"#,
                ErrorClass::IteratorExpired,
            ),
            (
                400,
                r#"{"__type":"ExpiredTokenException"}"#,
                ErrorClass::Transient,
            ),
            (
                500,
                r#"{"__type":"InternalFailure"}"#,
                ErrorClass::Transient,
            ),
            (500, r#"{"__type":"NewFault"}"#, ErrorClass::Transient),
            (400, r#"{"__type":"NewRefusal"}"#, ErrorClass::Invalid),
            (503, "<html>", ErrorClass::Transient),
            (429, "", ErrorClass::Throttled),
            (403, "", ErrorClass::AccessDenied),
            (404, "not here", ErrorClass::Other),
        ];
        for (status, body, class) in table {
            let stub = Stub::answering(status, body).await;
            let error = failure(&stub.aws()).await;
            assert_eq!(error.class, class, "{status} {body} {error}");
            assert_eq!(error.may_have_been_done, body == "<html>", "{error}");
        }
    }

    #[tokio::test]
    async fn a_port_where_nothing_listens_is_transient_and_nothing_was_done() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = failure(&stub::aws_at(&endpoint)).await;
        assert_eq!(error.class, ErrorClass::Transient);
        assert!(!error.may_have_been_done);
        assert_eq!(
            error.to_string(),
            format!("ListStreams at {endpoint} failed: could not connect")
        );
        assert!(cause::<std::io::Error>(&error).is_some());
    }

    #[tokio::test]
    async fn a_lost_answer_is_transient_and_the_call_may_have_been_done() {
        for answer in [
            Answer::Hangup,
            Answer::Silence,
            Answer::Http(200, "{\"StreamNames\":"),
        ] {
            let stub = Stub::start(answer).await;
            let error = failure(&stub.aws()).await;
            assert_eq!(error.class, ErrorClass::Transient, "{error:?}");
            assert!(error.may_have_been_done, "{error:?}");
            assert!(error.source().is_some());
        }
    }

    #[tokio::test]
    async fn a_client_without_credentials_says_what_to_set() {
        let config = stub::config("http://127.0.0.1:9").credentials_provider(Nothing);
        let error = failure(&AwsKinesis::new(&Client::from_conf(config.build()))).await;
        assert_eq!(error.class, ErrorClass::AccessDenied, "{error:?}");
        assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
        assert!(!error.may_have_been_done);
    }

    #[tokio::test]
    async fn a_request_that_the_sdk_cannot_make_is_not_worth_a_retry() {
        let error = failure(&stub::aws_at("not a url")).await;
        assert!(!error.is_retryable(), "{error:?}");
        assert!(error.source().unwrap().to_string().contains("not a url"));
    }
}
