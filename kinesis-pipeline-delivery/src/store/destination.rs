use std::{any::Any, fmt, sync::Arc};

use object_store::{ObjectStore, memory::InMemory, multipart::MultipartStore, prefix::PrefixStore};

/// A store, with its multipart interface if it has one.
///
/// An upload of [`ObjectStore`] numbers its parts itself, so a part that failed cannot be sent again.
/// [`MultipartStore`] takes the number of each part: a part that failed, for example because the credentials had
/// expired, is sent again.
#[derive(Clone)]
pub(crate) struct Destination {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) parts: Option<Arc<dyn MultipartStore>>,
}

impl Destination {
    /// Returns the destination of a store. The types of `object_store` that have a multipart interface are recognized.
    pub(crate) fn of<S: ObjectStore>(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            parts: parts(&store),
            store,
        }
    }

    /// Returns the destination of a store behind its trait: its type is not known.
    pub(crate) fn of_any(store: Arc<dyn ObjectStore>) -> Self {
        let parts = None;
        Self { store, parts }
    }

    /// Returns the destination of a store that has a multipart interface.
    pub(crate) fn with_parts<S: ObjectStore + MultipartStore>(store: Arc<S>) -> Self {
        Self {
            parts: Some(store.clone()),
            store,
        }
    }
}

fn parts<S: ObjectStore>(store: &Arc<S>) -> Option<Arc<dyn MultipartStore>> {
    let found = kind::<S, InMemory>(store);
    #[cfg(feature = "aws")]
    let found = found.or_else(|| kind::<S, object_store::aws::AmazonS3>(store));
    #[cfg(feature = "gcp")]
    let found = found.or_else(|| kind::<S, object_store::gcp::GoogleCloudStorage>(store));
    #[cfg(feature = "azure")]
    let found = found.or_else(|| kind::<S, object_store::azure::MicrosoftAzure>(store));
    found
}

/// Returns the store's multipart interface if it has this type, also inside a `PrefixStore`.
fn kind<S: ObjectStore, K: ObjectStore + MultipartStore>(
    store: &Arc<S>,
) -> Option<Arc<dyn MultipartStore>> {
    let any: Arc<dyn Any + Send + Sync> = store.clone();
    let any = match any.downcast::<K>() {
        Ok(store) => return Some(store),
        Err(any) => any,
    };
    let store = any.downcast::<PrefixStore<K>>().ok()?;
    Some(store)
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("store", &self.store)
            .field("takes_parts_again", &self.parts.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use object_store::local::LocalFileSystem;

    use super::*;

    #[test]
    fn stores_that_take_parts_again_are_known_also_under_a_prefix() {
        assert!(Destination::of(InMemory::new()).parts.is_some());
        let prefixed = PrefixStore::new(InMemory::new(), "a");
        assert!(Destination::of(prefixed).parts.is_some());
        assert!(Destination::of(LocalFileSystem::new()).parts.is_none());
    }
}
