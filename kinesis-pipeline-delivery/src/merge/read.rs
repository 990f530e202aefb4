use std::collections::HashSet;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use kinesis_pipeline::{Position, ShardId};
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};

use super::{Manifest, manifest::FOLDER};
use crate::DeliveryError;

/// The largest manifest that is read: some 200,000 segments.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A part of a merged object: records of one shard, complete in the object's format and compression.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergedSegment {
    /// The key of the object that holds it.
    pub object: String,
    /// The shard.
    pub shard_id: ShardId,
    /// The position of the first record.
    pub first: Position,
    /// The position of the last one.
    pub last: Position,
    /// The number of records. Dropped and failed records between the first and the last are not in the segment.
    pub records: u64,
    /// The offset of its first byte in the object.
    pub offset: u64,
    /// The size of the segment in the object, in bytes.
    pub bytes: u64,
}

impl MergedSegment {
    /// Reads the segment's bytes. They are compressed as the object is, and can be decompressed alone.
    ///
    /// # Errors
    /// [`DeliveryError::Store`].
    pub async fn read(&self, store: &dyn ObjectStore) -> Result<Bytes, DeliveryError> {
        let range = self.offset..self.offset + self.bytes;
        let read = store
            .get_range(&Path::from(self.object.as_str()), range)
            .await;
        read.map_err(|source| DeliveryError::Store {
            key: self.object.clone(),
            source,
        })
    }
}

/// The segments of merged objects, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergedSegments {
    /// The segments, in the order of the manifests' keys and of their offsets.
    pub segments: Vec<MergedSegment>,
    /// The number of segments that were left out because another object has them too.
    pub doubled: u64,
}

/// Lists the segments of merged objects under a prefix from their manifests, each once: see
/// [`Delivery::merge`](crate::Delivery::merge).
///
/// The prefix ends at a `/`, or is empty. The list takes some 300 bytes of memory for each segment: of a large store,
/// ask for a day or an hour. Objects without a manifest are left out: their worker crashed, and another one wrote their
/// records again.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use kinesis_pipeline::{EncodedRecord, KinesisStream, LocalKinesis, StartAt, Until};
/// use kinesis_pipeline_delivery::{Delivery, merged_segments};
/// use object_store::memory::InMemory;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream: KinesisStream<String> = LocalKinesis::start().await?.stream("words", 2).await?;
/// stream.put_all(["a", "b", "c", "d"].map(str::to_owned)).await.ok()?;
/// let records = stream.with_record_type::<EncodedRecord>();
/// let records = records.reader().start(StartAt::TrimHorizon).until(Until::Tip).open().await?;
///
/// let store = Arc::new(InMemory::new());
/// let delivery = Delivery::to_shared(store.clone()).merge(5 << 20, Duration::from_millis(10));
/// delivery.run(records).await?;
///
/// let mut lines = Vec::new();
/// for segment in merged_segments(&*store, "").await?.segments {
///     lines.extend_from_slice(&segment.read(&*store).await?);
/// }
/// assert_eq!(lines.len(), 8);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`DeliveryError::Store`], and [`DeliveryError::Manifest`] for a file that is no manifest or has another version.
pub async fn merged_segments(
    store: &dyn ObjectStore,
    prefix: &str,
) -> Result<MergedSegments, DeliveryError> {
    let folder = Path::from(format!("{FOLDER}/{}", prefix.trim_matches('/')));
    let failed = |key: &Path, source| DeliveryError::Store {
        key: key.to_string(),
        source,
    };
    let listed: Result<Vec<_>, _> = store.list(Some(&folder)).try_collect().await;
    let mut listed = listed.map_err(|source| failed(&folder, source))?;
    listed.sort_by(|a, b| a.location.cmp(&b.location));
    let (mut seen, mut found) = (HashSet::new(), MergedSegments::default());
    for meta in listed {
        let key = &meta.location;
        let refused = |problem: String| DeliveryError::Manifest {
            key: key.to_string(),
            problem,
        };
        if meta.size > MANIFEST_BYTES_MAX {
            return Err(refused(format!("it has {} bytes", meta.size)));
        }
        let read = store.get(key).await.map_err(|source| failed(key, source))?;
        let json = read.bytes().await.map_err(|source| failed(key, source))?;
        let manifest = Manifest::parse(&json).map_err(refused)?;
        take(manifest, &mut seen, &mut found);
    }
    Ok(found)
}

/// Adds the segments of a manifest that were not seen before.
fn take(manifest: Manifest, seen: &mut HashSet<String>, found: &mut MergedSegments) {
    for segment in manifest.segments {
        if !seen.insert(segment.id) {
            found.doubled += 1;
            continue;
        }
        let shard_id = ShardId::from(segment.shard_id);
        found.segments.push(MergedSegment {
            object: manifest.object.clone(),
            first: segment.first.position(&shard_id),
            last: segment.last.position(&shard_id),
            shard_id,
            records: segment.records,
            offset: segment.offset,
            bytes: segment.bytes,
        });
    }
}
