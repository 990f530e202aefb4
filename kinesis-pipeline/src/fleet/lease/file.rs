use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};

use super::{
    Lease, LeaseChange, LeaseCheckpoint, LeaseFuture, LeaseStore, LeaseStoreError, LeaseWrite,
    LeaseWritten, PendingCheckpoint, memory::write_to,
};
use crate::{
    clock::{epoch_millis, from_epoch_millis},
    shard::{HashKeyRange, ShardId},
};

/// Leases in a file, for workers on one machine. Any number of processes may share it.
///
/// Each write locks a second file (`.lock`), reads the file, writes a new one and renames it. So a crash leaves the old
/// or the new file, never a half. All writes except renewals are synced to the disk. The file system must support file
/// locks, as local ones do. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FileLeases {
    path: Arc<Path>,
}

#[derive(Default, Serialize, Deserialize)]
struct Document {
    version: u32,
    /// The leases by application, then by shard.
    leases: BTreeMap<String, BTreeMap<String, Row>>,
}

/// The version of the file's format.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    counter: u64,
    checkpoint: Place,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun_at_millis: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current_at_millis: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<Pending>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint_owner: Option<String>,
    #[serde(default)]
    owner_switches: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    courteous_owner: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parents: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    children: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash_keys: Option<(String, String)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    TrimHorizon,
    Latest,
    AtTimestamp,
    After(String, u64),
    ShardEnd,
}

#[derive(Serialize, Deserialize)]
struct Pending {
    checkpoint: Place,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state_base64: Option<String>,
}

impl FileLeases {
    /// Makes a store in the file at this path. The file need not exist; its folder must.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into().into(),
        }
    }

    /// Runs `work` on a blocking thread.
    fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> LeaseFuture<'static, T> {
        let path = self.path.clone();
        Box::pin(async move {
            let place = path.display().to_string();
            match tokio::task::spawn_blocking(move || work(&path)).await {
                Ok(result) => result.map_err(|error| store_error(place, error)),
                Err(error) => Err(LeaseStoreError::new(place, error)),
            }
        })
    }
}

fn store_error(place: String, error: io::Error) -> LeaseStoreError {
    let is_final = error.kind() == io::ErrorKind::InvalidData;
    let error = LeaseStoreError::new(place, error);
    if is_final {
        error.not_retryable()
    } else {
        error
    }
}

impl LeaseStore for FileLeases {
    fn list<'a>(&'a self, app: &'a str) -> LeaseFuture<'a, Vec<Lease>> {
        let app = app.to_owned();
        self.with(move |path| {
            // No lock is needed: writers replace the file as a whole.
            let mut document = read(path)?;
            let rows = document.leases.remove(&app).unwrap_or_default();
            rows.into_iter()
                .map(|(id, row)| row.to_lease(&id))
                .collect()
        })
    }

    fn write<'a>(&'a self, app: &'a str, write: LeaseWrite) -> LeaseFuture<'a, LeaseWritten> {
        let app = app.to_owned();
        self.with(move |path| {
            let _locked = lock(path)?;
            let mut document = read(path)?;
            let rows = document.leases.entry(app).or_default();
            let id = write.seen.shard_id.as_str();
            let stored = rows.remove(id).map(|row| row.to_lease(id)).transpose()?;
            let mut table: BTreeMap<ShardId, Lease> = BTreeMap::new();
            table.extend(stored.map(|lease| (lease.shard_id.clone(), lease)));
            let written = write_to(&mut table, &write);
            let rows_after = table.values();
            rows.extend(rows_after.map(|l| (l.shard_id.as_str().to_owned(), Row::of(l))));
            if matches!(written, LeaseWritten::Done(_)) {
                replace(path, &document, write.change != LeaseChange::Renew)?;
            }
            Ok(written)
        })
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(suffix);
    beside.into()
}

/// Waits for the lock. It is released when the returned file is dropped or the process ends.
fn lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).write(true);
    let file = options.open(beside(path, ".lock"))?;
    file.lock()?;
    Ok(file)
}

fn read(path: &Path) -> io::Result<Document> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Document {
                version: VERSION,
                ..Document::default()
            });
        }
        Err(error) => return Err(error),
    };
    let document: Document = serde_json::from_slice(&bytes).map_err(invalid)?;
    if document.version != VERSION {
        let version = document.version;
        let text = format!("its version is {version}, and only {VERSION} is known");
        return Err(invalid(text));
    }
    Ok(document)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn replace(path: &Path, document: &Document, is_synced: bool) -> io::Result<()> {
    let new = beside(path, ".new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec_pretty(document)?)?;
    if is_synced {
        file.sync_all()?;
    }
    fs::rename(&new, path)?;
    if is_synced {
        sync_folder(path)?;
    }
    Ok(())
}

/// Syncs the folder, as otherwise the rename may be lost in a crash.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|path| !path.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

impl Row {
    fn of(lease: &Lease) -> Self {
        let ids = |ids: &[ShardId]| ids.iter().map(ToString::to_string).collect();
        Self {
            owner: lease.owner.as_ref().map(ToString::to_string),
            counter: lease.counter,
            checkpoint: Place::of(&lease.checkpoint),
            begun_at_millis: lease.begun_at.map(epoch_millis),
            current_at_millis: lease.current_at.map(epoch_millis),
            pending: lease.pending.as_ref().map(|pending| Pending {
                checkpoint: Place::of(&pending.checkpoint),
                state_base64: pending.state.as_ref().map(|state| BASE64.encode(state)),
            }),
            checkpoint_owner: lease.checkpoint_owner.as_ref().map(ToString::to_string),
            owner_switches: lease.owner_switches,
            courteous_owner: lease.courteous_owner.as_ref().map(ToString::to_string),
            parents: ids(&lease.parents),
            children: ids(&lease.children),
            hash_keys: lease
                .hash_key_range
                .map(|range| (range.start.to_string(), range.end.to_string())),
        }
    }

    fn to_lease(&self, id: &str) -> io::Result<Lease> {
        let ids = |ids: &[String]| ids.iter().map(|id| ShardId::from(id.as_str())).collect();
        let mut lease = Lease::new(id.into(), self.checkpoint.to_checkpoint()?);
        lease.owner = self.owner.as_deref().map(Into::into);
        lease.counter = self.counter;
        lease.begun_at = self.begun_at_millis.map(from_epoch_millis);
        lease.current_at = self.current_at_millis.map(from_epoch_millis);
        if let Some(pending) = &self.pending {
            let state = pending.state_base64.as_ref();
            let state = state.map(|state| BASE64.decode(state)).transpose();
            lease.pending = Some(PendingCheckpoint {
                checkpoint: pending.checkpoint.to_checkpoint()?,
                state: state.map_err(invalid)?.map(Into::into),
            });
        }
        lease.checkpoint_owner = self.checkpoint_owner.as_deref().map(Into::into);
        lease.owner_switches = self.owner_switches;
        lease.courteous_owner = self.courteous_owner.as_deref().map(Into::into);
        lease.parents = ids(&self.parents);
        lease.children = ids(&self.children);
        if let Some((start, end)) = &self.hash_keys {
            let start = start.parse().map_err(invalid)?;
            let end = end.parse().map_err(invalid)?;
            lease.hash_key_range = Some(HashKeyRange::new(start, end));
        }
        Ok(lease)
    }
}

impl Place {
    fn of(checkpoint: &LeaseCheckpoint) -> Self {
        match checkpoint {
            LeaseCheckpoint::TrimHorizon => Self::TrimHorizon,
            LeaseCheckpoint::Latest => Self::Latest,
            LeaseCheckpoint::AtTimestamp => Self::AtTimestamp,
            LeaseCheckpoint::After {
                sequence_number,
                sub_sequence_number,
            } => Self::After(sequence_number.to_string(), *sub_sequence_number),
            LeaseCheckpoint::ShardEnd => Self::ShardEnd,
        }
    }

    fn to_checkpoint(&self) -> io::Result<LeaseCheckpoint> {
        Ok(match self {
            Self::TrimHorizon => LeaseCheckpoint::TrimHorizon,
            Self::Latest => LeaseCheckpoint::Latest,
            Self::AtTimestamp => LeaseCheckpoint::AtTimestamp,
            Self::After(number, sub_sequence_number) => LeaseCheckpoint::After {
                sequence_number: number.parse().map_err(invalid)?,
                sub_sequence_number: *sub_sequence_number,
            },
            Self::ShardEnd => LeaseCheckpoint::ShardEnd,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::lease::conformance;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let name = format!("kinesis-pipeline-leases-{}", fastrand::u64(..));
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn store(&self) -> FileLeases {
            FileLeases::new(self.0.join("leases.json"))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn a_store_in_a_file_conforms() {
        let folder = Folder::new();
        conformance::check(&folder.store()).await;
    }

    #[tokio::test]
    async fn of_many_stores_on_one_file_one_takes_the_lease() {
        let folder = Folder::new();
        let lease = Lease::new("s".into(), LeaseCheckpoint::TrimHorizon);
        let create = LeaseWrite::create(lease.clone());
        folder.store().write("app", create).await.unwrap();
        let takes = (0..16).map(|number| {
            let (store, lease) = (folder.store(), lease.clone());
            tokio::spawn(async move {
                let take = LeaseWrite::take(lease, format!("worker-{number}").into());
                matches!(
                    store.write("app", take).await.unwrap(),
                    LeaseWritten::Done(_)
                )
            })
        });
        let mut count = 0;
        for take in takes.collect::<Vec<_>>() {
            count += usize::from(take.await.unwrap());
        }
        assert_eq!(count, 1);
    }

    #[tokio::test]
    async fn a_file_that_is_no_store_is_an_error_that_names_it_and_stays_as_it_is() {
        let folder = Folder::new();
        let path = folder.0.join("leases.json");
        fs::write(&path, "{").unwrap();
        let error = folder.store().list("app").await.unwrap_err();
        assert!(error.to_string().contains("leases.json") && !error.is_retryable());
        let lease = Lease::new("s".into(), LeaseCheckpoint::TrimHorizon);
        let write = LeaseWrite::create(lease);
        assert!(folder.store().write("app", write).await.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"{");
    }
}
