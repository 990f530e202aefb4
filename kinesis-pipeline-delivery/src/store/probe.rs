use object_store::{
    Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, path::Path,
};

use super::fault::{Call, StoreFault};
use crate::DeliveryError;

/// The store's protection against writing an object twice.
///
/// Names and bytes of objects are decided, and the decision is stored on the lease, before they are written; so every
/// writer of a key writes the same bytes. The guard finds violations of that: a transform that depends on the time, or
/// two deliveries of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guard {
    /// The store creates an object only if there is none: S3, GCS, Azure, R2, `SeaweedFS`, local disk, memory. An object
    /// that is there is compared.
    CreateIfAbsent,
    /// The store overwrites. The delivery looks for the object first; two workers that write at the same moment write
    /// the same bytes twice.
    LookThenWrite,
}

/// Finds the guard of a store, by writing a small object twice under a key of its own and removing it.
///
/// Nothing is retried here: a failure at the start is mostly a wrong name or a missing permission, and the person who
/// starts the delivery is there to read the error.
pub(crate) async fn probe(store: &dyn ObjectStore, prefix: &str) -> Result<Guard, DeliveryError> {
    let key = format!("{prefix}_probe-{:032x}", fastrand::u128(..));
    let path = Path::from(key.as_str());
    let create = || {
        let options = PutOptions::from(PutMode::Create);
        let payload =
            PutPayload::from_static(b"kinesis-pipeline looks if this store creates only if absent");
        store.put_opts(&path, payload, options)
    };
    match create().await {
        Ok(_) => {}
        Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
            look_for_none(store, &path).await?;
            return Ok(Guard::LookThenWrite);
        }
        Err(error) => return Err(not_usable(Call::Write, error)),
    }
    let second = create().await;
    if let Err(error) = store.delete(&path).await {
        tracing::warn!(key, %error, "the object that the store was tried with is left");
    }
    look_for_none(store, &path.clone().join("none")).await?;
    match second {
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Guard::CreateIfAbsent),
        Ok(_) => {
            tracing::warn!("the store overwrites objects that are there: see Guard::LookThenWrite");
            Ok(Guard::LookThenWrite)
        }
        Err(error) => Err(not_usable(Call::Write, error)),
    }
}

/// Asks for an absent object. Without the permission to list the bucket S3 denies this request: then an absent object
/// could not be told from a denied one.
async fn look_for_none(store: &dyn ObjectStore, path: &Path) -> Result<(), DeliveryError> {
    match store.head(path).await {
        Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(not_usable(Call::Read, error)),
    }
}

fn not_usable(call: Call, source: Error) -> DeliveryError {
    let fault = StoreFault::of(&source, call).unwrap_or(StoreFault::Unavailable);
    DeliveryError::NotUsable { fault, source }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;
    use object_store::{local::LocalFileSystem, memory::InMemory};

    use super::*;

    #[tokio::test]
    async fn a_store_that_cannot_be_used_is_an_error_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "no folder").unwrap();
        let store = LocalFileSystem::new_with_prefix(dir.path()).unwrap();
        let refused = probe(&store, "file/").await;
        assert!(
            matches!(
                refused,
                Err(DeliveryError::NotUsable {
                    fault: StoreFault::Unavailable,
                    ..
                })
            ),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn a_store_that_creates_if_absent_is_known_and_left_clean() {
        let store = InMemory::new();
        let guard = probe(&store, "a/").await.unwrap();
        assert_eq!(guard, Guard::CreateIfAbsent);
        let left: Vec<_> = store.list(None).try_collect().await.unwrap();
        assert!(left.is_empty());
    }
}
