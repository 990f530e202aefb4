use std::collections::HashMap;

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayload, path::Path};

use super::{Put, Target, put::failed};
use crate::{
    DeliveryError,
    window::{Folder, SealedObject},
};

/// Objects that are uploaded while they grow: at most one for each folder.
///
/// An upload shows nothing until it is completed, and it is completed after the end of the object stands on the lease.
/// An upload of a worker that died is never completed; S3 keeps its parts until a lifecycle rule of the bucket
/// (`AbortIncompleteMultipartUpload`) removes them.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    open: HashMap<Folder, (Path, Box<dyn MultipartUpload>)>,
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
            let begin = || target.store.put_multipart(key);
            let upload = target.retry(key, begin).await;
            let upload = upload.map_err(|error| failed(key, error))?;
            self.open.insert(folder.clone(), (key.clone(), upload));
        }
        let (key, upload) = self.open.get_mut(folder).expect("it was begun");
        let payload: PutPayload = chunks.into_iter().collect();
        // The store's client makes the request again by itself; a part that it gives up leaves a hole.
        let part = upload.put_part(payload).await;
        part.map_err(|error| failed(key, error))
    }

    /// Completes the upload of an object that is sealed, unless the object is there already.
    pub(crate) async fn complete(
        &mut self,
        target: &Target,
        object: &mut SealedObject,
        is_same_version: bool,
    ) -> Result<Put, DeliveryError> {
        let (key, mut upload) = self
            .open
            .remove(&object.folder)
            .expect("an object with a CRC has parts that are uploaded");
        if let Some(bytes) = target.size(&key).await? {
            let _ = upload.abort().await;
            let is_equal = !is_same_version
                || bytes == object.bytes && Some(target.crc(&key).await?) == object.crc;
            if !is_equal {
                let key = key.to_string();
                return Err(DeliveryError::ObjectDiffers { key });
            }
            return Ok(Put::Found);
        }
        let rest: PutPayload = std::mem::take(&mut object.chunks).into_iter().collect();
        if rest.content_length() > 0 {
            let part = upload.put_part(rest).await;
            part.map_err(|error| failed(&key, error))?;
        }
        let done = upload.complete().await;
        done.map_err(|error| failed(&key, error))?;
        Ok(Put::Written)
    }
}
