use std::{any::Any, fmt, sync::Arc};

use object_store::{ObjectStore, memory::InMemory, multipart::MultipartStore, prefix::PrefixStore};

/// A store, and the way to send a part of an upload again if it has one.
///
/// An upload of [`ObjectStore`] counts its parts by itself: one that failed leaves a hole that nothing fills.
/// [`MultipartStore`] takes the number of a part, so that a part which was refused, as with credentials that have expired,
/// is sent again.
#[derive(Clone)]
pub(crate) struct Destination {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) parts: Option<Arc<dyn MultipartStore>>,
}

impl Destination {
    /// A store of any kind. The kinds of `object_store` that take parts again are known.
    pub(crate) fn of<S: ObjectStore>(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            parts: parts(&store),
            store,
        }
    }

    /// A store behind its trait: its kind is not known.
    pub(crate) fn of_any(store: Arc<dyn ObjectStore>) -> Self {
        let parts = None;
        Self { store, parts }
    }

    /// A store that takes parts again.
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

/// The store by its parts if it is of this kind, or of it under a prefix.
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
