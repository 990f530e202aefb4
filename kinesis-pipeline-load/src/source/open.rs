//! Opening and decompression of files.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use crate::{LoadError, input::InputFile};

/// The size of one read of a file, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// A table's bytes, decompressed.
pub(crate) struct Opened {
    pub(crate) name: String,
    pub(crate) reader: Box<dyn Read + Send>,
}

/// Opens a table. The bytes of the file that are read are added to `read`.
pub(crate) fn open(file: InputFile, read: &Arc<AtomicU64>) -> Result<Opened, LoadError> {
    let name = file.name();
    let reader: Box<dyn Read + Send> = match file {
        InputFile::Path(path) => open_path(&path, &name, read)?,
        InputFile::Stdin => Box::new(Counted::new(io::stdin(), read)),
        InputFile::Reader(_, reader) => Box::new(Counted::new(reader, read)),
    };
    Ok(Opened { name, reader })
}

fn open_path(
    path: &Path,
    name: &str,
    read: &Arc<AtomicU64>,
) -> Result<Box<dyn Read + Send>, LoadError> {
    let file = open_file(path, name)?;
    let counted = BufReader::with_capacity(READ_BYTES, Counted::new(file, read));
    let ending = path.extension().and_then(|ending| ending.to_str());
    Ok(match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("gz") => Box::new(MultiGzDecoder::new(counted)),
        Some("zst" | "zstd") => {
            let decoder = zstd::stream::read::Decoder::with_buffer(counted);
            Box::new(decoder.map_err(cannot_be_opened(name))?)
        }
        _ => Box::new(counted),
    })
}

fn open_file(path: &Path, name: &str) -> Result<File, LoadError> {
    let file = File::open(path).map_err(cannot_be_opened(name))?;
    if file.metadata().map_err(cannot_be_opened(name))?.is_dir() {
        let problem = "this is a directory: name the files in it";
        return Err(LoadError::input(name, problem));
    }
    Ok(file)
}

fn cannot_be_opened(name: &str) -> impl Fn(io::Error) -> LoadError {
    move |source| LoadError::io(name, "cannot be opened", source)
}

/// Returns the SHA-256 of a file's bytes, in hexadecimal digits.
pub(crate) fn sha256(path: &Path, name: &str) -> Result<String, LoadError> {
    let mut file = open_file(path, name)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let bytes = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(LoadError::io(name, "cannot be read", error)),
        };
        hasher.update(&buffer[..bytes]);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let hex = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let hex = hex.filter_map(|digit| char::from_digit(digit.into(), 16));
    Ok(hex.collect())
}

/// A reader that counts the bytes read.
struct Counted<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R> Counted<R> {
    fn new(inner: R, bytes: &Arc<AtomicU64>) -> Self {
        let bytes = Arc::clone(bytes);
        Self { inner, bytes }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}
