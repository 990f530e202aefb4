//! Tables of JSON lines: one object per line.

use std::io::{BufRead as _, BufReader, Read};

use kinesis_pipeline::record::row::{Header, Row, RowError};
use serde_json::{Map, Value};

use super::{BadRow, Opened, ROW_BYTES_MAX, SourceRow, delimited::broken_input};
use crate::LoadError;

const READ_BYTES: usize = 64 * 1024;
/// The mark that some programs write before the first line of a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A table of JSON objects. Its columns are the names that the models read, and those of the first object.
pub(crate) struct JsonLines {
    name: String,
    reader: BufReader<Box<dyn Read + Send>>,
    header: Header,
    /// The line that was read ahead for the header.
    ahead: Option<Vec<u8>>,
    line: Vec<u8>,
    number: u64,
    /// The bytes of the lines that were read.
    bytes: u64,
    text: String,
    ends: Vec<usize>,
    nulls: Vec<bool>,
    /// Whether each cell is a text of JSON.
    texts: Vec<bool>,
    /// Whether rows are cut into cells; rows that are put as they are need no cells.
    cut: bool,
}

impl JsonLines {
    /// Opens the table.
    pub(crate) fn new(opened: Opened, columns: &[&str], cut: bool) -> Result<Self, LoadError> {
        let mut table = Self {
            name: opened.name,
            reader: BufReader::with_capacity(READ_BYTES, opened.reader),
            header: Header::default(),
            ahead: None,
            line: Vec::new(),
            number: 0,
            bytes: 0,
            text: String::new(),
            ends: Vec::new(),
            nulls: Vec::new(),
            texts: Vec::new(),
            cut,
        };
        table.read_ahead(columns)?;
        Ok(table)
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.bytes, self.bytes + self.reader.buffer().len() as u64)
    }

    fn read_ahead(&mut self, columns: &[&str]) -> Result<(), LoadError> {
        let mut names: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        if self.read()? {
            let first: Map<String, Value> = serde_json::from_slice(&self.line).unwrap_or_default();
            names.extend(first.into_iter().map(|(name, _)| name));
            self.ahead = Some(std::mem::take(&mut self.line));
        }
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        self.header = Header::new(names);
        Ok(())
    }

    pub(crate) fn next(&mut self) -> Result<Option<Result<SourceRow<'_>, BadRow<'_>>>, LoadError> {
        if let Some(ahead) = self.ahead.take() {
            self.line = ahead;
        } else if !self.read()? {
            return Ok(None);
        }
        let cells = self.cells();
        let raw = self.line.trim_ascii();
        if let Err(reason) = cells {
            let error = RowError::of_row(self.number, reason);
            return Ok(Some(Err(BadRow { raw, error })));
        }
        let row = Row::new(&self.text, &self.ends)
            .with_header(&self.header)
            .with_nulls(&self.nulls)
            .with_texts(&self.texts)
            .at_line(self.number);
        Ok(Some(Ok(SourceRow { row, raw })))
    }

    /// Reads the next line that is not blank.
    fn read(&mut self) -> Result<bool, LoadError> {
        loop {
            self.line.clear();
            let bytes_max = ROW_BYTES_MAX as u64 + 1;
            let read = self
                .reader
                .by_ref()
                .take(bytes_max)
                .read_until(b'\n', &mut self.line);
            let bytes = read.map_err(|source| broken_input(&self.name, self.number + 1, source))?;
            if bytes == 0 {
                return Ok(false);
            }
            self.number += 1;
            self.bytes += bytes as u64;
            if bytes > ROW_BYTES_MAX {
                return Err(LoadError::input(
                    &self.name,
                    format!(
                        "line {}: the line has more than {ROW_BYTES_MAX} bytes: is this a file of JSON lines?",
                        self.number
                    ),
                ));
            }
            if self.number == 1 && self.line.starts_with(BYTE_ORDER_MARK) {
                self.line.drain(..BYTE_ORDER_MARK.len());
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// Cuts the line into the cells of the header.
    fn cells(&mut self) -> Result<(), String> {
        self.text.clear();
        self.ends.clear();
        self.nulls.clear();
        self.texts.clear();
        let not_an_object = |error: serde_json::Error| {
            let words = error
                .to_string()
                .replace(" at line 1 column ", " at column ");
            format!("not a JSON object: {words}")
        };
        if !self.cut {
            // This checks the line without building a tree of values.
            let checked: Result<Object, _> = serde_json::from_slice(&self.line);
            return checked.map(|_| ()).map_err(not_an_object);
        }
        let object: Map<String, Value> =
            serde_json::from_slice(&self.line).map_err(not_an_object)?;
        for name in self.header.names() {
            let value = look_up(&object, name);
            self.nulls.push(matches!(value, None | Some(Value::Null)));
            self.texts.push(matches!(value, Some(Value::String(_))));
            match value {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) => self.text.push_str(text),
                Some(other) => self.text.push_str(&other.to_string()),
            }
            self.ends.push(self.text.len());
        }
        Ok(())
    }
}

/// A JSON object that is checked and not stored.
struct Object;

impl<'de> serde::Deserialize<'de> for Object {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Object;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Object, A::Error> {
                use serde::de::IgnoredAny;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Object)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// Returns the value of a column: the field of this name, or the field of a field where the name has dots.
pub(crate) fn look_up<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(name) {
        return Some(value);
    }
    let (outer, inner) = name.split_once('.')?;
    look_up(object.get(outer)?.as_object()?, inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &'static str, columns: &[&str]) -> JsonLines {
        let reader = Box::new(text.as_bytes());
        let name = "t".to_owned();
        JsonLines::new(Opened { name, reader }, columns, true).unwrap()
    }

    #[test]
    fn columns_are_found_by_dotted_names_and_null_is_no_text() {
        let text = "\n{\"a\": {\"b\": 1}, \"c\": \"NULL\"}\n{\"a.b\": \"x\", \"c\": null}\n[1]\n{\"c\": [1]}";
        let mut table = table(text, &["a.b", "c", "d"]);
        assert_eq!(table.header().names(), ["a.b", "c", "d", "a"]);
        let mut rows = Vec::new();
        while let Some(row) = table.next().unwrap() {
            rows.push(match row {
                Ok(SourceRow { row, .. }) => {
                    let cells = row.cells().take(3);
                    Ok((
                        row.line(),
                        cells
                            .map(|cell| cell.map(str::to_owned))
                            .collect::<Vec<_>>(),
                    ))
                }
                Err(bad) => Err(bad.error.to_string()),
            });
        }
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(rows[0], Ok((2, vec![some("1"), some("NULL"), None])));
        assert_eq!(rows[1], Ok((3, vec![some("x"), None, None])));
        assert!(
            rows[2]
                .as_ref()
                .unwrap_err()
                .starts_with("line 4: not a JSON object: ")
        );
        assert_eq!(rows[3], Ok((5, vec![None, some("[1]"), None])));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_object() {
        let mut table = table("\u{feff}{\"a\":1}\n", &[]);
        assert_eq!(table.header().names(), ["a"]);
        let Ok(row) = table.next().unwrap().unwrap() else {
            panic!("no object")
        };
        assert_eq!(row.raw, b"{\"a\":1}");
    }

    #[test]
    fn an_object_that_is_put_as_it_is_is_checked_all_the_same() {
        let reader = Box::new(&b"{\"a\":1}\n{\"a\":\n"[..]);
        let name = "t".to_owned();
        let mut table = JsonLines::new(Opened { name, reader }, &[], false).unwrap();
        assert!(table.next().unwrap().unwrap().is_ok());
        assert!(table.next().unwrap().unwrap().is_err());
    }
}
