use std::{collections::HashMap, future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use object_store::path::Path;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::Manifest;
use crate::{
    DeliveryError,
    counts::Counts,
    prefix::fingerprint,
    store::{Put, Target},
    window::SealedObject,
};

/// The bound of the merger's queue of segments. Shards wait while it is full.
const SEGMENTS_QUEUED_MAX: usize = 64;
/// The most merged objects that are written at the same time.
const WRITES_MAX: usize = 8;

/// The size and the time at which a merged object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MergeLimits {
    pub(crate) bytes: u64,
    pub(crate) wait: Duration,
}

/// A shard's part of a merged object, and the reply channel to the shard.
struct Segment {
    id: Path,
    sealed: SealedObject,
    is_same_version: bool,
    written: oneshot::Sender<Result<Put, DeliveryError>>,
}

/// The segments of one folder that will be one object.
struct Group {
    segments: Vec<Segment>,
    bytes: u64,
    due_at: Instant,
}

/// A handle to the task that merges the segments of all shards of a process. The merger holds the same bytes that the
/// shards would hold while they write.
#[derive(Debug)]
pub(crate) struct Merger {
    segments: mpsc::Sender<Segment>,
    target: Target,
    task: JoinHandle<()>,
}

impl Merger {
    pub(crate) fn start(limits: MergeLimits, target: &Target, counts: &Arc<Counts>) -> Self {
        let (segments, receiver) = mpsc::channel(SEGMENTS_QUEUED_MAX);
        let gatherer = Gatherer {
            limits,
            target: target.clone(),
            counts: Arc::clone(counts),
            groups: HashMap::new(),
        };
        Self {
            segments,
            target: target.clone(),
            task: tokio::spawn(gatherer.run(receiver)),
        }
    }

    /// Writes a segment as a part of a merged object. Returns once the object and its manifest are stored.
    pub(crate) async fn put(
        &self,
        id: Path,
        sealed: SealedObject,
        is_same_version: bool,
    ) -> Result<Put, DeliveryError> {
        let (written, done) = oneshot::channel();
        let ended = || DeliveryError::Panicked {
            shard: sealed.first.shard_id.clone(),
        };
        let shard_ended = ended();
        let segment = Segment {
            id,
            sealed,
            is_same_version,
            written,
        };
        if self.segments.send(segment).await.is_err() {
            return Err(shard_ended);
        }
        done.await.unwrap_or(Err(shard_ended))
    }

    /// Writes the manifest of an object that was uploaded while it grew. Such an object is a single segment.
    pub(crate) async fn put_manifest(
        &self,
        id: &Path,
        sealed: &SealedObject,
    ) -> Result<(), DeliveryError> {
        put_manifest(&self.target, &Manifest::of(id, [(id, sealed)])).await
    }
}

impl Drop for Merger {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The state of the merger's task.
struct Gatherer {
    limits: MergeLimits,
    target: Target,
    counts: Arc<Counts>,
    /// The groups by the folder of their keys and their file extension.
    groups: HashMap<(String, String), Group>,
}

impl Gatherer {
    async fn run(mut self, mut segments: mpsc::Receiver<Segment>) {
        loop {
            let due_at = self.groups.values().map(|group| group.due_at).min();
            tokio::select! {
                biased;
                segment = segments.recv() => match segment {
                    Some(segment) => self.take(segment),
                    // All shards are gone: the next worker writes the segments that wait.
                    None => return,
                },
                () = until(due_at) => {}
            }
            self.write_due().await;
        }
    }

    fn take(&mut self, segment: Segment) {
        let (folder, name) = segment
            .id
            .as_ref()
            .rsplit_once('/')
            .unwrap_or(("", segment.id.as_ref()));
        let kind = (folder.to_owned(), extension(name).to_owned());
        let due_at = self.target.clock.instant() + self.limits.wait;
        let group = self.groups.entry(kind).or_insert_with(|| Group {
            segments: Vec::new(),
            bytes: 0,
            due_at,
        });
        group.bytes += segment.sealed.bytes;
        group.segments.push(segment);
    }

    /// Writes the groups that are full or have waited long enough.
    async fn write_due(&mut self) {
        let (now, bytes_max) = (self.target.clock.instant(), self.limits.bytes);
        let is_due = |_: &(String, String), group: &mut Group| {
            group.bytes >= bytes_max || group.due_at <= now
        };
        let due = self.groups.extract_if(is_due);
        let (target, counts) = (&self.target, &self.counts);
        let write = |((folder, extension), group): ((String, String), Group)| async move {
            let written = write(target, &folder, &extension, &group.segments).await;
            if let Ok((put, bytes)) = &written {
                counts.object(*put, *bytes);
            }
            answer(group.segments, written.map(|(put, _)| put));
        };
        let due: Vec<_> = due.collect();
        stream::iter(due)
            .map(write)
            .buffer_unordered(WRITES_MAX)
            .collect::<()>()
            .await;
    }
}

/// Sends the result of an object to all of its shards. After a failure the first gets the error, the others its text.
fn answer(segments: Vec<Segment>, written: Result<Put, DeliveryError>) {
    let mut failure = None;
    let mut text = String::new();
    let put = match written {
        Ok(put) => Some(put),
        Err(error) => {
            text = error.to_string();
            failure = Some(error);
            None
        }
    };
    for segment in segments {
        let result = match put {
            Some(put) => Ok(put),
            None => Err(failure.take().unwrap_or_else(|| DeliveryError::Store {
                key: segment.id.to_string(),
                source: object_store::Error::Generic {
                    store: "merged object",
                    source: text.clone().into(),
                },
            })),
        };
        // A shard whose lease is lost no longer waits.
        let _ = segment.written.send(result);
    }
}

/// Writes an object and its manifest, in this order: a manifest always has its object.
async fn write(
    target: &Target,
    folder: &str,
    extension: &str,
    segments: &[Segment],
) -> Result<(Put, u64), DeliveryError> {
    let ids: Vec<&str> = segments.iter().map(|segment| segment.id.as_ref()).collect();
    let name = format!("merged-{}{extension}", fingerprint(&ids.join("\n")));
    let key = if folder.is_empty() {
        name
    } else {
        format!("{folder}/{name}")
    };
    let key = Path::parse(&key).unwrap_or_else(|_| Path::from(key));
    let chunks: Vec<Bytes> = segments
        .iter()
        .flat_map(|segment| segment.sealed.chunks.iter().cloned())
        .collect();
    let is_same_version = segments.iter().all(|segment| segment.is_same_version);
    let put = target.put(&key, &chunks, is_same_version).await?;
    let parts = segments
        .iter()
        .map(|segment| (&segment.id, &segment.sealed));
    let manifest = Manifest::of(&key, parts);
    put_manifest(target, &manifest).await?;
    let bytes = segments.iter().map(|segment| segment.sealed.bytes).sum();
    Ok((put, bytes))
}

async fn put_manifest(target: &Target, manifest: &Manifest) -> Result<(), DeliveryError> {
    let bytes = Bytes::from(manifest.to_bytes());
    target.put(&manifest.key(), &[bytes], true).await?;
    Ok(())
}

/// Returns the extension of a name, from the first dot after the last `-`: `.jsonl.gz` of
/// `records-shardId-1-0.jsonl.gz`.
fn extension(name: &str) -> &str {
    let last = name.rfind('-').map_or(0, |at| at + 1);
    name[last..].find('.').map_or("", |at| &name[last + at..])
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_is_that_of_format_and_compression() {
        for (name, end) in [
            ("records-shardId-000000000000-7-0.jsonl.gz", ".jsonl.gz"),
            ("a.b-shardId-000000000000-7-0", ""),
            ("a.b-1-2026-03-09-15-04-05-0123.sz", ".sz"),
        ] {
            assert_eq!(extension(name), end);
        }
    }
}
