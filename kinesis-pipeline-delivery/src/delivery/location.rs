use std::sync::Arc;

use object_store::{ObjectStore, local::LocalFileSystem, prefix::PrefixStore};
use url::Url;

use crate::InvalidDelivery;

/// A store and a folder in it, by URL: `s3://bucket/folder`, `gs://`, `az://`, `file:///folder`, `memory:///`, or a path
/// of the local disk.
///
/// S3 needs the feature `aws`, Google Cloud Storage `gcp`, and Azure `azure`. Keys and endpoints come from the
/// environment variables of each cloud.
#[derive(Clone, Debug)]
pub struct Location {
    store: Arc<dyn ObjectStore>,
}

impl Location {
    /// The store of a URL or path. A local folder is made if there is none; its files are synced to the disk.
    ///
    /// # Errors
    /// [`InvalidDelivery::Url`]: it is no URL, of a store that is not compiled in, or its settings are missing.
    pub fn parse(url: &str) -> Result<Self, InvalidDelivery> {
        Self::open(url).map_err(|source| InvalidDelivery::Url {
            url: url.to_owned(),
            source,
        })
    }

    /// As [`parse`](Self::parse), with the AWS SDK's settings for S3: profiles, SSO, web identity, roles of a machine, and
    /// the region. Credentials that expire are asked for again.
    ///
    /// # Errors
    /// [`InvalidDelivery::Url`].
    pub async fn connect(url: &str) -> Result<Self, InvalidDelivery> {
        #[cfg(feature = "aws")]
        if url.starts_with("s3://") {
            let store = super::credentials::s3(url).await;
            return match store {
                Ok(store) => Ok(Self { store }),
                Err(source) => Err(InvalidDelivery::Url {
                    url: url.to_owned(),
                    source,
                }),
            };
        }
        std::future::ready(Self::parse(url)).await
    }

    fn open(text: &str) -> Result<Self, kinesis_pipeline::BoxError> {
        let url = match Url::parse(text) {
            Ok(url) if url.scheme() != "file" && text.contains("://") => url,
            Ok(url) if url.scheme() == "file" => {
                let path = url.to_file_path();
                return Self::folder(&path.map_err(|()| "no path of this machine")?);
            }
            _ => return Self::folder(std::path::Path::new(text)),
        };
        // Names of variables are the options' names: AWS_REGION, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_NAME.
        let options = std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let (store, path) = object_store::parse_url_opts(&url, options)?;
        Ok(Self {
            store: Arc::new(PrefixStore::new(store, path)),
        })
    }

    fn folder(path: &std::path::Path) -> Result<Self, kinesis_pipeline::BoxError> {
        std::fs::create_dir_all(path)?;
        let store = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
        })
    }

    /// The store.
    #[must_use]
    pub fn into_store(self) -> Arc<dyn ObjectStore> {
        self.store
    }
}
