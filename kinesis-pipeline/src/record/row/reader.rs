//! The reader of rows into models: the check of the header, and the memory of earlier rows for unique fields.

use std::{collections::HashSet, fmt, marker::PhantomData};

use super::{
    ColumnSource, FromRow, Header, HeaderError, OnDuplicate, Row, RowContext, RowError, RowMapping,
    RowProblem, RowScan, RowStop, scan::column_label,
};

/// A reader of the rows of a table into models of type `M`.
///
/// Memory: somewhat more than 16 bytes for each value of a `unique` field; nothing else grows.
pub struct RowReader<M> {
    mapping: &'static RowMapping,
    context: RowContext,
    places: Vec<Option<usize>>,
    /// The hashes of the values that came, per field.
    seen: Vec<HashSet<u128>>,
    unique: Vec<(usize, u128)>,
    model: PhantomData<fn() -> M>,
}

/// The outcome of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mapped<M> {
    /// A model.
    Record(M),
    /// No model: the model's options drop the row.
    Dropped(DropReason),
}

/// The reason why a model drops a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropReason {
    /// A field of `drop_if_none` is null.
    None,
    /// A value of a unique field came before.
    NotUnique,
    /// A cell is not valid, and the model says `drop_not_validated`.
    NotValidated,
}

impl<M: FromRow> RowReader<M> {
    /// Makes a reader that has seen no row.
    #[must_use]
    pub fn new(context: RowContext) -> Self {
        Self {
            mapping: const { &M::MAPPING },
            context,
            places: Vec::new(),
            seen: vec![HashSet::new(); M::MAPPING.columns.len()],
            unique: Vec::new(),
            model: PhantomData,
        }
    }

    /// Checks a table's header against the mapping. The values of unique fields are remembered from table to table.
    ///
    /// # Errors
    /// [`HeaderError`]: a column is missing or its name stands twice.
    pub fn open(&mut self, header: &Header) -> Result<(), HeaderError> {
        self.places = places(self.mapping, header)?;
        Ok(())
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`RowError`]: the row is no model.
    pub fn read(&mut self, row: &Row<'_>) -> Result<Mapped<M>, RowError> {
        self.unique.clear();
        let mut scan = RowScan {
            row,
            mapping: self.mapping,
            places: &self.places,
            context: &self.context,
            unique: &mut self.unique,
        };
        let mapped = match M::from_row(&mut scan) {
            Ok(model) => self.once(model, row),
            Err(RowStop::Dropped(reason)) => Ok(Mapped::Dropped(reason)),
            Err(RowStop::Error(error)) => Err(*error),
        };
        if !matches!(mapped, Ok(Mapped::Record(_))) {
            // There is nothing to forget.
            self.unique.clear();
        }
        mapped
    }

    /// Forgets the values of the unique fields of the row that was read last, which no record was made of after all: they
    /// may come once more.
    pub fn forget(&mut self) {
        for (index, hash) in self.unique.drain(..) {
            self.seen[index].remove(&hash);
        }
    }

    /// Returns the model if its unique values are new.
    fn once(&mut self, model: M, row: &Row<'_>) -> Result<Mapped<M>, RowError> {
        let mut duplicate = None;
        for (index, hash) in &self.unique {
            if !self.seen[*index].insert(*hash) {
                duplicate.get_or_insert(*index);
            }
        }
        let Some(index) = duplicate else {
            return Ok(Mapped::Record(model));
        };
        let error = || {
            let column = &self.mapping.columns[index];
            let label = column_label(column, row);
            let text = self.places[index].and_then(|position| row.get(position));
            let mut error = RowError::of_cell(row.line(), label, text, RowProblem::Duplicate);
            error.field = Some(column.field.to_owned());
            error
        };
        match self.mapping.on_duplicate {
            OnDuplicate::Drop => Ok(Mapped::Dropped(DropReason::NotUnique)),
            OnDuplicate::Refuse => Err(error()),
            OnDuplicate::Fail => Err(error().fatal()),
        }
    }
}

fn places(mapping: &RowMapping, header: &Header) -> Result<Vec<Option<usize>>, HeaderError> {
    let place = |column: &super::Column| match column.source {
        ColumnSource::Row | ColumnSource::Generated => Ok(None),
        ColumnSource::Position(position) if position < header.len() => Ok(Some(position)),
        ColumnSource::Position(position) => Err(HeaderError::TooShort {
            field: column.field.to_owned(),
            position,
            columns: header.len(),
        }),
        ColumnSource::Name(name) => match header.position(name) {
            Some(position) => Ok(Some(position)),
            None if header.is_ambiguous(name) => Err(HeaderError::Ambiguous {
                field: column.field.to_owned(),
                column: name.to_owned(),
            }),
            None => Err(HeaderError::NoColumn {
                field: column.field.to_owned(),
                column: name.to_owned(),
                found: listed(header),
            }),
        },
    };
    mapping.columns.iter().map(place).collect()
}

/// The largest number of columns that an error lists.
const COLUMNS_LISTED_MAX: usize = 20;

fn listed(header: &Header) -> String {
    let names = header.names().iter().take(COLUMNS_LISTED_MAX);
    let mut names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    match header.len().saturating_sub(COLUMNS_LISTED_MAX) {
        0 if names.is_empty() => return "none".to_owned(),
        0 => {}
        more => names.push(format!("and {more} more")),
    }
    names.join(", ")
}

impl<M> fmt::Debug for RowReader<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowReader")
            .field("table", &self.mapping.table)
            .finish_non_exhaustive()
    }
}
