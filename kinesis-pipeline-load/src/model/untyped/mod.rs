//! Tables without a model: columns become the fields of JSON objects, nested where their names have dots.

mod cell;
mod layout;
mod learnt;

use bytes::{Bytes, BytesMut};
use kinesis_pipeline::{
    EncodedRecord, PartitionKey,
    record::{
        EncodeContext,
        row::{DropReason, Header, Row, RowError, RowProblem},
    },
};
use serde_json::{Map, Value};

use self::{
    layout::{Layout, Types},
    learnt::Seen,
};
use super::Model;
use crate::{
    Format, LoadError,
    source::{Sampled, SourceRow, look_up},
};

/// The type of an untyped table's column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnType {
    /// A guess for each cell: a number if the cell is a JSON number, a bool for `true` and `false`, `null` for a null
    /// marker, otherwise a text. `007` and `+1` are texts.
    #[default]
    Guess,
    /// A text.
    Text,
    /// An integer.
    Integer,
    /// A number.
    Number,
    /// A bool.
    Bool,
    /// JSON.
    Json,
}

impl std::str::FromStr for ColumnType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "guess" => Self::Guess,
            "text" => Self::Text,
            "int" | "integer" => Self::Integer,
            "number" | "float" => Self::Number,
            "bool" => Self::Bool,
            "json" => Self::Json,
            other => {
                return Err(format!(
                    "`{other}` is no type: there are guess, text, integer, number, bool and json"
                ));
            }
        })
    }
}

/// A table without a model.
///
/// Cells become JSON objects, one a row. A column `a.b` becomes the field `b` of the object `a`. JSON lines are put as
/// they are.
///
/// ```
/// # use kinesis_pipeline::{KinesisStream, LocalKinesis};
/// use kinesis_pipeline_load::{ColumnType, Format, Input, Loader, Untyped};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let stream: KinesisStream<serde_json::Value> = LocalKinesis::start().await?.stream("places", 1).await?;
/// let table = Untyped::new("places")
///     .key("id")
///     .nulls(["", "NULL"])
///     .column_type("id", ColumnType::Text);
/// let places = Input::reader("places", "id,at.lat,at.lon,note\n1,52.4,4.9,NULL\n".as_bytes());
/// let report = Loader::untyped(&stream, table).format(Format::CSV).trial(true).load(places).await?;
/// assert_eq!(report.samples[0].partition_key, "1");
/// assert_eq!(report.samples[0].data, r#"{"id":"1","at":{"lat":52.4,"lon":4.9},"note":null}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Untyped {
    table: String,
    key: Option<String>,
    nulls: Vec<String>,
    types: Vec<(String, ColumnType)>,
    sample_rows: u64,
}

impl Untyped {
    /// Makes a table of this name, with random partition keys, guessed types and the null marker `NULL`.
    pub fn new(table: impl Into<String>) -> Self {
        Self {
            table: table.into(),
            key: None,
            nulls: vec!["NULL".to_owned()],
            types: Vec::new(),
            sample_rows: 0,
        }
    }

    /// Sets the column that holds the partition key.
    #[must_use]
    pub fn key(mut self, column: impl Into<String>) -> Self {
        self.key = Some(column.into());
        self
    }

    /// Sets the texts that mean null. Default `NULL`. JSON lines have a null of their own, and their texts stay.
    #[must_use]
    pub fn nulls<T: Into<String>>(mut self, nulls: impl IntoIterator<Item = T>) -> Self {
        self.nulls = nulls.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the type of a column. Default [`ColumnType::Guess`]. JSON lines have types of their own: a load of them that
    /// is given one ends with an error.
    #[must_use]
    pub fn column_type(mut self, column: impl Into<String>, column_type: ColumnType) -> Self {
        self.types.push((column.into(), column_type));
        self
    }

    /// Sets how many first rows of the table give the types of the other columns, so that a column has one type: the
    /// narrowest of integer, number, bool and text that holds all of its cells in the sample. Default 0: the type of
    /// each cell is guessed alone, and a column may have both numbers and texts.
    ///
    /// A later cell that is not of its column's type makes its row invalid: see [`Policy`](crate::Policy). Nulls fit
    /// every type, and columns with only nulls stay guessed. With several files, the first one that has the column
    /// decides. The sample is at most 1 MiB; JSON lines have types of their own.
    ///
    /// ```
    /// # use kinesis_pipeline::{KinesisStream, LocalKinesis};
    /// use kinesis_pipeline_load::{Format, Input, Loader, Untyped};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let stream: KinesisStream<serde_json::Value> = LocalKinesis::start().await?.stream("places", 1).await?;
    /// let places = Input::reader("places", "zip,height\n12345,7\n00210,0.5\n".as_bytes());
    /// let table = Untyped::new("places").types_from_sample(1_000);
    /// let report = Loader::untyped(&stream, table).format(Format::CSV).trial(true).load(places).await?;
    /// assert_eq!(report.samples[0].data, r#"{"zip":"12345","height":7}"#);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn types_from_sample(mut self, rows: u64) -> Self {
        self.sample_rows = rows;
        self
    }
}

/// An untyped table that is being read.
pub(crate) struct UntypedModel {
    settings: Untyped,
    /// The types of columns that were found in samples.
    learnt: Vec<(String, ColumnType)>,
    layout: Layout,
    key_at: Option<usize>,
    out: BytesMut,
}

impl UntypedModel {
    pub(crate) fn new(settings: Untyped) -> Self {
        Self {
            settings,
            learnt: Vec::new(),
            layout: Layout::default(),
            key_at: None,
            out: BytesMut::new(),
        }
    }
}

impl Model for UntypedModel {
    fn table(&self) -> &str {
        &self.settings.table
    }

    fn delimiter(&self) -> Option<u8> {
        None
    }

    fn names(&self) -> Vec<&str> {
        Vec::new()
    }

    fn reads_cells(&self) -> bool {
        false
    }

    fn open(&mut self, header: &Header, file: &str, format: Format) -> Result<(), LoadError> {
        if format == Format::JsonLines {
            return match self.settings.types.first() {
                Some((column, _)) => Err(LoadError::input(file, of_json_lines(column))),
                None => Ok(()),
            };
        }
        refuse_one_column(header, format).map_err(|problem| LoadError::input(file, problem))?;
        let types = Types {
            given: &self.settings.types,
            learnt: &self.learnt,
        };
        self.layout =
            Layout::new(header, types).map_err(|problem| LoadError::input(file, problem))?;
        self.key_at = None;
        if let Some(key) = &self.settings.key {
            self.key_at = Some(header.position(key).ok_or_else(|| {
                let found = header.names().join("`, `");
                let problem =
                    format!("the header has no column `{key}` for the key: it has `{found}`");
                LoadError::input(file, problem)
            })?);
        }
        Ok(())
    }

    fn sample_rows(&self) -> u64 {
        self.settings.sample_rows
    }

    fn learn(&mut self, sampled: Sampled) {
        let mut seen = Seen::default();
        sampled.each(|columns, cells| {
            for (column, cell) in columns.iter().zip(cells) {
                if !self.settings.nulls.contains(cell) {
                    seen.cell(column, cell);
                }
            }
        });
        for (column, column_type) in seen.types() {
            if self.learnt.iter().all(|(known, _)| *known != column) {
                self.learnt.push((column, column_type));
            }
        }
    }

    fn map(
        &mut self,
        row: &SourceRow<'_>,
        _: &EncodeContext,
        out: &mut Vec<EncodedRecord>,
    ) -> Result<Option<DropReason>, RowError> {
        let line = row.row.line();
        let (key, data) = if row.row.is_empty() {
            (self.key_of_json(row)?, Bytes::copy_from_slice(row.raw))
        } else {
            let key = self.key_of_row(&row.row)?;
            self.layout
                .write(&row.row, &self.settings.nulls, &mut self.out)?;
            (key, self.out.split().freeze())
        };
        let key = match key {
            Some(text) => PartitionKey::new(text)
                .map_err(|error| RowError::of_row(line, error.to_string()))?,
            None => PartitionKey::random(),
        };
        out.push(EncodedRecord::new(key, data));
        Ok(None)
    }

    fn remembers(&self) -> bool {
        false
    }
}

impl UntypedModel {
    fn key_of_row(&self, row: &Row<'_>) -> Result<Option<String>, RowError> {
        let Some(name) = &self.settings.key else {
            return Ok(None);
        };
        let text = self.key_at.and_then(|at| row.get(at)).unwrap_or_default();
        if text.is_empty() || self.settings.nulls.iter().any(|null| null == text) {
            return Err(no_key(row.line(), name, text));
        }
        Ok(Some(text.to_owned()))
    }

    fn key_of_json(&self, row: &SourceRow<'_>) -> Result<Option<String>, RowError> {
        let Some(name) = &self.settings.key else {
            return Ok(None);
        };
        let object: Map<String, Value> = serde_json::from_slice(row.raw)
            .map_err(|error| RowError::of_row(row.row.line(), error.to_string()))?;
        match look_up(&object, name) {
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
            Some(Value::String(_)) => Err(no_key(row.row.line(), name, "")),
            Some(value) => Err(no_key(row.row.line(), name, &value.to_string())),
            None => Err(RowError::of_row(
                row.row.line(),
                format!("the object has no field `{name}`, which holds the key"),
            )),
        }
    }
}

/// Refuses a header of one column whose name has the delimiter of another format in it.
fn refuse_one_column(header: &Header, format: Format) -> Result<(), String> {
    let [name] = header.names() else {
        return Ok(());
    };
    let Some(other) = name
        .chars()
        .find(|char| matches!(char, ',' | ';' | '\t' | '|'))
    else {
        return Ok(());
    };
    let Format::Delimited(delimiter) = format else {
        return Ok(());
    };
    Err(format!(
        "the header is one column, {name:?}, cut at {:?}: the delimiter seems to be {other:?}",
        char::from(delimiter)
    ))
}

fn of_json_lines(column: &str) -> String {
    format!(
        "JSON lines are put as they are, with the types that they have: give no type for `{column}`"
    )
}

fn no_key(line: u64, name: &str, value: &str) -> RowError {
    RowError::of_cell(
        line,
        format!("`{name}`"),
        Some(value),
        RowProblem::invalid("a partition key: a text, a number or a bool"),
    )
}
