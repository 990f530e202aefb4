use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials as _, SharedCredentialsProvider, error::CredentialsError},
};
use kinesis_pipeline::{BoxError, Clock};
use object_store::{
    CredentialProvider, Error,
    aws::{AmazonS3Builder, AwsCredential},
    prefix::PrefixStore,
};
use tokio::sync::Mutex;
use url::Url;

use crate::store::Destination;

/// The longest time for which one request retries a failing source of credentials.
const PROVIDE_MAX: Duration = Duration::from_secs(20);
const PROVIDE_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The time before their expiry at which credentials are renewed.
const EARLY: Duration = Duration::from_mins(5);

/// Returns the store of an `s3://bucket/folder`, with the SDK's settings.
pub(super) async fn s3(url: &str) -> Result<Destination, BoxError> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let folder = Url::parse(url)?.path().trim_matches('/').to_owned();
    let mut builder = AmazonS3Builder::from_env().with_url(url);
    if let Some(region) = config.region() {
        builder = builder.with_region(region.as_ref());
    }
    if let Some(credentials) = SdkCredentials::of(&config) {
        builder = builder.with_credentials(Arc::new(credentials));
    }
    Ok(Destination::of(PrefixStore::new(builder.build()?, folder)))
}

/// Credentials of the AWS SDK, kept until shortly before they expire.
#[derive(Debug)]
struct SdkCredentials {
    provider: SharedCredentialsProvider,
    clock: Clock,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    credential: Arc<AwsCredential>,
    expires_at: Option<SystemTime>,
}

impl SdkCredentials {
    fn of(config: &SdkConfig) -> Option<Self> {
        Some(Self {
            provider: config.credentials_provider()?,
            clock: Clock::system(),
            kept: Mutex::new(None),
        })
    }
}

impl SdkCredentials {
    /// Asks the source, and retries while the failure may pass: most failures end sooner than the store's client would
    /// ask again.
    async fn provide(&self) -> Result<Credentials, CredentialsError> {
        let begun = self.clock.instant();
        loop {
            let error = match self.provider.provide_credentials().await {
                Err(error) if may_pass(&error) => error,
                result => return result,
            };
            if self.clock.instant() - begun >= PROVIDE_MAX {
                return Err(error);
            }
            tokio::time::sleep(PROVIDE_AGAIN_AFTER).await;
        }
    }
}

/// Whether the failure may pass: it is no missing or wrong setting.
fn may_pass(error: &CredentialsError) -> bool {
    !matches!(
        error,
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)
    )
}

#[async_trait::async_trait]
impl CredentialProvider for SdkCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut kept = self.kept.lock().await;
        let is_fresh = |kept: &&Kept| {
            let until = kept.expires_at.map(|at| at - EARLY);
            until.is_none_or(|until| self.clock.now() < until)
        };
        if let Some(kept) = kept.as_ref().filter(is_fresh) {
            return Ok(kept.credential.clone());
        }
        let provided = match (self.provide().await, kept.as_ref()) {
            (Ok(provided), _) => provided,
            // Renewal begins early: the cached credentials are still valid.
            (Err(error), Some(kept)) if kept.expires_at.is_none_or(|at| self.clock.now() < at) => {
                tracing::warn!(%error, "no new credentials yet; going on with those that are about to expire");
                return Ok(kept.credential.clone());
            }
            (Err(error), _) => {
                return Err(Error::Generic {
                    store: "S3",
                    source: Box::new(error),
                });
            }
        };
        let credential = Arc::new(AwsCredential {
            key_id: provided.access_key_id().to_owned(),
            secret_key: provided.secret_access_key().to_owned(),
            token: provided.session_token().map(str::to_owned),
        });
        *kept = Some(Kept {
            credential: credential.clone(),
            expires_at: provided.expiry(),
        });
        Ok(credential)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use aws_credential_types::provider::{ProvideCredentials, future};

    use super::*;

    /// A source of credentials that are valid for ten minutes, new ones at each call.
    #[derive(Debug, Default)]
    struct TenMinutes(Arc<AtomicU32>, Clock);

    impl ProvideCredentials for TenMinutes {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let key = format!("key-{}", self.0.fetch_add(1, SeqCst));
            let until = self.1.now() + Duration::from_mins(10);
            future::ProvideCredentials::ready(Ok(Credentials::new(
                key,
                "s",
                None,
                Some(until),
                "test",
            )))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_are_kept_and_asked_for_again_before_they_expire() {
        let clock = Clock::tokio(SystemTime::UNIX_EPOCH + Duration::from_hours(1));
        let credentials = SdkCredentials {
            provider: SharedCredentialsProvider::new(TenMinutes(Arc::default(), clock.clone())),
            clock,
            kept: Mutex::new(None),
        };
        for (minutes, key) in [(0, "key-0"), (4, "key-0"), (2, "key-1"), (10, "key-2")] {
            tokio::time::advance(Duration::from_mins(minutes)).await;
            assert_eq!(credentials.get_credential().await.unwrap().key_id, key);
        }
    }

    /// A source of credentials that are valid for ten minutes. It fails in these minutes of the hour.
    #[derive(Debug)]
    struct Failing(std::ops::Range<u64>, Clock);

    impl ProvideCredentials for Failing {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let now = self.1.now();
            let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            let minute = since.as_secs() / 60 % 60;
            future::ProvideCredentials::ready(if self.0.contains(&minute) {
                Err(CredentialsError::provider_error("busy"))
            } else {
                let until = now + Duration::from_mins(10);
                Ok(Credentials::new(
                    format!("key-{minute}"),
                    "s",
                    None,
                    Some(until),
                    "test",
                ))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_are_used_to_their_end_while_their_source_fails_and_then_awaited() {
        let clock = Clock::tokio(SystemTime::UNIX_EPOCH + Duration::from_hours(1));
        let credentials = SdkCredentials {
            provider: SharedCredentialsProvider::new(Failing(1..12, clock.clone())),
            clock,
            kept: Mutex::new(None),
        };
        let key = || async { credentials.get_credential().await.map(|c| c.key_id.clone()) };
        assert_eq!(key().await.unwrap(), "key-0");
        tokio::time::advance(Duration::from_mins(6)).await;
        assert_eq!(key().await.unwrap(), "key-0", "early, and no new ones");
        tokio::time::advance(Duration::from_mins(4)).await;
        assert!(key().await.is_err(), "they have expired");
        tokio::time::advance(Duration::from_secs(75)).await;
        assert_eq!(key().await.unwrap(), "key-12", "awaited within the request");
    }
}
