//! The resume file: the progress of a load, on disk before more than the window is sent.

use std::{
    fs::{self, File, TryLockError},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use kinesis_pipeline::service::StreamSummary;
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
    /// The hashes of the files of the previous run.
    before: Option<Vec<String>>,
    /// The lock file, held until the load ends.
    _lock: Option<File>,
}

/// The identity of a load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) stream: String,
    /// The stream of this name that is meant, if it could be described.
    #[serde(default)]
    pub(crate) made: Option<Made>,
    /// The hashes of the files.
    pub(crate) files: Vec<String>,
    pub(crate) tables: Vec<String>,
    /// The kinds of output files.
    pub(crate) outputs: Vec<String>,
}

/// The identity of a stream among those of its name: in other accounts and regions, and made before or after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    arn: String,
    at_millis: u64,
}

impl Made {
    pub(crate) fn of(stream: &StreamSummary) -> Self {
        let since = stream.created_at.duration_since(UNIX_EPOCH);
        Self {
            arn: stream.arn.clone(),
            at_millis: u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    version: u32,
    #[serde(flatten)]
    load: Load,
    done: Mark,
}

impl Resume {
    /// Reads the mark of a previous run, if there was one. The files of the load may be named later, by
    /// [`set_files`](Self::set_files).
    pub(crate) fn read(path: &Path, mut load: Load) -> Result<(Self, Option<Mark>), LoadError> {
        let problem = |problem| problem_of(path, problem);
        let lock = lock(path)?;
        let content = match fs::read(path) {
            Ok(bytes) => Some(content(&bytes, &load).map_err(problem)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(problem(ResumeProblem::Unreadable(error.to_string()))),
        };
        let (before, mark) = match content {
            Some(content) => {
                load.made = load.made.or(content.load.made);
                (Some(content.load.files), Some(content.done))
            }
            None => (None, None),
        };
        let resume = Self {
            path: path.to_owned(),
            load,
            outputs: Vec::new(),
            before,
            _lock: lock,
        };
        resume.try_new().map_err(LoadError::output(path))?;
        Ok((resume, mark))
    }

    /// Sets the hashes of the files, which must be those of the previous run.
    pub(crate) fn set_files(&mut self, files: Vec<String>) -> Result<(), LoadError> {
        if self.before.as_ref().is_some_and(|before| *before != files) {
            let problem =
                ResumeProblem::OtherLoad("the files are others, or changed since".to_owned());
            return Err(problem_of(&self.path, problem));
        }
        self.load.files = files;
        Ok(())
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

fn problem_of(path: &Path, problem: ResumeProblem) -> LoadError {
    let path = path.to_owned();
    LoadError::Resume { path, problem }
}

/// Locks a file beside the resume file, which is itself replaced at every write. A file system without locks gives none.
fn lock(path: &Path) -> Result<Option<File>, LoadError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::options().create(true).append(true).open(&name);
    let file = file.map_err(LoadError::output(name))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(problem_of(path, ResumeProblem::InUse)),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Reads the content of a resume file of this load; its files are not looked at.
fn content(bytes: &[u8], load: &Load) -> Result<Content, ResumeProblem> {
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
    if let (Some(before), Some(now)) = (&content.load.made, &load.made) {
        if before.arn != now.arn {
            return other(&format!("stream `{}`", before.arn));
        }
        if before != now {
            return other("the stream was deleted and made again since");
        }
    }
    if content.load.tables != load.tables {
        return other("the tables are others");
    }
    if content.load.outputs != load.outputs {
        return other("the rejects or export files are others");
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> Load {
        Load {
            stream: "s".into(),
            made: None,
            files: vec!["h".into()],
            tables: vec!["t".into()],
            outputs: vec![],
        }
    }

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("resume-{name}-{}", std::process::id()))
    }

    fn remove(path: &Path) {
        fs::remove_file(path).unwrap();
        fs::remove_file(path.with_added_extension("lock")).unwrap();
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
        drop(resume);
        assert_eq!(Resume::read(&path, load()).unwrap().1, Some(mark));
        remove(&path);
    }

    #[test]
    fn a_file_of_another_load_or_of_none_is_refused() {
        let path = path("other");
        let made = |arn: &str, at_millis| {
            let arn = arn.to_owned();
            Some(Made { arn, at_millis })
        };
        let with = |made| Load { made, ..load() };
        let (resume, _) = Resume::read(&path, with(made("a", 7))).unwrap();
        resume.write(&Mark::default()).unwrap();
        drop(resume);
        let told = |load| {
            Resume::read(&path, load)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        assert_eq!(told(with(made("a", 7))), Ok(()));
        assert_eq!(told(with(None)), Ok(()));
        let table = || Load {
            tables: vec!["u".into()],
            ..load()
        };
        for (load, words) in [
            (with(made("b", 7)), "stream `a`"),
            (with(made("a", 8)), "deleted and made again"),
            (table(), "the tables are others"),
        ] {
            let told = told(load).unwrap_err();
            assert!(
                told.contains("belongs to another load") && told.contains(words),
                "{told}"
            );
        }
        let (mut resume, _) = Resume::read(&path, load()).unwrap();
        resume.set_files(vec!["h".into()]).unwrap();
        let error = resume.set_files(vec!["changed".into()]).unwrap_err();
        assert!(error.to_string().contains("the files are others"));
        drop(resume);
        fs::write(&path, "{\"version\":1,").unwrap();
        assert!(told(load()).unwrap_err().contains("this is no resume file"));
        remove(&path);
    }

    #[test]
    fn one_load_at_a_time_uses_a_file() {
        let path = path("lock");
        let (first, _) = Resume::read(&path, load()).unwrap();
        let error = Resume::read(&path, load()).unwrap_err();
        assert!(matches!(
            error,
            LoadError::Resume {
                problem: ResumeProblem::InUse,
                ..
            }
        ));
        first.write(&Mark::default()).unwrap();
        drop(first);
        Resume::read(&path, load()).unwrap();
        remove(&path);
    }
}
