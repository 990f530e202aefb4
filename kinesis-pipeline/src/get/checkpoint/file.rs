use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{Checkpoint, CheckpointError, CheckpointFuture, CheckpointPlace, CheckpointStore};
use crate::{
    clock::{epoch_millis, from_epoch_millis},
    shard::ShardId,
};

/// Checkpoints in one JSON file, for a reader on one machine.
///
/// Each save writes the whole file anew beside the old one, syncs it to the disk and puts it in the old one's
/// place, so a crash leaves the old or the new file, never half of one. Times are kept in milliseconds.
///
/// Use one value per file: two of them, or two processes, overwrite each other's checkpoints.
///
/// # Examples
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use bytes::Bytes;
/// use kinesis_pipeline::{FileCheckpoints, KinesisStream, LocalKinesis, StartAt, Until};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 1).await?;
/// stream.put(&"21.5".into()).await?;
///
/// # let path = std::env::temp_dir().join(format!("checkpoints-doc-{}.json", std::process::id()));
/// let store = FileCheckpoints::new(&path);
/// for count in [1, 0] {
///     let reader = stream.reader().start(StartAt::TrimHorizon).until(Until::Tip);
///     let mut records = reader.checkpoints(store.clone(), "billing").open().await?;
///     let mut found = 0;
///     while let Some(record) = records.next().await {
///         println!("{:?}", record?.data);
///         found += 1;
///     }
///     assert_eq!(found, count, "the second reader goes on behind the first");
/// }
/// # std::fs::remove_file(path)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FileCheckpoints {
    path: Arc<Path>,
    /// The contents of the file; `None` before it was first read. Locked while the file is written.
    table: Arc<Mutex<Option<Table>>>,
}

/// The rows by application, stream and shard.
type Table = BTreeMap<(String, String, String), Row>;

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    checkpoints: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    app: String,
    stream: String,
    shard_id: String,
    #[serde(flatten)]
    row: Row,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    place: Place,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arrived_at_millis: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current_at_millis: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream_created_at_millis: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    TrimHorizon,
    TimestampMillis(u64),
    After {
        sequence_number: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sub_sequence_number: Option<u64>,
    },
    ShardEnd,
}

/// The only version of the file's format so far.
const VERSION: u32 = 1;

impl FileCheckpoints {
    /// Makes a store in the file at this path. The file need not exist; its folder must.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into().into(),
            table: Arc::default(),
        }
    }

    /// Runs `change` on the table, on a thread that may block, and writes the file if it changed.
    fn with<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Table) -> Result<T, io::Error> + Send + 'static,
    ) -> CheckpointFuture<'static, T> {
        let (path, table) = (self.path.clone(), self.table.clone());
        let place = path.display().to_string();
        let work = move || {
            let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
            let old = match table.take() {
                Some(old) => old,
                None => read(&path)?,
            };
            let mut new = old.clone();
            let result = change(&mut new);
            let written = match &result {
                Ok(_) if new != old => write(&path, &new),
                _ => Ok(()),
            };
            // If the write failed, the old table stays in memory, so that the next save finds a change and writes again.
            let is_done = written.is_ok() && result.is_ok();
            *table = Some(if is_done { new } else { old });
            written.and(result)
        };
        Box::pin(async move {
            match tokio::task::spawn_blocking(work).await {
                Ok(result) => result.map_err(|error| CheckpointError::new(place, error)),
                Err(error) => Err(CheckpointError::new(place, error)),
            }
        })
    }
}

impl CheckpointStore for FileCheckpoints {
    fn load<'a>(&'a self, app: &'a str, stream: &'a str) -> CheckpointFuture<'a, Vec<Checkpoint>> {
        let (app, stream) = (app.to_owned(), stream.to_owned());
        self.with(move |table| {
            let rows = table
                .iter()
                .filter(|((a, s, _), _)| *a == app && *s == stream);
            rows.map(|((_, _, shard), row)| row.to_checkpoint(shard))
                .collect()
        })
    }

    fn save<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        checkpoints: Vec<Checkpoint>,
    ) -> CheckpointFuture<'a, ()> {
        let (app, stream) = (app.to_owned(), stream.to_owned());
        self.with(move |table| {
            for checkpoint in checkpoints {
                let shard = checkpoint.shard_id.as_str().to_owned();
                table.insert((app.clone(), stream.clone(), shard), Row::of(&checkpoint));
            }
            Ok(())
        })
    }

    fn remove<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        shards: Vec<ShardId>,
    ) -> CheckpointFuture<'a, ()> {
        let (app, stream) = (app.to_owned(), stream.to_owned());
        self.with(move |table| {
            for shard in shards {
                table.remove(&(app.clone(), stream.clone(), shard.as_str().to_owned()));
            }
            Ok(())
        })
    }
}

fn read(path: &Path) -> io::Result<Table> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Table::new()),
        Err(error) => return Err(error),
    };
    let document: Document = serde_json::from_slice(&bytes)?;
    if document.version != VERSION {
        let text = format!(
            "its version is {}, and only {VERSION} is known",
            document.version
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let entries = document.checkpoints.into_iter();
    Ok(entries
        .map(|entry| ((entry.app, entry.stream, entry.shard_id), entry.row))
        .collect())
}

fn write(path: &Path, table: &Table) -> io::Result<()> {
    let entry = |((app, stream, shard_id), row): (&(String, String, String), &Row)| Entry {
        app: app.clone(),
        stream: stream.clone(),
        shard_id: shard_id.clone(),
        row: row.clone(),
    };
    let document = Document {
        version: VERSION,
        checkpoints: table.iter().map(entry).collect(),
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec_pretty(&document)?)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_folder(path)
}

/// Syncs the folder: only then is the new name of a file on the disk.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

impl Row {
    fn of(checkpoint: &Checkpoint) -> Self {
        let place = match &checkpoint.place {
            CheckpointPlace::TrimHorizon => Place::TrimHorizon,
            CheckpointPlace::Timestamp(time) => Place::TimestampMillis(epoch_millis(*time)),
            CheckpointPlace::After {
                sequence_number,
                sub_sequence_number,
            } => Place::After {
                sequence_number: sequence_number.to_string(),
                sub_sequence_number: *sub_sequence_number,
            },
            CheckpointPlace::ShardEnd => Place::ShardEnd,
        };
        Self {
            place,
            arrived_at_millis: checkpoint.arrived_at.map(epoch_millis),
            current_at_millis: checkpoint.current_at.map(epoch_millis),
            stream_created_at_millis: checkpoint.stream_created_at.map(epoch_millis),
        }
    }

    fn to_checkpoint(&self, shard: &str) -> io::Result<Checkpoint> {
        let place = match &self.place {
            Place::TrimHorizon => CheckpointPlace::TrimHorizon,
            Place::TimestampMillis(millis) => {
                CheckpointPlace::Timestamp(from_epoch_millis(*millis))
            }
            Place::After {
                sequence_number,
                sub_sequence_number,
            } => CheckpointPlace::After {
                sequence_number: sequence_number
                    .parse()
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
                sub_sequence_number: *sub_sequence_number,
            },
            Place::ShardEnd => CheckpointPlace::ShardEnd,
        };
        Ok(Checkpoint {
            shard_id: shard.into(),
            place,
            arrived_at: self.arrived_at_millis.map(from_epoch_millis),
            current_at: self.current_at_millis.map(from_epoch_millis),
            stream_created_at: self.stream_created_at_millis.map(from_epoch_millis),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::get::checkpoint::conformance;

    /// A path in the folder for temporary files, removed when dropped.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str) -> Self {
            let name = format!("kinesis-pipeline-{}-{name}.json", fastrand::u64(..));
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[tokio::test]
    async fn a_store_in_a_file_conforms() {
        let path = Temporary::new("conforms");
        conformance::check(&FileCheckpoints::new(&path.0)).await;
    }

    #[tokio::test]
    async fn a_new_store_reads_what_an_earlier_one_wrote() {
        let path = Temporary::new("again");
        let rows = conformance::one_of_each();
        FileCheckpoints::new(&path.0)
            .save("app", "s", rows.clone())
            .await
            .unwrap();
        let again = FileCheckpoints::new(&path.0)
            .load("app", "s")
            .await
            .unwrap();
        assert_eq!(again, rows);
    }

    #[tokio::test]
    async fn a_file_of_an_earlier_version_that_knew_fewer_times_is_read() {
        let path = Temporary::new("earlier");
        let file = r#"{"version": 1, "checkpoints": [
            {"app": "app", "stream": "s", "shard_id": "a", "place": "shard_end"},
            {"app": "app", "stream": "s", "shard_id": "b", "place": {"timestamp_millis": 7},
             "arrived_at_millis": 5}
        ]}"#;
        fs::write(&path.0, file).unwrap();
        let store = FileCheckpoints::new(&path.0);
        let begun = CheckpointPlace::Timestamp(from_epoch_millis(7));
        let expected = [
            Checkpoint::new("a".into(), CheckpointPlace::ShardEnd),
            Checkpoint::new("b".into(), begun).arrived_at(from_epoch_millis(5)),
        ];
        assert_eq!(store.load("app", "s").await.unwrap(), expected);
    }

    #[tokio::test]
    async fn a_file_that_is_no_store_is_an_error_that_names_it_and_stays_as_it_is() {
        let path = Temporary::new("broken");
        fs::write(&path.0, "{").unwrap();
        let store = FileCheckpoints::new(&path.0);
        let error = store.load("app", "s").await.unwrap_err();
        assert!(error.to_string().contains("broken.json"), "{error}");
        assert!(
            store
                .save("app", "s", conformance::one_of_each())
                .await
                .is_err()
        );
        assert_eq!(fs::read(&path.0).unwrap(), b"{");
    }
}
