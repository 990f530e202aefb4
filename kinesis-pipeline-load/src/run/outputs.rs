//! The output files of a load: rejects, their reasons, and the export of each table.

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::LoadError;

/// A file that grows, and is cut back to a known length when a load is resumed.
pub(crate) struct Output {
    path: PathBuf,
    writer: BufWriter<Arc<File>>,
    length: u64,
}

impl Output {
    /// Opens the file, and leaves what is in it until [`begin`](Self::begin).
    pub(crate) fn open(path: &Path, length: u64) -> Result<Self, LoadError> {
        let failed = || LoadError::output(path);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(failed())?;
        file.seek(SeekFrom::Start(length)).map_err(failed())?;
        Ok(Self {
            path: path.to_owned(),
            writer: BufWriter::new(Arc::new(file)),
            length,
        })
    }

    /// Cuts the file to the length that it was opened with, which drops what an earlier load has left.
    fn begin(&mut self) -> Result<(), LoadError> {
        let file = self.writer.get_ref();
        file.set_len(self.length)
            .map_err(LoadError::output(&self.path))
    }

    /// Appends a line.
    pub(crate) fn line(&mut self, line: &[u8]) -> Result<(), LoadError> {
        let mut write = || {
            self.writer.write_all(line)?;
            self.writer.write_all(b"\n")
        };
        write().map_err(LoadError::output(&self.path))?;
        self.length += line.len() as u64 + 1;
        Ok(())
    }

    /// Whether the first line of the file, as far as it was there when it was opened, is this one.
    fn begins_with(&self, line: &[u8]) -> Result<bool, LoadError> {
        let mut begin = Vec::new();
        let read = File::open(&self.path)
            .and_then(|file| file.take(line.len() as u64 + 1).read_to_end(&mut begin));
        read.map_err(LoadError::output(&self.path))?;
        Ok(begin.split_last() == Some((&b'\n', line)))
    }

    /// Flushes the buffer to the system, and returns the file's length.
    pub(crate) fn flush(&mut self) -> Result<u64, LoadError> {
        self.writer.flush().map_err(LoadError::output(&self.path))?;
        Ok(self.length)
    }

    /// Returns the file, for an fsync from another thread.
    pub(crate) fn file(&self) -> Arc<File> {
        Arc::clone(self.writer.get_ref())
    }
}

/// Returns the path of the reasons beside a rejects file.
pub(crate) fn reasons_of(rejects: &Path) -> PathBuf {
    let mut reasons = rejects.as_os_str().to_owned();
    reasons.push(".reasons");
    reasons.into()
}

/// Returns the path of a table's export.
pub(crate) fn export_of(outdir: &Path, table: &str) -> PathBuf {
    outdir.join(format!("{table}.json"))
}

/// All output files of a load.
#[derive(Default)]
pub(crate) struct Outputs {
    pub(crate) rejects: Option<Rejects>,
    /// The exports, one per model.
    pub(crate) exports: Vec<Output>,
    has_begun: bool,
}

/// Rejected rows as they were, and the reasons.
pub(crate) struct Rejects {
    rows: Output,
    reasons: Output,
    heading: Heading,
}

/// The line that rejected rows stand under.
enum Heading {
    /// No row was rejected in this run.
    Unknown,
    /// None: they are JSON lines.
    Absent,
    Header(Vec<u8>),
}

impl Heading {
    fn is(&self, header: Option<&[u8]>) -> bool {
        match self {
            Self::Unknown => false,
            Self::Absent => header.is_none(),
            Self::Header(line) => header == Some(line),
        }
    }
}

impl Rejects {
    fn open(path: &Path, lengths: [u64; 2]) -> Result<Self, LoadError> {
        Ok(Self {
            rows: Output::open(path, lengths[0])?,
            reasons: Output::open(&reasons_of(path), lengths[1])?,
            heading: Heading::Unknown,
        })
    }

    /// Appends a row as it was. The header of the table is written before the first row, so that the corrected file can
    /// be loaded. Returns false, and writes nothing, if the rows before stand under another header.
    pub(crate) fn row(
        &mut self,
        header: Option<&[u8]>,
        raw: &[u8],
        reason: &str,
    ) -> Result<bool, LoadError> {
        if matches!(self.heading, Heading::Unknown) {
            self.begin(header)?;
        }
        if !self.heading.is(header) {
            return Ok(false);
        }
        self.rows.line(raw)?;
        self.reasons.line(reason.replace('\n', " ").as_bytes())?;
        Ok(true)
    }

    /// Writes the header, unless a previous run has written rows: then they must stand under the same one.
    fn begin(&mut self, header: Option<&[u8]>) -> Result<(), LoadError> {
        match header {
            Some(header) if self.rows.length == 0 => self.rows.line(header)?,
            Some(header) if !self.rows.begins_with(header)? => return Ok(()),
            _ => {}
        }
        let line = header.map(<[u8]>::to_vec);
        self.heading = line.map_or(Heading::Absent, Heading::Header);
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.rows.path
    }
}

impl Outputs {
    /// Opens the files. `lengths` are those of a mark; a file without one begins empty. All keep what is in them until
    /// [`begin`](Self::begin).
    pub(crate) fn open(
        rejects: Option<&Path>,
        outdir: Option<&Path>,
        tables: &[String],
        lengths: &[u64],
    ) -> Result<Self, LoadError> {
        let mut lengths = lengths.iter().copied();
        let mut next = || lengths.next().unwrap_or(0);
        let rejects = match rejects {
            Some(path) => Some(Rejects::open(path, [next(), next()])?),
            None => None,
        };
        let mut exports = Vec::new();
        if let Some(dir) = outdir {
            std::fs::create_dir_all(dir).map_err(LoadError::output(dir))?;
            for table in tables {
                exports.push(Output::open(&export_of(dir, table), next())?);
            }
        }
        Ok(Self {
            rejects,
            exports,
            has_begun: false,
        })
    }

    /// Begins the files anew, once: a load that cannot open its input leaves the files of an earlier one.
    pub(crate) fn begin(&mut self) -> Result<(), LoadError> {
        if std::mem::replace(&mut self.has_begun, true) {
            return Ok(());
        }
        self.all().try_for_each(Output::begin)
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Output> {
        let rejects = self.rejects.iter_mut();
        let rejects = rejects.flat_map(|rejects| [&mut rejects.rows, &mut rejects.reasons]);
        rejects.chain(&mut self.exports)
    }

    /// Flushes all files to the system, and returns their lengths.
    pub(crate) fn flush(&mut self) -> Result<Vec<u64>, LoadError> {
        self.all().map(Output::flush).collect()
    }

    pub(crate) fn files(&mut self) -> Vec<Arc<File>> {
        self.all().map(|output| output.file()).collect()
    }
}
