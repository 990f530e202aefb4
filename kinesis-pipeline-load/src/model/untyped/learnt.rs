//! The types of columns, from a sample of their cells.

use std::collections::BTreeMap;

use super::{ColumnType, cell::is_number};

/// The types found in the cells of each column. A column with only nulls is not in it.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<String, ColumnType>);

impl Seen {
    /// Adds a cell that is not null.
    pub(super) fn cell(&mut self, column: &str, text: &str) {
        let found = type_of(text.trim());
        match self.0.get_mut(column) {
            Some(seen) => *seen = common(*seen, found),
            None => {
                self.0.insert(column.to_owned(), found);
            }
        }
    }

    /// Returns the columns and their types.
    pub(super) fn types(self) -> impl Iterator<Item = (String, ColumnType)> {
        self.0.into_iter()
    }
}

/// Returns the narrowest type of a cell.
fn type_of(text: &str) -> ColumnType {
    match text {
        "true" | "false" => ColumnType::Bool,
        _ if is_number(text) && text.parse::<i128>().is_ok() => ColumnType::Integer,
        _ if is_number(text) => ColumnType::Number,
        _ => ColumnType::Text,
    }
}

/// Returns the narrowest type that holds the values of both.
fn common(one: ColumnType, other: ColumnType) -> ColumnType {
    match (one, other) {
        _ if one == other => one,
        (ColumnType::Integer, ColumnType::Number) | (ColumnType::Number, ColumnType::Integer) => {
            ColumnType::Number
        }
        _ => ColumnType::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_the_narrowest_type_of_all_its_cells() {
        for (cells, expected) in [
            (&["1", "-2", " 3 "][..], ColumnType::Integer),
            (&["1", "2.5"], ColumnType::Number),
            (&["1e3", "7"], ColumnType::Number),
            (&["true", "false"], ColumnType::Bool),
            (&["true", "1"], ColumnType::Text),
            (&["12345", "00210"], ColumnType::Text),
            (&["00210", "12345"], ColumnType::Text),
            (&["9".repeat(60).leak()], ColumnType::Number),
            (&[""], ColumnType::Text),
        ] {
            let mut seen = Seen::default();
            for cell in cells {
                seen.cell("c", cell);
            }
            let types: Vec<_> = seen.types().collect();
            assert_eq!(types, [("c".to_owned(), expected)], "{cells:?}");
        }
    }
}
