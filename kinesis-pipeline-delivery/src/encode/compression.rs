/// Compression of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// None. The default.
    #[default]
    None,
    /// Gzip, level 6, in one member, which every reader can read.
    Gzip,
    /// Zstandard, level 3: a frame for each block of 256 KiB, which `zstd -d` and libraries read as one.
    Zstd,
    /// Snappy in its framing format (`.sz`).
    Snappy,
    /// Snappy in Hadoop's blocks, Firehose's `HADOOP_SNAPPY`.
    HadoopSnappy,
}

impl Compression {
    /// Returns the file extension, such as `.gz`; empty without compression.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
            Self::Snappy => ".sz",
            Self::HadoopSnappy => ".snappy",
        }
    }
}
