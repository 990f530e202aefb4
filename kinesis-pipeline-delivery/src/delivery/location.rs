use std::sync::Arc;

use kinesis_pipeline::BoxError;
#[cfg(feature = "aws")]
use object_store::aws::AmazonS3Builder;
#[cfg(feature = "azure")]
use object_store::azure::MicrosoftAzureBuilder;
#[cfg(feature = "gcp")]
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{
    ObjectStore, ObjectStoreScheme, local::LocalFileSystem, memory::InMemory, path::Path,
    prefix::PrefixStore,
};
use url::Url;

use crate::{InvalidDelivery, store::Destination};

/// A store and a folder in it, by URL: `s3://bucket/folder`, `gs://`, `az://`, `file:///folder`, `memory:///`, or a path
/// of the local disk.
///
/// S3 needs the feature `aws`, Google Cloud Storage `gcp`, and Azure `azure`. Keys and endpoints come from the
/// environment variables of each cloud.
#[derive(Clone, Debug)]
pub struct Location {
    destination: Destination,
}

impl Location {
    /// Opens the store of a URL or path. A local folder is made if it is absent; its files are synced to the disk.
    ///
    /// # Errors
    /// [`InvalidDelivery::Url`]: it is no URL, it names a store that is not compiled in, or settings of the store are
    /// missing.
    pub fn parse(url: &str) -> Result<Self, InvalidDelivery> {
        Self::open(url).map_err(|source| InvalidDelivery::Url {
            url: url.to_owned(),
            source,
        })
    }

    /// Opens the store as [`parse`](Self::parse) does, with the AWS SDK's settings for S3: profiles, SSO, web identity,
    /// roles of a machine, and the region. Credentials are renewed before they expire.
    ///
    /// # Errors
    /// [`InvalidDelivery::Url`].
    pub async fn connect(url: &str) -> Result<Self, InvalidDelivery> {
        #[cfg(feature = "aws")]
        if url.starts_with("s3://") {
            let store = super::credentials::s3(url).await;
            return match store {
                Ok(destination) => Ok(Self { destination }),
                Err(source) => Err(InvalidDelivery::Url {
                    url: url.to_owned(),
                    source,
                }),
            };
        }
        std::future::ready(Self::parse(url)).await
    }

    fn open(text: &str) -> Result<Self, BoxError> {
        let url = match Url::parse(text) {
            Ok(url) if url.scheme() != "file" && text.contains("://") => url,
            Ok(url) if url.scheme() == "file" => {
                let path = url.to_file_path();
                return Self::folder(&path.map_err(|()| "no path of this machine")?);
            }
            _ => return Self::folder(std::path::Path::new(text)),
        };
        Self::bucket(&url)
    }

    fn bucket(url: &Url) -> Result<Self, BoxError> {
        let (scheme, folder) = ObjectStoreScheme::parse(url)?;
        let folder = Path::parse(folder)?;
        // Each arm keeps the type of its store, which `Destination` needs to find the multipart interface.
        let destination = match scheme {
            ObjectStoreScheme::Memory => in_folder(InMemory::new(), folder),
            #[cfg(feature = "aws")]
            ObjectStoreScheme::AmazonS3 => {
                let builder = AmazonS3Builder::new().with_url(url.as_str());
                in_folder(
                    configured(builder, AmazonS3Builder::with_config).build()?,
                    folder,
                )
            }
            #[cfg(feature = "gcp")]
            ObjectStoreScheme::GoogleCloudStorage => {
                let builder = GoogleCloudStorageBuilder::new().with_url(url.as_str());
                let builder = configured(builder, GoogleCloudStorageBuilder::with_config);
                in_folder(builder.build()?, folder)
            }
            #[cfg(feature = "azure")]
            ObjectStoreScheme::MicrosoftAzure => {
                let builder = MicrosoftAzureBuilder::new().with_url(url.as_str());
                let builder = configured(builder, MicrosoftAzureBuilder::with_config);
                in_folder(builder.build()?, folder)
            }
            _ => {
                let (store, folder) = object_store::parse_url_opts(url, variables())?;
                Destination::of(PrefixStore::new(store, folder))
            }
        };
        Ok(Self { destination })
    }

    fn folder(path: &std::path::Path) -> Result<Self, BoxError> {
        std::fs::create_dir_all(path)?;
        let store = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
        Ok(Self {
            destination: Destination::of(store),
        })
    }

    /// Returns the store.
    #[must_use]
    pub fn into_store(self) -> Arc<dyn ObjectStore> {
        self.destination.store
    }

    pub(super) fn into_destination(self) -> Destination {
        self.destination
    }
}

fn in_folder<S: ObjectStore>(store: S, folder: Path) -> Destination {
    Destination::of(PrefixStore::new(store, folder))
}

/// Returns the environment's variables, such as `AWS_REGION`, `GOOGLE_SERVICE_ACCOUNT` and
/// `AZURE_STORAGE_ACCOUNT_NAME`, with their names in lower case, as the stores name their options.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value))
}

/// Returns a store's builder with the options of the environment.
#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
fn configured<B, K: std::str::FromStr>(builder: B, set: impl Fn(B, K, String) -> B) -> B {
    variables().fold(builder, |builder, (name, value)| match name.parse() {
        Ok(option) => set(builder, option, value),
        Err(_) => builder,
    })
}
