//! Tables without a model: columns become the fields of JSON objects, nested where their names have dots.

use bytes::{BufMut as _, Bytes, BytesMut};
use kinesis_pipeline::{
    EncodedRecord, PartitionKey,
    record::{
        EncodeContext,
        row::{DropReason, FromCell as _, Header, Row, RowError, RowProblem},
    },
};
use serde_json::{Map, Value, value::RawValue};

use super::Model;
use crate::{
    Format, LoadError,
    source::{SourceRow, look_up},
};

/// The type of an untyped table's column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnType {
    /// A number where the cell is one as JSON writes it, `true` and `false`, `null` for a null; a text otherwise. `007`
    /// and `+1` are texts.
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
#[derive(Clone, Debug)]
pub struct Untyped {
    table: String,
    key: Option<String>,
    nulls: Vec<String>,
    types: Vec<(String, ColumnType)>,
}

impl Untyped {
    /// A table of this name, with random partition keys, guessed types and the null marker `NULL`.
    pub fn new(table: impl Into<String>) -> Self {
        Self {
            table: table.into(),
            key: None,
            nulls: vec!["NULL".to_owned()],
            types: Vec::new(),
        }
    }

    /// The column that holds the partition key.
    #[must_use]
    pub fn key(mut self, column: impl Into<String>) -> Self {
        self.key = Some(column.into());
        self
    }

    /// The texts that mean null. Default `NULL`.
    #[must_use]
    pub fn nulls<T: Into<String>>(mut self, nulls: impl IntoIterator<Item = T>) -> Self {
        self.nulls = nulls.into_iter().map(Into::into).collect();
        self
    }

    /// The type of a column. Default [`ColumnType::Guess`].
    #[must_use]
    pub fn column_type(mut self, column: impl Into<String>, column_type: ColumnType) -> Self {
        self.types.push((column.into(), column_type));
        self
    }
}

/// An untyped table that is being read.
pub(crate) struct UntypedModel {
    settings: Untyped,
    layout: Layout,
    key_at: Option<usize>,
    out: BytesMut,
}

impl UntypedModel {
    pub(crate) fn new(settings: Untyped) -> Self {
        Self {
            settings,
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
            return Ok(());
        }
        refuse_one_column(header, format).map_err(|problem| LoadError::input(file, problem))?;
        self.layout = Layout::new(header, &self.settings.types)
            .map_err(|problem| LoadError::input(file, problem))?;
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
            return Err(no_key(row.line(), name));
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
            _ => Err(no_key(row.row.line(), name)),
        }
    }
}

/// A header that is one column with the delimiter of another format in it.
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

fn no_key(line: u64, name: &str) -> RowError {
    let expected = "a partition key: a text, a number or a bool".to_owned();
    RowError::of_cell(
        line,
        format!("`{name}`"),
        Some(""),
        RowProblem::Invalid { expected },
    )
}

/// How a row's cells become an object: steps in the order of the output.
#[derive(Default)]
struct Layout {
    steps: Vec<Step>,
    names: Vec<String>,
}

enum Step {
    /// Writes `"name":{`, with a comma before if need be.
    Open {
        is_first: bool,
        name: String,
    },
    Close,
    /// Writes `"name":` and the cell.
    Cell {
        is_first: bool,
        name: String,
        at: usize,
        column_type: ColumnType,
    },
}

/// An object under construction: its fields, in the order in which they come first.
#[derive(Default)]
struct Node(Vec<(String, Child)>);

enum Child {
    Cell(usize),
    Node(Node),
}

/// Nesting beyond this is refused: readers of JSON refuse it too.
const DEPTH_MAX: usize = 64;

impl Layout {
    fn new(header: &Header, types: &[(String, ColumnType)]) -> Result<Self, String> {
        let mut root = Node::default();
        for (at, name) in header.names().iter().enumerate() {
            root.insert(name, name, at, 0)?;
        }
        for (column, _) in types {
            if header.position(column).is_none() && !header.is_empty() {
                return Err(format!(
                    "the header has no column `{column}`, whose type is given"
                ));
            }
        }
        let mut layout = Self {
            steps: Vec::new(),
            names: header.names().to_vec(),
        };
        layout.flatten(&root, types);
        Ok(layout)
    }

    fn flatten(&mut self, node: &Node, types: &[(String, ColumnType)]) {
        for (index, (name, child)) in node.0.iter().enumerate() {
            let is_first = index == 0;
            let name = Value::from(name.as_str()).to_string();
            match child {
                Child::Cell(at) => {
                    let of_column =
                        |(column, _): &&(String, ColumnType)| *column == self.names[*at];
                    let column_type = types.iter().rev().find(of_column);
                    let column_type = column_type.map_or(ColumnType::Guess, |(_, one)| *one);
                    let at = *at;
                    self.steps.push(Step::Cell {
                        is_first,
                        name,
                        at,
                        column_type,
                    });
                }
                Child::Node(inner) => {
                    self.steps.push(Step::Open { is_first, name });
                    self.flatten(inner, types);
                    self.steps.push(Step::Close);
                }
            }
        }
    }

    fn write(&self, row: &Row<'_>, nulls: &[String], out: &mut BytesMut) -> Result<(), RowError> {
        out.clear();
        out.put_u8(b'{');
        for step in &self.steps {
            match step {
                Step::Open { is_first, name } => {
                    put_name(*is_first, name, out);
                    out.put_u8(b'{');
                }
                Step::Close => out.put_u8(b'}'),
                Step::Cell {
                    is_first,
                    name,
                    at,
                    column_type,
                } => {
                    put_name(*is_first, name, out);
                    let text = row
                        .get(*at)
                        .filter(|text| !nulls.iter().any(|null| null == text));
                    put_cell(text, *column_type, out).map_err(|expected| {
                        let column = format!("`{}`", self.names[*at]);
                        let expected = expected.to_owned();
                        RowError::of_cell(
                            row.line(),
                            column,
                            text,
                            RowProblem::Invalid { expected },
                        )
                    })?;
                }
            }
        }
        out.put_u8(b'}');
        Ok(())
    }
}

impl Node {
    fn insert(&mut self, name: &str, column: &str, at: usize, depth: usize) -> Result<(), String> {
        let twice = || {
            format!(
                "the column `{column}` stands twice, or beside a column whose name goes on after it: rename one"
            )
        };
        let (outer, inner) = match name.split_once('.') {
            Some((outer, inner)) if !outer.is_empty() && !inner.is_empty() && depth < DEPTH_MAX => {
                (outer, Some(inner))
            }
            _ => (name, None),
        };
        let found = self.0.iter_mut().find(|(existing, _)| existing == outer);
        match (found, inner) {
            (None, None) => self.0.push((outer.to_owned(), Child::Cell(at))),
            (None, Some(inner)) => {
                let mut node = Self::default();
                node.insert(inner, column, at, depth + 1)?;
                self.0.push((outer.to_owned(), Child::Node(node)));
            }
            (Some((_, Child::Node(node))), Some(inner)) => {
                node.insert(inner, column, at, depth + 1)?;
            }
            (Some(_), _) => return Err(twice()),
        }
        Ok(())
    }
}

fn put_name(is_first: bool, name: &str, out: &mut BytesMut) {
    if !is_first {
        out.put_u8(b',');
    }
    out.put_slice(name.as_bytes());
    out.put_u8(b':');
}

/// Appends a cell, or tells what was expected.
fn put_cell(
    text: Option<&str>,
    column_type: ColumnType,
    out: &mut BytesMut,
) -> Result<(), &'static str> {
    let Some(text) = text else {
        out.put_slice(b"null");
        return Ok(());
    };
    let trimmed = text.trim();
    match column_type {
        ColumnType::Guess if is_plain_json(trimmed) => out.put_slice(trimmed.as_bytes()),
        ColumnType::Guess | ColumnType::Text => put_text(text, out),
        ColumnType::Integer => {
            i128::from_cell(trimmed).map_err(|_| "an integer")?;
            let digits = trimmed.strip_prefix('+').unwrap_or(trimmed);
            put_canonical(digits, out, |digits| {
                i128::from_cell(digits).ok().map(|n| n.to_string())
            })?;
        }
        ColumnType::Number => {
            put_canonical(trimmed, out, |text| {
                f64::from_cell(text).ok().map(|n| n.to_string())
            })?;
        }
        ColumnType::Bool => {
            let value = bool::from_cell(trimmed).map_err(|_| "a bool")?;
            out.put_slice(if value { b"true" } else { b"false" });
        }
        ColumnType::Json => {
            let value: &RawValue = serde_json::from_str(trimmed).map_err(|_| "JSON")?;
            out.put_slice(value.get().as_bytes());
        }
    }
    Ok(())
}

/// A number's own text where JSON allows it, so that no digit is lost.
fn put_canonical(
    text: &str,
    out: &mut BytesMut,
    other: impl FnOnce(&str) -> Option<String>,
) -> Result<(), &'static str> {
    if is_number(text) {
        out.put_slice(text.as_bytes());
    } else {
        out.put_slice(other(text).ok_or("a number")?.as_bytes());
    }
    Ok(())
}

fn is_plain_json(text: &str) -> bool {
    matches!(text, "true" | "false") || is_number(text)
}

/// Whether the text is a number as JSON writes it.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent = exponent.map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}

/// Appends a JSON text.
fn put_text(text: &str, out: &mut BytesMut) {
    // Writing text to memory does not fail.
    let _ = serde_json::to_writer(out.writer(), text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(
        names: &[&str],
        cells: &[&str],
        types: &[(&str, ColumnType)],
    ) -> Result<String, String> {
        let header = Header::new(names.iter().copied());
        let types: Vec<_> = types
            .iter()
            .map(|(name, one)| ((*name).to_owned(), *one))
            .collect();
        let layout = Layout::new(&header, &types)?;
        let text = cells.concat();
        let ends: Vec<usize> = cells
            .iter()
            .scan(0, |end, cell| {
                *end += cell.len();
                Some(*end)
            })
            .collect();
        let row = Row::new(&text, &ends).with_header(&header);
        let mut out = BytesMut::new();
        layout
            .write(&row, &["NULL".to_owned()], &mut out)
            .map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out.to_vec()).unwrap())
    }

    #[test]
    fn dotted_columns_become_nested_objects_in_the_order_of_the_header() {
        let names = ["id", "at.lat", "name", "at.lon", "at.deep.er"];
        let cells = ["1", "2.5", "x \"y\"", "-3", "NULL"];
        assert_eq!(
            written(&names, &cells, &[]).unwrap(),
            r#"{"id":1,"at":{"lat":2.5,"lon":-3,"deep":{"er":null}},"name":"x \"y\""}"#
        );
    }

    #[test]
    fn columns_that_would_write_one_field_twice_are_refused() {
        for names in [["a", "a"], ["a", "a.b"], ["a.b", "a"], ["a.b", "a.b"]] {
            assert!(written(&names, &["1", "2"], &[]).is_err(), "{names:?}");
        }
        assert!(written(&["a.", ".b"], &["1", "2"], &[]).is_ok());
    }

    #[test]
    fn only_what_json_writes_as_a_number_is_guessed_to_be_one() {
        for (text, json) in [
            ("42", "42"),
            ("-0.5e-3", "-0.5e-3"),
            (" 7 ", "7"),
            ("true", "true"),
            ("007", "\"007\""),
            ("+1", "\"+1\""),
            ("1.", "\"1.\""),
            (".5", "\".5\""),
            ("", "\"\""),
            ("-", "\"-\""),
            ("1e", "\"1e\""),
            ("NaN", "\"NaN\""),
            ("True", "\"True\""),
        ] {
            assert_eq!(
                written(&["a"], &[text], &[]).unwrap(),
                format!("{{\"a\":{json}}}")
            );
        }
    }

    #[test]
    fn given_types_are_kept_or_the_row_is_an_error() {
        let of = |text, column_type| written(&["a"], &[text], &[("a", column_type)]);
        assert_eq!(of("42", ColumnType::Text).unwrap(), r#"{"a":"42"}"#);
        assert_eq!(of("+042", ColumnType::Integer).unwrap(), r#"{"a":42}"#);
        assert_eq!(
            of("12345678901234567890.10", ColumnType::Number).unwrap(),
            r#"{"a":12345678901234567890.10}"#
        );
        assert_eq!(of("Yes", ColumnType::Bool).unwrap(), r#"{"a":true}"#);
        assert_eq!(of("[1]", ColumnType::Json).unwrap(), r#"{"a":[1]}"#);
        let error = of("4x", ColumnType::Integer).unwrap_err();
        assert_eq!(error, "line 1, column `a`: \"4x\" is not an integer");
        assert!(of("x", ColumnType::Json).is_err());
        assert!(written(&["a"], &["1"], &[("b", ColumnType::Text)]).is_err());
    }

    proptest! {
        #[test]
        fn every_row_is_a_json_object_that_holds_its_texts(cells in proptest::collection::vec(".*", 3)) {
            let texts: Vec<&str> = cells.iter().map(String::as_str).collect();
            let types = [("a", ColumnType::Text), ("b.c", ColumnType::Text)];
            let json = written(&["a", "b.c", "b.d"], &texts, &types).unwrap();
            let value: Value = serde_json::from_str(&json).unwrap();
            let expected = |text: &str| if text == "NULL" { Value::Null } else { text.into() };
            prop_assert_eq!(&value["a"], &expected(texts[0]));
            prop_assert_eq!(&value["b"]["c"], &expected(texts[1]));
        }

        #[test]
        fn a_guessed_number_is_one_to_serde_json(text in "[-+0-9.eE]{0,6}") {
            let is_json = serde_json::from_str::<&RawValue>(&text).is_ok();
            prop_assert_eq!(is_number(&text), is_json);
        }
    }
}
