//! Opening, decompression and hashing of files.

use std::{
    fs::File,
    io::{self, BufRead, Read},
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use super::watched::{Length, READ_BYTES, Watched};
use crate::{LoadError, input::InputFile};

/// A table's bytes, decompressed.
pub(crate) struct Opened {
    pub(crate) name: String,
    pub(crate) reader: Box<dyn Read + Send>,
}

/// The bytes of a file that was read once already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hashed {
    /// The SHA-256 in hexadecimal digits.
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

/// Opens a table. The bytes of the file that are read are added to `read`. A file that was hashed must have the length
/// that it had then.
pub(crate) fn open(
    file: InputFile,
    read: &Arc<AtomicU64>,
    hashed: Option<&Hashed>,
) -> Result<Opened, LoadError> {
    let name = file.name();
    let reader: Box<dyn Read + Send> = match file {
        InputFile::Path(path) => {
            let file = open_file(&path, &name)?;
            let length = match (hashed, file.metadata()) {
                (Some(hashed), _) => Length::Exactly(hashed.bytes),
                (None, Ok(data)) if data.is_file() => Length::AtLeast(data.len()),
                (None, _) => Length::Unknown,
            };
            let watched = Watched::new(file, &name, length, read);
            decompressed(watched, &path).map_err(cannot_be_opened(&name))?
        }
        InputFile::Stdin => Box::new(Watched::new(io::stdin(), &name, Length::Unknown, read)),
        InputFile::Reader(_, reader) => {
            Box::new(Watched::new(reader, &name, Length::Unknown, read))
        }
    };
    Ok(Opened { name, reader })
}

/// Opens a file by its path, decompressed.
pub(crate) fn open_path(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    decompressed(io::BufReader::new(File::open(path)?), path)
}

/// Returns the reader, decompressed by the ending of the path.
fn decompressed(
    reader: impl BufRead + Send + 'static,
    path: &Path,
) -> io::Result<Box<dyn Read + Send>> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    Ok(match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("gz") => Box::new(MultiGzDecoder::new(reader)),
        Some("zst" | "zstd") => Box::new(zstd::stream::read::Decoder::with_buffer(reader)?),
        _ => Box::new(reader),
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

/// Hashes a file's bytes. Returns `None` if the load is stopped meanwhile.
pub(crate) fn hash(
    path: &Path,
    name: &str,
    is_stopped: impl Fn() -> bool,
) -> Result<Option<Hashed>, LoadError> {
    let mut file = open_file(path, name)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut bytes = 0;
    while !is_stopped() {
        match file.read(&mut buffer) {
            Ok(0) => {
                let sha256 = hex(hasher.finalize().into());
                return Ok(Some(Hashed { sha256, bytes }));
            }
            Ok(read) => {
                hasher.update(&buffer[..read]);
                bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(LoadError::io(name, "cannot be read", error)),
        }
    }
    Ok(None)
}

fn hex(digest: [u8; 32]) -> String {
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    digits.collect()
}
