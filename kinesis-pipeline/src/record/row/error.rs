//! The errors of a header and of a row.

use std::fmt;

/// The largest part of a cell that an error shows, in characters.
const VALUE_CHARS_MAX: usize = 80;

/// An error of a table that does not fit a mapping, found in its header before the first row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A field reads a column that the table does not have.
    #[error(
        "the header has no column `{column}`, which the field `{field}` reads: it has {found}; correct the file, the delimiter or the mapping"
    )]
    #[non_exhaustive]
    NoColumn {
        /// The field.
        field: String,
        /// The column.
        column: String,
        /// The columns that there are.
        found: String,
    },
    /// A field reads a column by a name that the header has twice.
    #[error(
        "the header has the column `{column}` more than once, and the field `{field}` reads it by name: read it by its position"
    )]
    #[non_exhaustive]
    Ambiguous {
        /// The field.
        field: String,
        /// The column.
        column: String,
    },
    /// The table has too few columns.
    #[error(
        "the header has {columns} column(s), and the field `{field}` reads position {position}, counted from 0: correct the file, the delimiter or the mapping"
    )]
    #[non_exhaustive]
    TooShort {
        /// The field.
        field: String,
        /// The position.
        position: usize,
        /// The number of columns.
        columns: usize,
    },
}

/// The error of a row: the line, the column, the value and the expected form.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowError {
    /// The line on which the row begins, counted from 1.
    pub line: u64,
    /// The column: its name, or `position N`. Absent where the row as a whole is wrong.
    pub column: Option<String>,
    /// The field of the model.
    pub field: Option<String>,
    /// The cell's text, cut after 80 characters. It is data of the table.
    pub value: Option<String>,
    /// The problem.
    pub problem: RowProblem,
    /// Whether the load stops, whatever its policy.
    pub is_fatal: bool,
}

/// The problem of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowProblem {
    /// The cell is not what its field takes.
    #[non_exhaustive]
    Invalid {
        /// The expected form.
        expected: String,
    },
    /// The cell is null, and the field takes no null.
    Null,
    /// The row ends before this cell.
    NoCell,
    /// The field's `validate` refuses the cell.
    #[non_exhaustive]
    NotValidated {
        /// The reason, if the function gives one.
        reason: Option<String>,
    },
    /// The field is unique, and the value came before.
    Duplicate,
    /// The row as a whole cannot be read.
    #[non_exhaustive]
    Row {
        /// The reason.
        reason: String,
    },
}

impl RowProblem {
    /// Returns the problem of a cell that is not what was expected, such as `an integer`.
    pub fn invalid(expected: impl Into<String>) -> Self {
        Self::Invalid {
            expected: expected.into(),
        }
    }
}

impl RowError {
    /// Makes an error about the row as a whole.
    pub fn of_row(line: u64, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self {
            line,
            column: None,
            field: None,
            value: None,
            problem: RowProblem::Row { reason },
            is_fatal: false,
        }
    }

    /// Makes an error about one cell.
    pub fn of_cell(
        line: u64,
        column: impl Into<String>,
        value: Option<&str>,
        problem: RowProblem,
    ) -> Self {
        Self {
            line,
            column: Some(column.into()),
            field: None,
            value: value.map(cut),
            problem,
            is_fatal: false,
        }
    }

    /// Returns the same error, which stops the load whatever its policy.
    #[must_use]
    pub fn fatal(mut self) -> Self {
        self.is_fatal = true;
        self
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        if let Some(value) = &self.value {
            write!(f, ": {value:?}")?;
        }
        match &self.problem {
            RowProblem::Invalid { expected } => write!(f, " is not {expected}"),
            RowProblem::Null => write!(f, ": the cell is null, and the field takes a value"),
            RowProblem::NoCell => write!(f, ": the row ends before this column"),
            RowProblem::NotValidated { reason: Some(why) } => write!(f, " is not valid: {why}"),
            RowProblem::NotValidated { reason: None } => write!(f, " is not valid"),
            RowProblem::Duplicate => {
                write!(f, ": the value came before, and the field is unique")
            }
            RowProblem::Row { reason } => write!(f, ": {reason}"),
        }
    }
}

impl std::error::Error for RowError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_line_column_value_and_what_was_expected() {
        let expected = "an integer".to_owned();
        let problem = RowProblem::Invalid { expected };
        let error = RowError::of_cell(7, "`value`", Some("4x"), problem);
        assert_eq!(
            error.to_string(),
            "line 7, column `value`: \"4x\" is not an integer"
        );
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let long = "é".repeat(100);
        let error = RowError::of_cell(1, "a", Some(&long), RowProblem::Duplicate);
        let value = error.value.unwrap();
        assert_eq!(value.chars().count(), 83);
    }
}
