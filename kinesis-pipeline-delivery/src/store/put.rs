use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use kinesis_pipeline::Clock;
use object_store::{
    Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, path::Path,
};

use super::Guard;
use crate::DeliveryError;

/// The first pause before a failed call is made again; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The store that objects go to. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) guard: Guard,
    pub(crate) clock: Clock,
    /// The time in which a call that fails is made again: Firehose's 24 hours by default. Credentials that expired, a bucket
    /// that was denied, a network that is down: all may pass.
    pub(crate) retry_max: Duration,
}

/// The outcome of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Written,
    /// The object was there with the same bytes.
    Found,
}

impl Target {
    /// Writes an object unless it is there with the same bytes.
    ///
    /// Bytes of another version of the encoders are not compared: their object holds the same records.
    pub(crate) async fn put(
        &self,
        key: &Path,
        chunks: &[Bytes],
        is_same_version: bool,
    ) -> Result<Put, DeliveryError> {
        let payload: PutPayload = chunks.iter().cloned().collect();
        let is_there = match self.guard {
            Guard::CreateIfAbsent => {
                let create = || {
                    let options = PutOptions::from(PutMode::Create);
                    self.store.put_opts(key, payload.clone(), options)
                };
                match self.retry(key, create).await {
                    Ok(_) => false,
                    Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => true,
                    Err(error) => return Err(failed(key, error)),
                }
            }
            Guard::LookThenWrite => self.size(key).await?.is_some(),
        };
        if is_there {
            if is_same_version && !self.holds(key, chunks).await? {
                let key = key.to_string();
                return Err(DeliveryError::ObjectDiffers { key });
            }
            return Ok(Put::Found);
        }
        if self.guard == Guard::LookThenWrite {
            let write = || self.store.put(key, payload.clone());
            let written = self.retry(key, write).await;
            written.map_err(|error| failed(key, error))?;
        }
        Ok(Put::Written)
    }

    /// The size of the object under this key; `None` if there is none.
    pub(crate) async fn size(&self, key: &Path) -> Result<Option<u64>, DeliveryError> {
        match self.retry(key, || self.store.head(key)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(key, error)),
        }
    }

    /// Whether the object under this key has exactly these bytes. It is read chunk by chunk.
    async fn holds(&self, key: &Path, chunks: &[Bytes]) -> Result<bool, DeliveryError> {
        let bytes: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        if self.size(key).await? != Some(bytes) {
            return Ok(false);
        }
        let compare = || async {
            let mut expected = Expected::new(chunks);
            let mut read = self.store.get(key).await?.into_stream();
            while let Some(found) = read.try_next().await? {
                if !expected.goes_on_with(&found) {
                    return Ok(false);
                }
            }
            Ok(expected.is_at_end())
        };
        self.retry(key, compare)
            .await
            .map_err(|error| failed(key, error))
    }

    /// The CRC-32 of the object under this key.
    pub(crate) async fn crc(&self, key: &Path) -> Result<u32, DeliveryError> {
        let read = || async {
            let mut crc = crc32fast::Hasher::new();
            let mut read = self.store.get(key).await?.into_stream();
            while let Some(found) = read.try_next().await? {
                crc.update(&found);
            }
            Ok(crc.finalize())
        };
        self.retry(key, read)
            .await
            .map_err(|error| failed(key, error))
    }

    /// Makes a call again while it fails in a way that may pass, with pauses that grow to 30 s.
    pub(crate) async fn retry<T, F>(&self, key: &Path, call: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let begun = self.clock.instant();
        let mut pause = PAUSE_MIN;
        loop {
            let error = match call().await {
                Err(error) if may_pass(&error) => error,
                result => return result,
            };
            if self.clock.instant() - begun >= self.retry_max {
                return Err(error);
            }
            tracing::warn!(%key, %error, "cannot write to the store; trying again");
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Whether a later call may succeed: all but answers about the object or the store itself.
fn may_pass(error: &Error) -> bool {
    !matches!(
        error,
        Error::NotFound { .. }
            | Error::AlreadyExists { .. }
            | Error::Precondition { .. }
            | Error::NotModified { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::InvalidPath { .. }
            | Error::UnknownConfigurationKey { .. }
    )
}

pub(super) fn failed(key: &Path, source: Error) -> DeliveryError {
    DeliveryError::Store {
        key: key.to_string(),
        source,
    }
}

/// Bytes in chunks, compared with the same bytes in other chunks.
struct Expected<'a> {
    chunks: &'a [Bytes],
    /// The part of the first chunk that was compared, in bytes.
    at: usize,
}

impl<'a> Expected<'a> {
    fn new(chunks: &'a [Bytes]) -> Self {
        Self { chunks, at: 0 }
    }

    fn goes_on_with(&mut self, mut found: &[u8]) -> bool {
        while !found.is_empty() {
            let Some(chunk) = self.chunks.first() else {
                return false;
            };
            let common = (chunk.len() - self.at).min(found.len());
            if chunk[self.at..self.at + common] != found[..common] {
                return false;
            }
            found = &found[common..];
            self.at += common;
            if self.at == chunk.len() {
                (self.chunks, self.at) = (&self.chunks[1..], 0);
            }
        }
        true
    }

    fn is_at_end(&self) -> bool {
        self.chunks.iter().map(Bytes::len).sum::<usize>() == self.at
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn target(guard: Guard) -> Target {
        Target {
            store: Arc::new(InMemory::new()),
            guard,
            clock: Clock::system(),
            retry_max: Duration::from_mins(1),
        }
    }

    #[tokio::test]
    async fn an_object_is_written_once_and_then_found() {
        for guard in [Guard::CreateIfAbsent, Guard::LookThenWrite] {
            let (target, key) = (target(guard), Path::from("a/b"));
            let chunks = [Bytes::from("one"), Bytes::new(), Bytes::from("two")];
            assert_eq!(target.put(&key, &chunks, true).await.unwrap(), Put::Written);
            let same = [Bytes::from("onet"), Bytes::from("wo")];
            assert_eq!(target.put(&key, &same, true).await.unwrap(), Put::Found);
            for other in ["onetwO", "onetw", "onetwoo"] {
                let other = [Bytes::from(other)];
                let differs = target.put(&key, &other, true).await;
                assert!(matches!(differs, Err(DeliveryError::ObjectDiffers { .. })));
                assert_eq!(target.put(&key, &other, false).await.unwrap(), Put::Found);
            }
        }
    }
}
