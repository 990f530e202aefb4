//! The columns of the rows, and the mode of writing them.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use kinesis_pipeline_sql::row::{Column, ColumnSource, ColumnType, Columns};

use crate::failure::Failure;

/// The column of the whole record, if the table is made and no column is named.
const RECORD_COLUMN: &str = "record";
const TYPES: [(&str, ColumnType); 7] = [
    ("bool", ColumnType::Bool),
    ("int", ColumnType::Int),
    ("float", ColumnType::Float),
    ("text", ColumnType::Text),
    ("bytes", ColumnType::Bytes),
    ("timestamp", ColumnType::Timestamp),
    ("json", ColumnType::Json),
];
const SOURCES: [(&str, ColumnSource); 6] = [
    ("@record", ColumnSource::Record),
    ("@shard", ColumnSource::ShardId),
    ("@sequence", ColumnSource::SequenceNumber),
    ("@sub-sequence", ColumnSource::SubSequenceNumber),
    ("@key", ColumnSource::PartitionKey),
    ("@arrived", ColumnSource::ArrivedAt),
];

#[derive(Args, Debug)]
#[command(next_help_heading = "Rows")]
pub(super) struct Rows {
    /// The columns, with commas between them: NAME, NAME:TYPE, NAME=FIELD or NAME=FIELD:TYPE.
    ///
    /// FIELD is the record's field, of the column's name unless given, with dots into objects, as in id=_meta.id:text;
    /// or one of @record, @shard, @sequence, @sub-sequence, @key and @arrived. TYPE is bool, int, float, text, bytes,
    /// timestamp (a text as in 2026-11-28T18:30:00Z) or json. For an existing table, Postgres knows the types. Without
    /// this and --json: all columns of the table, from the fields of their names.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    columns: Vec<Spec>,
    /// One JSON column of this name for the whole record.
    #[arg(long, value_name = "COLUMN", conflicts_with = "columns")]
    json: Option<String>,
    /// Add the record's position: the columns `shard_id`, `sequence_number` and `sub_sequence_number`.
    #[arg(long)]
    position: bool,
    /// The columns of the key, with commas between them, for the modes with a key. The table needs a unique index on them.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    key: Vec<String>,
    /// The mode of writing rows to the table.
    #[arg(long, value_enum, default_value_t)]
    pub(super) mode: Mode,
    /// Delete the row of a record's key when the record's field has this value, in the mode upsert.
    #[arg(long, value_name = "FIELD=VALUE")]
    pub(super) delete_when: Option<Condition>,
    /// Make the table if it is absent.
    #[arg(long)]
    pub(super) create_table: bool,
}

/// The mode of writing rows to the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    /// Each record is a row.
    #[default]
    Append,
    /// The last record of a key is its row.
    Upsert,
    /// The first record of a key is its row: later ones are dropped. Postgres only.
    KeepFirst,
}

/// A column as the command line writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    column: Column,
    /// Whether the type was given, or follows from the source.
    is_typed: bool,
}

/// A field and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) field: String,
    pub(super) value: String,
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((field, value)) if !field.is_empty() => Ok(Self {
                field: field.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(format!("`{text}` is not FIELD=VALUE, such as op=delete")),
        }
    }
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rest, kind) = match text.rsplit_once(':') {
            Some((rest, name)) => (rest, Some(column_type(name)?)),
            None => (text, None),
        };
        let (name, source) = rest.split_once('=').unwrap_or((rest, rest));
        if name.is_empty() || source.split('.').any(str::is_empty) {
            return Err(format!(
                "`{text}` is no column: write NAME, NAME:TYPE or NAME=FIELD:TYPE"
            ));
        }
        if !source.starts_with('@') {
            let column = Column::field(name, kind.unwrap_or(ColumnType::Json));
            return Ok(Self {
                column: column.from_path(source.split('.')),
                is_typed: kind.is_some(),
            });
        }
        let names = SOURCES.map(|(name, _)| name).join(", ");
        let found = SOURCES.into_iter().find(|(name, _)| *name == source);
        let (_, found) = found.ok_or_else(|| format!("`{source}` is none of {names}"))?;
        let column = Column::of(name, found);
        match kind {
            Some(kind) if kind != column.kind() => {
                Err(format!("`{source}` is {}, and no {kind}", column.kind()))
            }
            _ => Ok(Self {
                column,
                is_typed: true,
            }),
        }
    }
}

fn column_type(name: &str) -> Result<ColumnType, String> {
    let found = TYPES.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, kind)| kind).ok_or_else(|| {
        let names = TYPES.map(|(name, _)| name).join(", ");
        format!("`{name}` is no type: the types are {names}")
    })
}

impl Rows {
    /// Checks the options against each other.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let usage = |told: &str| Err(Failure::Usage(told.to_owned()));
        let has_columns = !self.columns.is_empty() || self.json.is_some();
        match self.mode {
            Mode::Append if !self.key.is_empty() => {
                usage("--key is for --mode upsert or keep-first: appended rows have none")
            }
            Mode::Upsert | Mode::KeepFirst if self.key.is_empty() => {
                usage("--mode upsert and keep-first need --key, the columns of the key")
            }
            _ if !self.key.is_empty() && !has_columns => {
                usage("--key needs --columns or --json, which have the columns of the key")
            }
            _ if self.position && !has_columns && !self.create_table => {
                usage("--position needs --columns or --json, or --create-table")
            }
            Mode::Append | Mode::KeepFirst if self.delete_when.is_some() => {
                usage("--delete-when needs --mode upsert: no other mode changes a row")
            }
            _ => self.check_types(),
        }
    }

    /// Checks that a table that is to be made has types.
    fn check_types(&self) -> Result<(), Failure> {
        match self.columns.iter().find(|spec| !spec.is_typed) {
            Some(spec) if self.create_table => {
                let name = spec.column.name();
                Err(Failure::Usage(format!(
                    "column `{name}` needs a type, as in {name}:text, for --create-table"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Returns the columns; `None` for those that the table has.
    pub(super) fn columns(&self) -> Result<Option<Columns>, Failure> {
        let mut columns = match &self.json {
            Some(name) => Columns::one_json(name),
            None if !self.columns.is_empty() => {
                let columns = self.columns.iter();
                columns.map(|spec| spec.column.clone()).collect()
            }
            None if self.create_table => Columns::one_json(RECORD_COLUMN),
            None => return Ok(None),
        };
        if self.position {
            columns = columns.with_position();
        }
        Ok(Some(columns.key(&self.key)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Spec {
        text.parse().unwrap()
    }

    #[test]
    fn a_column_has_a_name_a_source_and_a_type() {
        let typed = |column| Spec {
            column,
            is_typed: true,
        };
        let int = ColumnType::Int;
        assert_eq!(spec("n:int"), typed(Column::field("n", int)));
        let path = Column::field("id", ColumnType::Text).from_path(["_meta", "id"]);
        assert_eq!(spec("id=_meta.id:text"), typed(path));
        assert_eq!(
            spec("a=b:int"),
            typed(Column::field("a", int).from_field("b"))
        );
        let record = Column::of("all", ColumnSource::Record);
        assert_eq!(spec("all=@record"), typed(record.clone()));
        assert_eq!(spec("all=@record:json"), typed(record));
        assert!(!spec("n").is_typed);
    }

    #[test]
    fn a_wrong_column_is_told_what_it_may_be() {
        for (text, words) in [
            ("", "is no column"),
            ("=a", "is no column"),
            ("a=", "is no column"),
            ("a=b..c", "is no column"),
            ("a:varchar", "`varchar` is no type: the types are bool, int"),
            ("a=@offset", "`@offset` is none of @record, @shard"),
            ("a=@record:int", "`@record` is JSON, and no integer"),
        ] {
            let error = text.parse::<Spec>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!("op".parse::<Condition>().is_err());
    }
}
