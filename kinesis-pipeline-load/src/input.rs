use std::{
    fmt,
    fs::File,
    io::{Read, Stdin},
    path::{Path, PathBuf},
};

/// The tables to load: files, standard input, or a reader of yours. A path is an input of that one file.
///
/// ```
/// # use kinesis_pipeline_load::{Format, LoadError, Loader};
/// use kinesis_pipeline_load::Input;
///
/// # async fn example(make: impl Fn() -> Loader) -> Result<(), LoadError> {
/// make().load("airports.csv.gz").await?;
/// make().load(Input::files(["january.tsv", "february.tsv"])).await?;
/// make().load(Input::stdin()).await?;
/// let rows = "device\nd1\nd2\n".as_bytes();
/// make().load(Input::reader("my rows", rows)).await?;
/// # Ok(())
/// # }
/// ```
pub struct Input(pub(crate) Vec<InputFile>);

/// One table.
pub(crate) enum InputFile {
    Path(PathBuf),
    Stdin,
    Reader(String, Box<dyn Read + Send>),
}

impl Input {
    /// Makes an input of files, which are read one after the other, each with its own header. File extensions give the
    /// compression, `.gz` or `.zst`, and the format unless one is set.
    pub fn files<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self(
            paths
                .into_iter()
                .map(|path| InputFile::Path(path.into()))
                .collect(),
        )
    }

    /// Makes an input of standard input.
    #[must_use]
    pub fn stdin() -> Self {
        Self(vec![InputFile::Stdin])
    }

    /// Makes an input of a reader, which has this name in messages.
    pub fn reader(name: impl Into<String>, reader: impl Read + Send + 'static) -> Self {
        Self(vec![InputFile::Reader(name.into(), Box::new(reader))])
    }
}

impl From<&str> for Input {
    fn from(path: &str) -> Self {
        Self::files([path])
    }
}

impl From<&Path> for Input {
    fn from(path: &Path) -> Self {
        Self::files([path])
    }
}

impl From<PathBuf> for Input {
    fn from(path: PathBuf) -> Self {
        Self::files([path])
    }
}

/// Makes an input of an open file. Its name is not known: set the format, unless it is TSV.
impl From<File> for Input {
    fn from(file: File) -> Self {
        Self::reader("<file>", file)
    }
}

impl From<Stdin> for Input {
    fn from(_: Stdin) -> Self {
        Self::stdin()
    }
}

impl From<Box<dyn Read + Send>> for Input {
    fn from(reader: Box<dyn Read + Send>) -> Self {
        Self::reader("<reader>", reader)
    }
}

impl InputFile {
    /// Returns the table's name in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Path(path) => path.display().to_string(),
            Self::Stdin => "<stdin>".to_owned(),
            Self::Reader(name, _) => name.clone(),
        }
    }

    /// Whether this is a file of the disk, which is there as a whole and can be read twice.
    pub(crate) fn is_regular(&self) -> bool {
        let data = self.path().and_then(|path| path.metadata().ok());
        data.is_some_and(|data| data.is_file())
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Stdin | Self::Reader(..) => None,
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(InputFile::name))
            .finish()
    }
}
