//! The mapping of a model: constant data that the derive writes.

/// The columns and options of a row model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowMapping {
    /// The table's name: export files are called `<table>.json`.
    pub table: &'static str,
    /// The fields of the model, in their order.
    pub columns: &'static [Column],
    /// The byte between two cells, if the model names one.
    pub delimiter: Option<u8>,
    /// The consequence of a value of a `unique` field that came before.
    pub on_duplicate: OnDuplicate,
    /// The consequence of a cell that its `validate` refuses.
    pub not_validated: NotValidated,
}

impl RowMapping {
    /// Makes a mapping without options.
    #[must_use]
    pub const fn new(table: &'static str, columns: &'static [Column]) -> Self {
        Self {
            table,
            columns,
            delimiter: None,
            on_duplicate: OnDuplicate::Refuse,
            not_validated: NotValidated::Refuse,
        }
    }

    /// Returns the same mapping of cells that are separated by this byte.
    #[must_use]
    pub const fn with_delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = Some(delimiter);
        self
    }

    /// Returns the same mapping with this consequence of a duplicate.
    #[must_use]
    pub const fn with_on_duplicate(mut self, on_duplicate: OnDuplicate) -> Self {
        self.on_duplicate = on_duplicate;
        self
    }

    /// Returns the same mapping with this consequence of a cell that is not valid.
    #[must_use]
    pub const fn with_not_validated(mut self, not_validated: NotValidated) -> Self {
        self.not_validated = not_validated;
        self
    }

    /// Whether a row can be dropped or refused because of rows before it.
    #[must_use]
    pub fn has_unique(&self) -> bool {
        self.columns.iter().any(|column| column.unique)
    }

    /// Returns the highest position that a field reads, if any field reads by position.
    #[must_use]
    pub fn position_max(&self) -> Option<usize> {
        let position = |column: &Column| match column.source {
            ColumnSource::Position(position) => Some(position),
            _ => None,
        };
        self.columns.iter().filter_map(position).max()
    }
}

/// A field of a row model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// The field's name.
    pub field: &'static str,
    /// The cell that the field reads.
    pub source: ColumnSource,
    /// The texts that mean null.
    pub nulls: &'static [&'static str],
    /// The field's type as it was written, for `--help`.
    pub type_name: &'static str,
    /// Whether null is refused.
    pub required: bool,
    /// Whether each value may come once.
    pub unique: bool,
}

impl Column {
    /// Makes a field that reads this cell, with the null marker `NULL`.
    #[must_use]
    pub const fn new(field: &'static str, source: ColumnSource, type_name: &'static str) -> Self {
        Self {
            field,
            source,
            nulls: &["NULL"],
            type_name,
            required: false,
            unique: false,
        }
    }

    /// Returns the same field with these texts for null.
    #[must_use]
    pub const fn with_nulls(mut self, nulls: &'static [&'static str]) -> Self {
        self.nulls = nulls;
        self
    }

    /// Returns the same field, in which null is refused.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Returns the same field, in which each value may come once.
    #[must_use]
    pub const fn unique(mut self) -> Self {
        self.unique = true;
        self
    }
}

/// The cell that a field reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnSource {
    /// The cell at this position, counted from 0.
    Position(usize),
    /// The cell of the column with this name.
    Name(&'static str),
    /// All cells: the field's `parse` takes the row.
    Row,
    /// None: the value is made for the row.
    Generated,
}

/// The consequence of a value of a `unique` field that came before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDuplicate {
    /// The row is an error as any other: the load's policy decides.
    #[default]
    Refuse,
    /// The row is dropped.
    Drop,
    /// The load stops, whatever its policy.
    Fail,
}

/// The consequence of a cell that its `validate` refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotValidated {
    /// The row is an error as any other: the load's policy decides.
    #[default]
    Refuse,
    /// The row is dropped.
    Drop,
    /// The load stops, whatever its policy.
    Fail,
}
