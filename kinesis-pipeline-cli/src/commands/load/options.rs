//! The options of the command line, as settings of a loader.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use kinesis_pipeline_load::{ColumnType, Format, Input, Loader, Policy, Untyped};

use super::Load;
use crate::failure::Failure;

/// The number of rows that give the types of the columns.
const SAMPLE_ROWS: u64 = 1_000;
/// The table name of standard input.
const STDIN_TABLE: &str = "stdin";

/// The names of the formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatName {
    /// Cells with tabs between them.
    Tsv,
    /// Cells with commas between them.
    Csv,
    /// A JSON object a line, put as it is.
    Jsonl,
}

/// Reads the character between cells.
pub(super) fn delimiter(text: &str) -> Result<u8, String> {
    let byte = match text.as_bytes() {
        b"\\t" => b'\t',
        [byte] => *byte,
        _ => return Err(format!("`{text}` is not one character of ASCII")),
    };
    if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') {
        return Ok(byte);
    }
    Err(format!("`{text}` cannot stand between cells"))
}

/// Reads `COLUMN=TYPE`. A column may have `=` in its name.
pub(super) fn column_type(text: &str) -> Result<(String, ColumnType), String> {
    let (column, name) = text
        .rsplit_once('=')
        .ok_or_else(|| format!("`{text}` is not COLUMN=TYPE, such as zip=text"))?;
    Ok((column.to_owned(), name.parse()?))
}

/// Returns the table's name: that of the first file, without its extensions.
fn table_of(path: Option<&PathBuf>) -> String {
    let stem = path
        .filter(|path| !is_stdin(path))
        .and_then(|path| path.file_name()?.to_str())
        .and_then(|name| name.split('.').find(|part| !part.is_empty()));
    stem.unwrap_or(STDIN_TABLE).to_owned()
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

impl Load {
    fn paths(&self) -> &[PathBuf] {
        if self.files.is_empty() {
            &self.input
        } else {
            &self.files
        }
    }

    pub(super) fn reads_stdin(&self) -> bool {
        match self.paths() {
            [] => true,
            [one] => is_stdin(one),
            _ => false,
        }
    }

    pub(super) fn input(&self) -> Input {
        if self.reads_stdin() {
            return Input::stdin();
        }
        Input::files(self.paths().iter().cloned())
    }

    pub(super) fn untyped(&self, key: Option<&str>) -> Untyped {
        let name = self.table.clone();
        let name = name.unwrap_or_else(|| table_of(self.paths().first()));
        let mut table = Untyped::new(name).types_from_sample(SAMPLE_ROWS);
        table = if self.nulls.is_empty() {
            table.nulls(["NULL", ""])
        } else {
            table.nulls(&self.nulls)
        };
        if let Some(key) = key {
            table = table.key(key);
        }
        for (column, column_type) in &self.types {
            table = table.column_type(column, *column_type);
        }
        table
    }

    /// Refuses options of cells for JSON lines, which have none: they would be without effect.
    pub(super) fn check_cells(&self) -> Result<(), Failure> {
        let option = match (self.types.is_empty(), self.nulls.is_empty()) {
            (true, true) => return Ok(()),
            (false, _) => "--type",
            (true, false) => "--null",
        };
        let is_json = |path: &PathBuf| Format::of_path(path) == Some(Format::JsonLines);
        let of_json = match self.format() {
            Some(format) => format == Format::JsonLines,
            None => self.paths().iter().any(is_json),
        };
        if !of_json {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "{option} is for cells, and JSON lines are put as they are: leave it out"
        )))
    }

    /// Applies the options of the command line to the loader.
    pub(super) fn set(&self, mut loader: Loader) -> Loader {
        loader = loader
            .trial(self.trial)
            .samples(self.rows)
            .ids(self.ids)
            .aggregate(!self.no_aggregate)
            .policy(self.policy());
        if let Some(format) = self.format() {
            loader = loader.format(format);
        }
        if let Some(rows) = self.max {
            loader = loader.rows_max(rows);
        }
        if let Some(dir) = &self.outdir {
            loader = loader.outdir(dir);
        }
        if let Some(path) = &self.resume {
            loader = loader.resume(path);
        }
        if let Some(id) = &self.snapshot {
            loader = loader.snapshot(id);
        }
        match self.scale_to {
            Some(shards) => loader.scale_to(shards),
            None => loader,
        }
    }

    fn policy(&self) -> Policy {
        match &self.rejects {
            Some(path) => Policy::Rejects(path.clone()),
            None if self.skip => Policy::Skip,
            None => Policy::Stop,
        }
    }

    fn format(&self) -> Option<Format> {
        let named = self.format.map(|name| match name {
            FormatName::Tsv => Format::TSV,
            FormatName::Csv => Format::CSV,
            FormatName::Jsonl => Format::JsonLines,
        });
        self.delimiter.map(Format::Delimited).or(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_follows_the_last_equals_sign() {
        assert_eq!(
            column_type("zip=text"),
            Ok(("zip".into(), ColumnType::Text))
        );
        assert_eq!(
            column_type("a=b=int"),
            Ok(("a=b".into(), ColumnType::Integer))
        );
        assert!(column_type("zip").is_err());
        assert!(column_type("zip=string").unwrap_err().contains("number"));
    }

    #[test]
    fn a_delimiter_is_one_character_that_no_cell_needs() {
        assert_eq!(delimiter(";"), Ok(b';'));
        assert_eq!(delimiter("\\t"), Ok(b'\t'));
        for wrong in ["", ";;", "\"", "\n", "é"] {
            assert!(delimiter(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_table_has_the_name_of_its_file_without_endings() {
        let of = |path: &str| table_of(Some(&PathBuf::from(path)));
        assert_eq!(of("data/airports.tsv.gz"), "airports");
        assert_eq!(of("airports"), "airports");
        assert_eq!(of(".hidden.csv"), "hidden");
        assert_eq!(of("-"), STDIN_TABLE);
        assert_eq!(table_of(None), STDIN_TABLE);
    }
}
