use std::{sync::Arc, time::Duration};

use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError};
use aws_sdk_kinesis::{
    Client,
    config::{HttpClient, IntoShared as _, SharedHttpClient},
};

use super::{AwsKinesis, credentials::Credentials};
use crate::{service::StreamId, stream::KinesisStream};

/// How long the environment may take to give a region and then credentials. The SDK gives up on credentials
/// after the same time at each call.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// A source of credentials that failed is asked again after this time.
const RESOLVE_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// How to reach Amazon Kinesis; what is not set comes from the environment, as for every AWS tool:
/// environment variables, the profile files, the role of the container or machine.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use kinesis_pipeline::service::aws::ConnectOptions;
///
/// let service = ConnectOptions::new()
///     .region("eu-west-1")
///     .endpoint_url("http://127.0.0.1:4567")
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    region: Option<String>,
    endpoint_url: Option<String>,
    profile: Option<String>,
    http_client: Option<SharedHttpClient>,
}

impl ConnectOptions {
    /// Everything from the environment.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything from the environment, except the region of a stream that goes by its ARN.
    ///
    /// # Errors
    /// [`ConnectError::InvalidArn`].
    pub fn for_stream(stream: &StreamId) -> Result<Self, ConnectError> {
        let region = region_of(stream)?;
        Ok(Self {
            region,
            ..Self::default()
        })
    }

    /// The region, such as `eu-west-1`; from the environment by default.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// The URL of the service; from the environment (`AWS_ENDPOINT_URL_KINESIS`, `AWS_ENDPOINT_URL`) or else
    /// that of the region by default.
    #[must_use]
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// The profile of the AWS configuration files; from `AWS_PROFILE` or else `default` by default.
    #[must_use]
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = Some(profile.into());
        self
    }

    /// The HTTP client of all calls, those for credentials too; the SDK's own of the feature `https` by default. It
    /// decides on TLS, proxies and certificates: the crate `aws-smithy-http-client` builds some, and the trait is for
    /// one of yours.
    ///
    /// Without the feature `https` there is no other, and no TLS library in the program.
    #[must_use]
    pub fn http_client(mut self, client: impl HttpClient + 'static) -> Self {
        self.http_client = Some(client.into_shared());
        self
    }

    /// Finds region and credentials, each within 5 seconds. It makes no call to Kinesis.
    ///
    /// Cancel safe: nothing is kept.
    ///
    /// # Errors
    /// [`ConnectError`]: there is no region, or there are no credentials, or there is no HTTP client.
    pub async fn connect(self) -> Result<AwsKinesis, ConnectError> {
        let config = self.load().await?;
        Ok(AwsKinesis::new(&Client::new(&config)))
    }

    /// The settings that the client of every service is made from.
    pub(crate) async fn load(self) -> Result<SdkConfig, ConnectError> {
        if let Some(url) = self.endpoint_url.as_deref().filter(|url| !is_http(url)) {
            let url = url.to_owned();
            return Err(ConnectError::InvalidEndpointUrl { url });
        }
        if self.http_client.is_none() && !cfg!(feature = "https") {
            return Err(ConnectError::MissingHttpClient);
        }
        let config = tokio::time::timeout(RESOLVE_TIMEOUT, self.loader().load())
            .await
            .map_err(|_| ConnectError::MissingRegion)?;
        if config.region().is_none() {
            return Err(ConnectError::MissingRegion);
        }
        check_credentials(&config).await?;
        Ok(config)
    }

    fn loader(self) -> ConfigLoader {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = self.region {
            loader = loader.region(Region::new(region));
        }
        if let Some(url) = self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(client) = self.http_client {
            loader = loader.http_client(client);
        }
        match self.profile {
            Some(profile) => loader.profile_name(profile),
            None => loader,
        }
    }
}

fn is_http(url: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        url.strip_prefix(scheme)
            .is_some_and(|rest| !rest.is_empty())
    })
}

async fn check_credentials(config: &SdkConfig) -> Result<(), ConnectError> {
    let Some(provider) = config.credentials_provider() else {
        let error = CredentialsError::not_loaded_no_source();
        return Err(ConnectError::without_credentials(error));
    };
    let mut last = None;
    let found = tokio::time::timeout(RESOLVE_TIMEOUT, async {
        loop {
            match provider.provide_credentials().await {
                Err(error) if Credentials::why(&error).may_pass() => last = Some(error),
                Err(error) => return Err(error),
                Ok(_) => return Ok(()),
            }
            tokio::time::sleep(RESOLVE_AGAIN_AFTER).await;
        }
    });
    let timed_out = || CredentialsError::provider_timed_out(RESOLVE_TIMEOUT);
    match found.await {
        Ok(found) => found.map_err(ConnectError::without_credentials),
        Err(_) => Err(ConnectError::without_credentials(
            last.unwrap_or_else(timed_out),
        )),
    }
}

/// Why a stream on AWS cannot be reached from here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nothing names a region.
    #[error(
        "no AWS region: set AWS_REGION, or `region` in the AWS profile, or name the stream by its ARN"
    )]
    MissingRegion,
    /// No credentials were found, or the configuration of their source is wrong.
    #[error("{}", Credentials::of_source(source.as_deref()))]
    #[non_exhaustive]
    Credentials {
        /// What a source of credentials said that should have had some.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The source of the credentials failed, and did again until the time was over.
    #[error("{}", Credentials::Unavailable)]
    #[non_exhaustive]
    CredentialsUnavailable {
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no HTTP client: the library was built without its feature `https`, and was given none.
    #[error(
        "no HTTP client: turn on the feature `https` of kinesis-pipeline, or pass one to `ConnectOptions::http_client`"
    )]
    MissingHttpClient,
    /// The endpoint is not a URL.
    #[error("`{url}` is not an endpoint: write a URL such as `http://127.0.0.1:4567`")]
    #[non_exhaustive]
    InvalidEndpointUrl {
        /// What was given.
        url: String,
    },
    /// The ARN is not that of a stream.
    #[error(
        "`{arn}` is not the ARN of a stream: write `arn:aws:kinesis:REGION:ACCOUNT:stream/NAME`"
    )]
    #[non_exhaustive]
    InvalidArn {
        /// What was given.
        arn: String,
    },
    /// The ARN is not that of a Firehose stream.
    #[error(
        "`{arn}` is not the ARN of a Firehose stream: write `arn:aws:firehose:REGION:ACCOUNT:deliverystream/NAME`"
    )]
    #[non_exhaustive]
    InvalidFirehoseArn {
        /// The text that was given.
        arn: String,
    },
}

impl ConnectError {
    fn without_credentials(error: CredentialsError) -> Self {
        match Credentials::why(&error) {
            Credentials::Missing => Self::Credentials { source: None },
            Credentials::Misconfigured => Self::Credentials {
                source: Some(error.into()),
            },
            Credentials::Unavailable => Self::CredentialsUnavailable {
                source: error.into(),
            },
        }
    }

    /// Whether the same call may succeed later without a change on your side.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::CredentialsUnavailable { .. })
    }
}

impl<R> KinesisStream<R> {
    /// A stream on AWS, by name or ARN: credentials and region come from the environment, as for every AWS
    /// tool, the region of an ARN from the ARN.
    ///
    /// It finds the credentials, within 5 seconds, but makes no call to Kinesis: whether the stream exists
    /// shows at the first put or read. Cancel safe.
    ///
    /// # Errors
    /// [`ConnectError`]: there is no region, or there are no credentials.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use kinesis_pipeline::KinesisStream;
    ///
    /// let stream = KinesisStream::<bytes::Bytes>::connect("readings").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(stream: impl Into<StreamId>) -> Result<Self, ConnectError> {
        let stream = stream.into();
        let service = ConnectOptions::for_stream(&stream)?.connect().await?;
        Ok(Self::with_service(Arc::new(service), stream))
    }

    /// A stream behind a client of yours, by name or ARN. No call is made.
    ///
    /// The client's configuration is kept, except that retries are off and absent time-outs are set: see
    /// [`AwsKinesis`].
    ///
    /// ```no_run
    /// # async fn example() {
    /// use kinesis_pipeline::KinesisStream;
    ///
    /// let config = aws_config::load_from_env().await;
    /// let client = aws_sdk_kinesis::Client::new(&config);
    /// let stream = KinesisStream::<bytes::Bytes>::with_client(client, "readings");
    /// # }
    /// ```
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers hand their client over"
    )]
    pub fn with_client(client: Client, stream: impl Into<StreamId>) -> Self {
        Self::with_service(Arc::new(AwsKinesis::new(&client)), stream)
    }
}

/// The region in an ARN (`arn:partition:kinesis:region:account:stream/name`); `None` for a name.
fn region_of(stream: &StreamId) -> Result<Option<String>, ConnectError> {
    let Some(arn) = stream.arn() else {
        return Ok(None);
    };
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    match parts[..] {
        [_, _, "kinesis", region, _, resource]
            if !region.is_empty() && resource.starts_with("stream/") =>
        {
            Ok(Some(region.to_owned()))
        }
        _ => Err(ConnectError::InvalidArn {
            arn: arn.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use aws_credential_types::provider::SharedCredentialsProvider;

    use super::*;
    use crate::service::aws::credentials::tests::{Failure, Flaky};

    #[test]
    fn the_region_of_an_arn_is_its_fourth_part() {
        let region = |text: &str| region_of(&StreamId::from(text));
        assert_eq!(region("orders").unwrap(), None);
        let arn = "arn:aws:kinesis:eu-west-1:000000000000:stream/orders";
        assert_eq!(region(arn).unwrap().as_deref(), Some("eu-west-1"));
        for wrong in [
            "arn:aws:kinesis",
            "arn:aws:kinesis::000000000000:stream/orders",
            "arn:aws:sqs:eu-west-1:000000000000:stream/orders",
            "arn:aws:kinesis:eu-west-1:000000000000:orders",
        ] {
            let error = region(wrong).unwrap_err();
            assert!(matches!(error, ConnectError::InvalidArn { .. }), "{wrong}");
        }
    }

    #[tokio::test]
    async fn an_endpoint_without_a_scheme_is_refused_before_anything_is_resolved() {
        for url in ["127.0.0.1:4567", "localhost", "http://", ""] {
            let error = ConnectOptions::new().endpoint_url(url).connect().await;
            let error = error.unwrap_err();
            assert!(
                matches!(error, ConnectError::InvalidEndpointUrl { .. }),
                "{url}"
            );
        }
    }

    async fn checked(failure: Failure, times: usize) -> Result<(), ConnectError> {
        let source = Flaky::new(failure);
        source.fail(times);
        let config = SdkConfig::builder();
        let config = config.credentials_provider(SharedCredentialsProvider::new(source));
        check_credentials(&config.build()).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_of_credentials_that_fails_is_asked_again_until_the_time_is_over() {
        let failure = || CredentialsError::provider_error("503");
        checked(failure, 10).await.unwrap();
        let begun = crate::Clock::system().instant();
        let error = checked(failure, usize::MAX).await.unwrap_err();
        assert_eq!(begun.elapsed(), RESOLVE_TIMEOUT);
        assert!(matches!(error, ConnectError::CredentialsUnavailable { .. }));
        assert!(error.is_retryable() && error.to_string().contains("try again later"));
    }

    #[tokio::test(start_paused = true)]
    async fn missing_and_wrong_credentials_are_told_at_once_with_what_to_set() {
        let cases: [(Failure, &str); 2] = [
            (CredentialsError::not_loaded_no_source, "no AWS credentials"),
            (
                || CredentialsError::invalid_configuration("a loop"),
                "correct the profile",
            ),
        ];
        let begun = crate::Clock::system().instant();
        for (failure, words) in cases {
            let error = checked(failure, 1).await.unwrap_err();
            assert!(matches!(error, ConnectError::Credentials { .. }));
            assert!(!error.is_retryable());
            let text = error.to_string();
            assert!(
                text.contains(words) && text.contains("AWS_ACCESS_KEY_ID"),
                "{text}"
            );
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
