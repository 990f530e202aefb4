use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::{Error, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, path::Path};

use super::{Guard, Target, fault::Call, target::Refused};
use crate::DeliveryError;

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
                let create = || self.create_or_find(key, payload.clone());
                let created = self.retry(key, Call::Write, create).await;
                created.map_err(|refused| refused.into_error(key))? == Put::Found
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
            let write = || self.store().put(key, payload.clone());
            let written = self.retry(key, Call::Write, write).await;
            written.map_err(|refused| refused.into_error(key))?;
        }
        Ok(Put::Written)
    }

    /// Creates an object, or finds that there is one.
    async fn create_or_find(&self, key: &Path, payload: PutPayload) -> Result<Put, Error> {
        let options = PutOptions::from(PutMode::Create);
        let refused = match self.store().put_opts(key, payload, options).await {
            Ok(_) => return Ok(Put::Written),
            Err(error @ (Error::AlreadyExists { .. } | Error::Precondition { .. })) => error,
            Err(error) => return Err(error),
        };
        match self.store().head(key).await {
            Ok(_) => Ok(Put::Found),
            // S3 also refuses while another write of the key is under way, which may still fail: this write is retried.
            Err(Error::NotFound { .. }) => Err(Error::Generic {
                store: "object store",
                source: refused.into(),
            }),
            Err(error) => Err(error),
        }
    }

    /// Returns the size of the object under this key; `None` if there is none.
    pub(super) async fn size(&self, key: &Path) -> Result<Option<u64>, DeliveryError> {
        let head = || self.store().head(key);
        match self.retry(key, Call::Read, head).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Refused::Answer(Error::NotFound { .. })) => Ok(None),
            Err(refused) => Err(refused.into_error(key)),
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
            let mut read = self.store().get(key).await?.into_stream();
            while let Some(found) = read.try_next().await? {
                if !expected.goes_on_with(&found) {
                    return Ok(false);
                }
            }
            Ok(expected.is_at_end())
        };
        let compared = self.retry(key, Call::Read, compare).await;
        compared.map_err(|refused| refused.into_error(key))
    }

    /// Returns the CRC-32 of the object under this key.
    pub(super) async fn crc(&self, key: &Path) -> Result<u32, DeliveryError> {
        let read = || async {
            let mut crc = crc32fast::Hasher::new();
            let mut read = self.store().get(key).await?.into_stream();
            while let Some(found) = read.try_next().await? {
                crc.update(&found);
            }
            Ok(crc.finalize())
        };
        let crc = self.retry(key, Call::Read, read).await;
        crc.map_err(|refused| refused.into_error(key))
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
    use std::{sync::Arc, time::Duration};

    use kinesis_pipeline::Clock;
    use object_store::memory::InMemory;

    use super::*;
    use crate::store::{Destination, RetryLimits, Troubles};

    fn target(guard: Guard) -> Target {
        let time = Duration::from_mins(1);
        Target {
            destination: Destination::of(InMemory::new()),
            guard,
            clock: Clock::system(),
            limits: RetryLimits {
                retry_max: time,
                denied_max: time,
            },
            troubles: Arc::new(Troubles::default()),
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
