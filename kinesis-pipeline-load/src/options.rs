use std::path::{Path, PathBuf};

/// The format of the input.
///
/// ```
/// use std::path::Path;
///
/// use kinesis_pipeline_load::Format;
///
/// assert_eq!(Format::of_path(Path::new("airports.csv.gz")), Some(Format::CSV));
/// assert_eq!(Format::of_path(Path::new("airports.txt")), None); // read as TSV, unless a format is set
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Cells with this byte as the delimiter, quoted with `"` where needed; the first row is the header.
    Delimited(u8),
    /// A JSON object a line. Columns are the names of its fields; `a.b` is the field `b` of the object `a`.
    JsonLines,
}

impl Format {
    /// Cells separated by tabs: the default.
    pub const TSV: Self = Self::Delimited(b'\t');
    /// Cells separated by commas.
    pub const CSV: Self = Self::Delimited(b',');

    /// Returns the format of a file's extension; an extension of a compression is skipped.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = ["gz", "zst", "zstd"]
            .iter()
            .find_map(|ending| name.strip_suffix(&format!(".{ending}")))
            .unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "tsv" | "tab" => Some(Self::TSV),
            "csv" => Some(Self::CSV),
            "jsonl" | "ndjson" | "json" => Some(Self::JsonLines),
            _ => None,
        }
    }
}

/// The way to handle rows that are not valid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// The load stops at the first such row. Rows before it are put.
    #[default]
    Stop,
    /// The row is left out, counted and logged.
    Skip,
    /// The row is left out and written to this file as it was. A second file of the same name and `.reasons` has a
    /// line for each: the file, the line and the reason. Files with different headers cannot share one: the load ends at
    /// the first row that would stand under the header of another file.
    Rejects(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_tells_the_format_beneath_that_of_the_compression() {
        for (name, format) in [
            ("a.tsv", Some(Format::TSV)),
            ("a.CSV.GZ", Some(Format::CSV)),
            ("dir/a.jsonl.zst", Some(Format::JsonLines)),
            ("a.csv.zstd", Some(Format::CSV)),
            ("a.gz", None),
            ("a", None),
        ] {
            assert_eq!(Format::of_path(Path::new(name)), format, "{name}");
        }
    }
}
