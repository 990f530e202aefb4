//! The files that a load writes: none is read by it, and none is written twice.

use std::path::{Path, PathBuf, absolute};

use crate::{LoadError, input::InputFile, run::outputs};

/// The files and folders that a load writes to.
pub(super) struct Written<'a> {
    pub(super) rejects: Option<&'a Path>,
    pub(super) resume: Option<&'a Path>,
    pub(super) outdir: Option<&'a Path>,
    pub(super) tables: &'a [String],
}

impl Written<'_> {
    /// Refuses options by which the load would overwrite a file that it reads, or one that it writes.
    pub(super) fn check(&self, read: &[InputFile]) -> Result<(), LoadError> {
        let read: Vec<_> = read.iter().filter_map(InputFile::path).map(place).collect();
        let mut written = Vec::new();
        for path in self.paths() {
            let place = place(&path);
            let problem = if read.contains(&place) {
                "is read and would be overwritten: name another"
            } else if written.contains(&place) {
                "would be written to for two purposes: name another, or rename one of the tables"
            } else {
                written.push(place);
                continue;
            };
            let problem = format!("{} {problem}", path.display());
            return Err(LoadError::Options(problem));
        }
        Ok(())
    }

    fn paths(&self) -> Vec<PathBuf> {
        let rejects = self.rejects.into_iter();
        let rejects = rejects.flat_map(|path| [path.to_owned(), outputs::reasons_of(path)]);
        let resume = self.resume.map(Path::to_owned);
        let exports = self.outdir.into_iter().flat_map(|dir| {
            let tables = self.tables.iter();
            tables.map(move |table| outputs::export_of(dir, table))
        });
        rejects.chain(resume).chain(exports).collect()
    }
}

/// Returns the path of the file without links, as far as it is there.
fn place(path: &Path) -> PathBuf {
    let whole = path.canonicalize().ok();
    whole.unwrap_or_else(|| {
        let path = absolute(path).unwrap_or_else(|_| path.to_owned());
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => place(parent).join(name),
            _ => path,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The message of a load that reads `a.tsv` of a folder and writes these files of it.
    fn told(
        dir: &Path,
        rejects: Option<&str>,
        resume: Option<&str>,
        tables: &[&str],
    ) -> Option<String> {
        let input = InputFile::Path(dir.join("a.tsv"));
        let (rejects, resume) = (
            rejects.map(|name| dir.join(name)),
            resume.map(|name| dir.join(name)),
        );
        let tables: Vec<_> = tables.iter().map(|&table| table.to_owned()).collect();
        let written = Written {
            rejects: rejects.as_deref(),
            resume: resume.as_deref(),
            outdir: Some(&dir.join("out")),
            tables: &tables,
        };
        written.check(&[input]).err().map(|error| error.to_string())
    }

    #[test]
    fn no_file_is_read_and_written_or_written_for_two_purposes() {
        let dir = std::env::temp_dir().join(format!("written-{}", std::process::id()));
        fs::create_dir_all(dir.join("x")).unwrap();
        fs::write(dir.join("a.tsv"), "a\n").unwrap();
        let told = |rejects, resume, tables: &[&str]| told(&dir, rejects, resume, tables);
        let is = |told: Option<String>, words: &str| told.unwrap().contains(words);
        assert_eq!(told(Some("r"), Some("m"), &["t", "u"]), None);
        assert!(is(told(Some("x/../a.tsv"), None, &["t"]), "a.tsv is read"));
        assert!(is(told(None, Some("a.tsv"), &["t"]), "a.tsv is read"));
        assert!(is(told(None, None, &["t", "t"]), "t.json would be"));
        assert!(is(told(Some("m"), Some("m"), &["t"]), "m would be"));
        assert!(is(told(Some("m"), Some("m.reasons"), &["t"]), "m.reasons"));
        assert!(is(
            told(Some("out/t.json"), None, &["t"]),
            "t.json would be"
        ));
        fs::remove_dir_all(dir).unwrap();
    }
}
