//! The layout of a row's cells in the JSON object, made once from the header.

use bytes::{BufMut as _, BytesMut};
use kinesis_pipeline::record::row::{Header, Row, RowError, RowProblem};
use serde_json::Value;

use super::{ColumnType, cell::put_cell};

/// The steps that write a row's cells as an object, in the order of the output.
#[derive(Default)]
pub(super) struct Layout {
    steps: Vec<Step>,
    names: Vec<String>,
}

enum Step {
    /// Writes `"name":{`, after a comma if it is not the first field.
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
        /// Whether the type comes from a sample.
        is_learnt: bool,
    },
}

/// The types of columns. Given types take precedence over types from a sample.
#[derive(Clone, Copy)]
pub(super) struct Types<'a> {
    pub(super) given: &'a [(String, ColumnType)],
    pub(super) learnt: &'a [(String, ColumnType)],
}

impl Types<'_> {
    /// Returns the type of a column, and whether it comes from a sample.
    fn of(self, column: &str) -> (ColumnType, bool) {
        let find = |types: &[(String, ColumnType)]| {
            let found = types.iter().rev().find(|(name, _)| name == column);
            found.map(|(_, column_type)| *column_type)
        };
        match (find(self.given), find(self.learnt)) {
            (Some(given), _) => (given, false),
            (None, Some(learnt)) => (learnt, true),
            (None, None) => (ColumnType::Guess, false),
        }
    }
}

/// An object under construction: its fields, in the order in which they come first.
#[derive(Default)]
struct Node(Vec<(String, Child)>);

enum Child {
    Cell(usize),
    Node(Node),
}

/// The deepest nesting. Readers of JSON refuse deeper objects.
const DEPTH_MAX: usize = 64;

impl Layout {
    pub(super) fn new(header: &Header, types: Types<'_>) -> Result<Self, String> {
        let mut root = Node::default();
        for (at, name) in header.names().iter().enumerate() {
            root.insert(name, name, at, 0)?;
        }
        for (column, _) in types.given {
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

    fn flatten(&mut self, node: &Node, types: Types<'_>) {
        for (index, (name, child)) in node.0.iter().enumerate() {
            let is_first = index == 0;
            let name = Value::from(name.as_str()).to_string();
            match child {
                Child::Cell(at) => {
                    let (column_type, is_learnt) = types.of(&self.names[*at]);
                    let at = *at;
                    self.steps.push(Step::Cell {
                        is_first,
                        name,
                        at,
                        column_type,
                        is_learnt,
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

    pub(super) fn write(
        &self,
        row: &Row<'_>,
        nulls: &[String],
        out: &mut BytesMut,
    ) -> Result<(), RowError> {
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
                    is_learnt,
                } => {
                    put_name(*is_first, name, out);
                    let text = row
                        .get(*at)
                        .filter(|text| !nulls.iter().any(|null| null == text));
                    put_cell(text, *column_type, out).map_err(|expected| {
                        let column = format!("`{}`", self.names[*at]);
                        let expected = if *is_learnt {
                            format!("{expected}, as in the sample: give the type of the column")
                        } else {
                            expected.to_owned()
                        };
                        RowError::of_cell(row.line(), column, text, RowProblem::invalid(expected))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::{super::cell::is_number, *};

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
        let types = Types {
            given: &types,
            learnt: &[],
        };
        let layout = Layout::new(&header, types)?;
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
