use std::{collections::HashMap, path::Path};

use csv::ReaderBuilder;

use crate::{Format, source::open_path};

/// The reason why a map could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadMapError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    #[non_exhaustive]
    Read {
        /// The file.
        file: String,
        /// The reader's error.
        source: csv::Error,
    },
    /// The file has no such column.
    #[error("{file}: the header has no column `{column}`")]
    #[non_exhaustive]
    NoColumn {
        /// The file.
        file: String,
        /// The column.
        column: String,
    },
    /// The file has a key twice.
    #[error("{file}, line {line}: the key {key:?} stands there a second time")]
    #[non_exhaustive]
    Twice {
        /// The file.
        file: String,
        /// The line.
        line: u64,
        /// The key.
        key: String,
    },
}

/// Reads a map from two columns of a file, for `#[kinesis(map = ...)]`: keys of `key`, values of `value`.
///
/// The file's extension gives the format, TSV otherwise, and `.gz` and `.zst` are decompressed. The whole map is held in
/// memory.
///
/// ```
/// # use std::{collections::HashMap, sync::LazyLock};
/// use kinesis_pipeline_load::read_map;
///
/// # let dir = std::env::temp_dir();
/// # let path = dir.join(format!("countries-{}.csv", std::process::id()));
/// # std::fs::write(&path, "code,name\nNL,Netherlands\n")?;
/// let countries = read_map(&path, "code", "name")?;
/// assert_eq!(countries["NL"], "Netherlands");
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ReadMapError`]: the file cannot be read, has no such column, or has a key twice.
pub fn read_map(
    path: impl AsRef<Path>,
    key: &str,
    value: &str,
) -> Result<HashMap<String, String>, ReadMapError> {
    let path = path.as_ref();
    let file = path.display().to_string();
    let delimiter = match Format::of_path(path) {
        Some(Format::Delimited(delimiter)) => delimiter,
        _ => b'\t',
    };
    let read = |source| ReadMapError::Read {
        file: file.clone(),
        source,
    };
    let input = open_path(path).map_err(|error| read(error.into()))?;
    let mut reader = ReaderBuilder::new().delimiter(delimiter).from_reader(input);
    let header = reader.headers().map_err(read)?.clone();
    let position = |column: &str| {
        let found = header.iter().position(|name| name == column);
        found.ok_or_else(|| ReadMapError::NoColumn {
            file: file.clone(),
            column: column.to_owned(),
        })
    };
    let (key_at, value_at) = (position(key)?, position(value)?);
    let mut map = HashMap::new();
    for row in reader.records() {
        let row = row.map_err(read)?;
        let cell = |at| row.get(at).unwrap_or_default().to_owned();
        if map.insert(cell(key_at), cell(value_at)).is_some() {
            return Err(ReadMapError::Twice {
                file: file.clone(),
                line: row.position().map_or(0, csv::Position::line),
                key: cell(key_at),
            });
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    #[test]
    fn a_compressed_file_is_decompressed() {
        let text = b"code,name\nNL,Netherlands\n";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        let zstd = || zstd::encode_all(&text[..], 1).unwrap();
        for (ending, bytes) in [
            ("gz", gzip.finish().unwrap()),
            ("zst", zstd()),
            ("zstd", zstd()),
        ] {
            let name = format!("map-{}.csv.{ending}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::write(&path, bytes).unwrap();
            let map = read_map(&path, "code", "name");
            fs::remove_file(path).unwrap();
            assert_eq!(map.unwrap()["NL"], "Netherlands", "{ending}");
        }
    }
}
