use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use kinesis_pipeline::{BoxError, Clock};
use object_store::{
    CredentialProvider, Error, ObjectStore,
    aws::{AmazonS3Builder, AwsCredential},
    prefix::PrefixStore,
};
use tokio::sync::Mutex;
use url::Url;

/// How long before they expire credentials are asked for again.
const EARLY: Duration = Duration::from_mins(5);

/// The store of an `s3://bucket/folder` with the SDK's settings.
pub(super) async fn s3(url: &str) -> Result<Arc<dyn ObjectStore>, BoxError> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let folder = Url::parse(url)?.path().trim_matches('/').to_owned();
    let mut builder = AmazonS3Builder::from_env().with_url(url);
    if let Some(region) = config.region() {
        builder = builder.with_region(region.as_ref());
    }
    if let Some(credentials) = SdkCredentials::of(&config) {
        builder = builder.with_credentials(Arc::new(credentials));
    }
    Ok(Arc::new(PrefixStore::new(builder.build()?, folder)))
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
        let provided = self.provider.provide_credentials().await;
        let provided = provided.map_err(|error| Error::Generic {
            store: "S3",
            source: Box::new(error),
        })?;
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

    use aws_credential_types::{
        Credentials,
        provider::{ProvideCredentials, future},
    };

    use super::*;

    /// Gives credentials for ten minutes, each time others.
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
}
