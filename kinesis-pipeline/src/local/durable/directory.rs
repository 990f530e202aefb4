//! The data directory: its marker file, and the lock against other processes.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use crate::local::LocalError;

/// The marker file: its text names the format of the directory, its lock belongs to the process that uses it.
const MARKER: &str = "kinesis-pipeline.txt";
/// The text of the marker, which changes with the format of the store.
const MARKER_TEXT: &str = "streams of an embedded Kinesis, made by kinesis-pipeline; format 1\n";
/// The greatest length of a marker, in any format.
const MARKER_BYTES_MAX: u64 = 1024;

/// A locked data directory, until this is dropped.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Takes a directory; makes it if it is absent.
    pub(super) fn take(path: PathBuf) -> Result<Self, LocalError> {
        let unusable = |error| LocalError::unusable(&path, error);
        if path.exists() && !path.is_dir() {
            return Err(LocalError::foreign(&path, "it is not a directory"));
        }
        fs::create_dir_all(&path).map_err(unusable)?;
        let marker = path.join(MARKER);
        if !marker.exists() && !is_empty(&path).map_err(unusable)? {
            let reason = "it holds files that the embedded Kinesis did not write";
            return Err(LocalError::foreign(&path, reason));
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&marker);
        let mut file = file.map_err(|error| LocalError::unusable(&marker, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LocalError::in_use(&path)),
            Err(TryLockError::Error(error)) => return Err(LocalError::unusable(&marker, error)),
        }
        check(&mut file, &marker)?;
        Ok(Self { path, _lock: file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn is_empty(path: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(path)?.next().is_none())
}

/// Reads the marker; writes it if it is new, or was not written to its end.
fn check(file: &mut File, marker: &Path) -> Result<(), LocalError> {
    let unusable = |error| LocalError::unusable(marker, error);
    let mut bytes = Vec::new();
    let mut start = io::Read::by_ref(file).take(MARKER_BYTES_MAX);
    start.read_to_end(&mut bytes).map_err(unusable)?;
    if bytes == MARKER_TEXT.as_bytes() {
        return Ok(());
    }
    if !MARKER_TEXT.as_bytes().starts_with(&bytes) {
        let reason = "another version of kinesis-pipeline, or another program, wrote it";
        return Err(LocalError::foreign(marker, reason));
    }
    file.rewind().map_err(unusable)?;
    file.write_all(MARKER_TEXT.as_bytes()).map_err(unusable)?;
    file.sync_all().map_err(unusable)
}
