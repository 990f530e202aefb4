//! Errors of calls that could not be signed: those that pass, and those that do not.
//!
//! Most sources of credentials are services. One that is slow or fails for a moment is worth a retry.

use std::{error::Error, fmt};

use aws_credential_types::provider::error::CredentialsError;

use super::error::cause;

/// The advice for a user without credentials.
const HELP: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where a role gives \
     credentials";

/// The begin of the message of the SDK's credentials cache after a source took too long. The error's type is private
/// to the SDK.
const CACHE_TIMED_OUT: &str = "identity resolver timed out";

/// The reason why there are no credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// No source has any.
    Missing,
    /// The configuration of a source is wrong.
    Misconfigured,
    /// A source failed or took too long.
    Unavailable,
}

impl Credentials {
    /// Returns the reason if a call failed for want of credentials; `None` if it failed otherwise.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        match cause::<CredentialsError>(error) {
            Some(error) => Some(Self::why(error)),
            None => has_cache_timed_out(error).then_some(Self::Unavailable),
        }
    }

    /// Sorts an error of a source of credentials.
    pub(super) fn why(error: &CredentialsError) -> Self {
        match error {
            CredentialsError::CredentialsNotLoaded(_) => Self::Missing,
            CredentialsError::InvalidConfiguration(_) => Self::Misconfigured,
            _ => Self::Unavailable,
        }
    }

    /// Returns the reason by the error of a source, if there was one.
    pub(super) fn of_source(source: Option<&(dyn Error + Send + Sync + 'static)>) -> Self {
        source.map_or(Self::Missing, |_| Self::Misconfigured)
    }

    /// Whether there may be credentials later without a change on the user's side.
    pub(crate) fn may_pass(self) -> bool {
        self == Self::Unavailable
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "no AWS credentials: {HELP}"),
            Self::Misconfigured => write!(
                f,
                "the configuration of the AWS credentials is wrong: correct the profile or the variables that name \
                 their source, or {HELP}"
            ),
            Self::Unavailable => f.write_str(
                "the source of the AWS credentials failed: try again later, or check that it can be reached",
            ),
        }
    }
}

/// Returns the message of a source of credentials that failed.
pub(super) fn reason(error: &(dyn Error + 'static)) -> Option<String> {
    let Some(error) = cause::<CredentialsError>(error) else {
        return innermost(error);
    };
    match error {
        CredentialsError::ProviderTimedOut(_) => Some(error.to_string()),
        error => Some(error.source()?.to_string()),
    }
}

fn innermost(error: &(dyn Error + 'static)) -> Option<String> {
    let last = std::iter::successors(error.source(), |&error| error.source()).last();
    last.map(ToString::to_string)
}

fn has_cache_timed_out(error: &(dyn Error + 'static)) -> bool {
    let mut chain = std::iter::successors(Some(error), |&error| error.source());
    chain.any(|error| error.to_string().starts_with(CACHE_TIMED_OUT))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::{Duration, SystemTime},
    };

    use aws_credential_types::{
        Credentials as Keys,
        provider::{ProvideCredentials, future},
    };
    use aws_sdk_kinesis::{Client, config::IdentityCache};

    use super::*;
    use crate::{
        EncodedRecord, PartitionKey,
        service::{
            ErrorClass, Kinesis as _, ListStreams, PutRecords, ServiceError,
            aws::{AwsKinesis, stub},
        },
    };

    pub(crate) type Failure = fn() -> CredentialsError;

    /// A source of credentials that fails a given number of times before each answer.
    #[derive(Clone, Debug)]
    pub(crate) struct Flaky {
        failures: Arc<AtomicUsize>,
        failure: Failure,
    }

    impl Flaky {
        pub(crate) fn new(failure: Failure) -> Self {
            Self {
                failures: Arc::default(),
                failure,
            }
        }

        pub(crate) fn fail(&self, times: usize) {
            self.failures.store(times, Ordering::SeqCst);
        }

        fn provide(&self) -> Result<Keys, CredentialsError> {
            let failures = &self.failures;
            let less = |left: usize| left.checked_sub(1);
            match failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
                Ok(_) => Err((self.failure)()),
                // They have expired, so that each call asks again.
                Err(_) => Ok(Keys::new(
                    "id",
                    "secret",
                    None,
                    Some(SystemTime::UNIX_EPOCH),
                    "test",
                )),
            }
        }
    }

    impl ProvideCredentials for Flaky {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(self.provide())
        }
    }

    /// A source that never answers.
    #[derive(Debug)]
    struct Silent;

    impl ProvideCredentials for Silent {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(std::future::pending())
        }
    }

    async fn failures(aws: &AwsKinesis) -> [ServiceError; 2] {
        let record = EncodedRecord::new(PartitionKey::known("k"), bytes::Bytes::new());
        let put = PutRecords::new("s".into(), vec![record]);
        [
            aws.list_streams(ListStreams::new()).await.unwrap_err(),
            aws.put_records(put).await.unwrap_err(),
        ]
    }

    #[tokio::test]
    async fn a_source_that_fails_may_recover_and_a_wrong_configuration_may_not() {
        let cases: [(Failure, ErrorClass, &str); 5] = [
            (
                || CredentialsError::not_loaded("nothing"),
                ErrorClass::AccessDenied,
                "set AWS_ACCESS_KEY_ID",
            ),
            (
                || CredentialsError::invalid_configuration("a loop"),
                ErrorClass::AccessDenied,
                "correct the profile",
            ),
            (
                || CredentialsError::provider_error("503"),
                ErrorClass::Transient,
                "the source of the AWS credentials failed",
            ),
            (
                || CredentialsError::provider_timed_out(Duration::from_secs(5)),
                ErrorClass::Transient,
                "try again later",
            ),
            (
                || CredentialsError::unhandled("not UTF-8"),
                ErrorClass::Transient,
                "try again later",
            ),
        ];
        for (failure, class, words) in cases {
            let source = Flaky::new(failure);
            source.fail(usize::MAX);
            let config = stub::config("http://127.0.0.1:9").credentials_provider(source);
            let aws = AwsKinesis::new(&Client::from_conf(config.build()));
            for error in failures(&aws).await {
                assert_eq!(error.class, class, "{error:?}");
                assert_eq!(error.awaits_credentials(), class == ErrorClass::Transient);
                assert!(!error.may_have_been_done && error.code.is_none());
                assert!(error.to_string().contains(words), "{error}");
                let said = failure();
                let said = said.source().map_or(said.to_string(), ToString::to_string);
                assert_eq!(error.source().unwrap().to_string(), said);
            }
        }
    }

    #[tokio::test]
    async fn a_source_that_says_nothing_may_recover() {
        let cache = IdentityCache::lazy().load_timeout(Duration::from_millis(20));
        let config = stub::config("http://127.0.0.1:9")
            .credentials_provider(Silent)
            .identity_cache(cache.build());
        let aws = AwsKinesis::new(&Client::from_conf(config.build()));
        for error in failures(&aws).await {
            assert!(error.awaits_credentials(), "{error:?}");
            assert_eq!(error.class, ErrorClass::Transient);
            let source = error.source().unwrap().to_string();
            assert!(source.contains("timed out"), "{source}");
        }
    }

    #[cfg(feature = "local-server")]
    #[tokio::test]
    async fn puts_and_readers_outlast_a_source_that_fails_for_a_moment() {
        use crate::{KinesisStream, LocalKinesis, StartAt};

        let local = LocalKinesis::start().await.unwrap();
        let _made = local.stream::<bytes::Bytes>("s", 1).await.unwrap();
        let server = local.serve("127.0.0.1:0").await.unwrap();
        let source = Flaky::new(|| CredentialsError::provider_error("503"));
        let config = server.kinesis_config().credentials_provider(source.clone());
        let client = Client::from_conf(config.build());
        let stream = KinesisStream::<bytes::Bytes>::with_client(client, "s");
        for is_pushed in [false, true] {
            source.fail(2);
            let reader = stream.reader().start(StartAt::Latest);
            let reader = if is_pushed {
                reader.fan_out("c")
            } else {
                reader
            };
            let mut records = reader.open().await.expect("opening tries on");
            source.fail(2);
            let receipt = stream.put(&bytes::Bytes::from("one")).await.unwrap();
            assert_eq!(receipt.attempts, 1, "it was sent once");
            source.fail(2);
            let record = records.next().await.unwrap().expect("the reader tries on");
            assert_eq!(record.position(), &receipt.position());
        }
    }

    #[cfg(feature = "local-server")]
    #[tokio::test]
    async fn missing_credentials_end_puts_and_readers_at_once() {
        use crate::{KinesisStream, LocalKinesis};

        let local = LocalKinesis::start().await.unwrap();
        let server = local.serve("127.0.0.1:0").await.unwrap();
        let source = Flaky::new(CredentialsError::not_loaded_no_source);
        source.fail(2);
        let config = server.kinesis_config().credentials_provider(source.clone());
        let client = Client::from_conf(config.build());
        let stream = KinesisStream::<bytes::Bytes>::with_client(client, "s");
        let put = stream.put(&bytes::Bytes::from("one")).await.unwrap_err();
        assert!(!put.is_retryable(), "{put}");
        let read = stream.reader().open().await.unwrap_err();
        assert!(!read.is_retryable(), "{read}");
    }
}
