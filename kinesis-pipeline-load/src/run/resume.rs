//! The resume file: the progress of a load, on disk before more than the window is sent.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::batch::Mark;
use crate::{LoadError, ResumeProblem};

const VERSION: u32 = 1;

/// A resume file that is being kept up to date.
#[derive(Debug)]
pub(crate) struct Resume {
    path: PathBuf,
    load: Load,
    /// Files whose content must be on disk before the mark that counts on it.
    outputs: Vec<Arc<File>>,
}

/// The identity of a load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) stream: String,
    /// The hashes of the files.
    pub(crate) files: Vec<String>,
    pub(crate) tables: Vec<String>,
    /// The kinds of output files.
    pub(crate) outputs: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    version: u32,
    #[serde(flatten)]
    load: Load,
    done: Mark,
}

impl Resume {
    /// Reads the mark of a previous run, if there was one.
    pub(crate) fn read(path: &Path, load: Load) -> Result<(Self, Option<Mark>), LoadError> {
        let problem = |problem| LoadError::Resume {
            path: path.to_owned(),
            problem,
        };
        let mark = match fs::read(path) {
            Ok(bytes) => Some(mark(&bytes, &load).map_err(problem)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(problem(ResumeProblem::Unreadable(error.to_string()))),
        };
        let resume = Self {
            path: path.to_owned(),
            load,
            outputs: Vec::new(),
        };
        resume.try_new().map_err(LoadError::output(path))?;
        Ok((resume, mark))
    }

    /// Makes and removes the new file beside this one: a folder that takes none is told before rows are put.
    fn try_new(&self) -> std::io::Result<()> {
        let new = self.new_path();
        File::create(&new)?;
        fs::remove_file(new)
    }

    fn new_path(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".new");
        name.into()
    }

    pub(crate) fn after(&mut self, outputs: Vec<Arc<File>>) {
        self.outputs = outputs;
    }

    /// Writes a mark. It is on disk on return.
    pub(crate) fn write(&self, mark: &Mark) -> Result<(), LoadError> {
        let content = Content {
            version: VERSION,
            load: self.load.clone(),
            done: mark.clone(),
        };
        self.replace(&content)
            .map_err(LoadError::output(&self.path))
    }

    fn replace(&self, content: &Content) -> std::io::Result<()> {
        for output in &self.outputs {
            output.sync_data()?;
        }
        let new = self.new_path();
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(content)?)?;
        file.sync_all()?;
        fs::rename(new, &self.path)?;
        let parent = self
            .path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        // Without this sync of the folder, the name may still mean the old file after a crash of the machine.
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn mark(bytes: &[u8], load: &Load) -> Result<Mark, ResumeProblem> {
    let content: Content = serde_json::from_slice(bytes)
        .map_err(|error| ResumeProblem::Unreadable(error.to_string()))?;
    if content.version != VERSION {
        let version = format!("version {}", content.version);
        return Err(ResumeProblem::Unreadable(version));
    }
    let other = |what: &str| Err(ResumeProblem::OtherLoad(what.to_owned()));
    if content.load.stream != load.stream {
        return other(&format!("stream `{}`", content.load.stream));
    }
    if content.load.files != load.files {
        return other("the files are others, or changed since");
    }
    if content.load.tables != load.tables {
        return other("the tables are others");
    }
    if content.load.outputs != load.outputs {
        return other("the rejects or export files are others");
    }
    Ok(content.done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> Load {
        Load {
            stream: "s".into(),
            files: vec!["h".into()],
            tables: vec!["t".into()],
            outputs: vec![],
        }
    }

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("resume-{name}-{}", std::process::id()))
    }

    #[test]
    fn the_last_mark_is_read_back() {
        let path = path("back");
        let (resume, none) = Resume::read(&path, load()).unwrap();
        assert_eq!(none, None);
        let mut mark = Mark::default();
        for rows in [7, 9] {
            mark.rows = rows;
            resume.write(&mark).unwrap();
        }
        assert_eq!(Resume::read(&path, load()).unwrap().1, Some(mark));
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_of_another_load_or_of_none_is_refused() {
        let path = path("other");
        let (resume, _) = Resume::read(&path, load()).unwrap();
        resume.write(&Mark::default()).unwrap();
        let mut other = load();
        other.files = vec!["changed".into()];
        let error = Resume::read(&path, other).unwrap_err();
        assert!(matches!(
            error,
            LoadError::Resume {
                problem: ResumeProblem::OtherLoad(_),
                ..
            }
        ));
        fs::write(&path, "{\"version\":1,").unwrap();
        let error = Resume::read(&path, load()).unwrap_err();
        assert!(matches!(
            error,
            LoadError::Resume {
                problem: ResumeProblem::Unreadable(_),
                ..
            }
        ));
        fs::remove_file(path).unwrap();
    }
}
