use std::{collections::HashMap, fmt, sync::Arc};

use bytes::Bytes;
use object_store::{
    Error, MultipartId, MultipartUpload, ObjectStoreExt as _, PutPayload,
    multipart::{MultipartStore, PartId},
    path::Path,
};

use super::{Put, Target, fault::Call, target::Refused};
use crate::{
    DeliveryError,
    window::{Folder, SealedObject},
};

/// Objects that are uploaded while they grow: at most one for each folder.
///
/// An upload makes no visible object until it is completed, and it is completed after the end of the object is recorded
/// on the lease. An upload of a worker that died is never completed; S3 keeps its parts until a lifecycle rule of the
/// bucket (`AbortIncompleteMultipartUpload`) removes them.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    open: HashMap<Folder, OpenUpload>,
}

/// An upload that is under way.
struct OpenUpload {
    key: Path,
    form: Form,
}

enum Form {
    /// Parts with numbers: one that fails is sent again.
    Numbered {
        store: Arc<dyn MultipartStore>,
        id: MultipartId,
        parts: Vec<PartId>,
    },
    /// Parts one after the other: one that fails ends the upload.
    Once(Box<dyn MultipartUpload>),
}

impl Uploads {
    /// Uploads the next part of a folder's object.
    pub(crate) async fn part(
        &mut self,
        target: &Target,
        folder: &Folder,
        key: &Path,
        chunks: Vec<Bytes>,
    ) -> Result<(), DeliveryError> {
        if !self.open.contains_key(folder) {
            let upload = OpenUpload::begin(target, key).await?;
            self.open.insert(folder.clone(), upload);
        }
        let upload = self.open.get_mut(folder).expect("it was begun");
        upload.part(target, chunks.into_iter().collect()).await
    }

    /// Completes the upload of an object that is sealed, unless the object is there already.
    pub(crate) async fn complete(
        &mut self,
        target: &Target,
        object: &mut SealedObject,
        is_same_version: bool,
    ) -> Result<Put, DeliveryError> {
        let mut upload = self
            .open
            .remove(&object.folder)
            .expect("an object with a CRC has parts that are uploaded");
        if let Some(is_equal) = is_there(target, &upload.key, object, is_same_version).await? {
            upload.abort().await;
            if !is_equal {
                let key = upload.key.to_string();
                return Err(DeliveryError::ObjectDiffers { key });
            }
            return Ok(Put::Found);
        }
        let rest: PutPayload = std::mem::take(&mut object.chunks).into_iter().collect();
        if rest.content_length() > 0 {
            upload.part(target, rest).await?;
        }
        let Err(lost) = upload.complete(target).await? else {
            return Ok(Put::Written);
        };
        // The answer to a completion may be lost: then the retry finds no upload, but the object.
        match is_there(target, &upload.key, object, true).await? {
            Some(true) => Ok(Put::Written),
            _ => Err(lost_upload(&upload.key, lost)),
        }
    }
}

impl OpenUpload {
    async fn begin(target: &Target, key: &Path) -> Result<Self, DeliveryError> {
        let form = if let Some(store) = target.destination.parts.clone() {
            let create = || store.create_multipart(key);
            let id = target.retry(key, Call::Write, create).await;
            id.map(|id| Form::Numbered {
                store: store.clone(),
                id,
                parts: Vec::new(),
            })
        } else {
            let create = || target.store().put_multipart(key);
            let upload = target.retry(key, Call::Write, create).await;
            upload.map(Form::Once)
        };
        Ok(Self {
            key: key.clone(),
            form: form.map_err(|refused| refused.into_error(key))?,
        })
    }

    async fn part(&mut self, target: &Target, payload: PutPayload) -> Result<(), DeliveryError> {
        let key = &self.key;
        match &mut self.form {
            Form::Numbered { store, id, parts } => {
                let number = parts.len();
                let put = || store.put_part(key, id, number, payload.clone());
                match target.retry(key, Call::Part, put).await {
                    Ok(part) => parts.push(part),
                    Err(Refused::Answer(error)) => return Err(lost_upload(key, error)),
                    Err(refused) => return Err(refused.into_error(key)),
                }
            }
            Form::Once(upload) => {
                let part = upload.put_part(payload).await;
                part.map_err(|error| lost_upload(key, error))?;
            }
        }
        Ok(())
    }

    /// Completes the upload. The inner error says that the upload is gone, or may be.
    async fn complete(&mut self, target: &Target) -> Result<Result<(), Error>, DeliveryError> {
        let key = &self.key;
        match &mut self.form {
            Form::Numbered { store, id, parts } => {
                let complete = || store.complete_multipart(key, id, parts.clone());
                match target.retry(key, Call::Part, complete).await {
                    Ok(_) => Ok(Ok(())),
                    Err(Refused::Answer(error)) => Ok(Err(error)),
                    Err(refused) => Err(refused.into_error(key)),
                }
            }
            Form::Once(upload) => Ok(upload.complete().await.map(|_| ())),
        }
    }

    /// Removes the parts. Those that cannot be removed stay hidden, as those of a worker that died.
    async fn abort(&mut self) {
        let aborted = match &mut self.form {
            Form::Numbered { store, id, .. } => store.abort_multipart(&self.key, id).await,
            Form::Once(upload) => upload.abort().await,
        };
        if let Err(error) = aborted {
            tracing::debug!(key = %self.key, %error, "the parts of an upload are left");
        }
    }
}

impl fmt::Debug for OpenUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenUpload")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Returns whether the object under the key has the same bytes as this one; `None` if there is no object.
async fn is_there(
    target: &Target,
    key: &Path,
    object: &SealedObject,
    is_same_version: bool,
) -> Result<Option<bool>, DeliveryError> {
    let Some(bytes) = target.size(key).await? else {
        return Ok(None);
    };
    let is_equal =
        !is_same_version || bytes == object.bytes && Some(target.crc(key).await?) == object.crc;
    Ok(Some(is_equal))
}

fn lost_upload(key: &Path, source: Error) -> DeliveryError {
    DeliveryError::UploadLost {
        key: key.to_string(),
        source,
    }
}
