//! The reading of one row's fields: the functions that derived code calls.

use std::{fmt::Display, hash::Hash, marker::PhantomData, time::SystemTime};

use uuid::Uuid;

use super::{
    Column, ColumnSource, DropReason, FromCell, IntoVerdict, NotValidated, Row, RowContext,
    RowError, RowMapping, RowProblem, Seed, hash::hash128, uuid::fresh,
};

/// The reason why a row gives no model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowStop {
    /// The model's options drop the row.
    Dropped(DropReason),
    /// A cell is not what its field takes.
    Error(Box<RowError>),
}

/// One row while its fields are read.
#[derive(Debug)]
pub struct RowScan<'a, 'r> {
    pub(super) row: &'r Row<'a>,
    pub(super) mapping: &'static RowMapping,
    /// The position of each field's cell.
    pub(super) places: &'r [Option<usize>],
    pub(super) context: &'r RowContext,
    /// The hashes of this row's unique values, with the index of their field.
    pub(super) unique: &'r mut Vec<(usize, u128)>,
}

impl<'a> RowScan<'a, '_> {
    /// Returns the row.
    #[must_use]
    pub fn row(&self) -> &Row<'a> {
        self.row
    }

    /// Returns the time, for fields with `now`.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.context.clock.now()
    }

    /// Returns a random UUID of version 4, for fields with `uuid`.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        fresh()
    }

    /// Returns the seed of the anonymisers.
    #[must_use]
    pub fn seed(&self) -> &Seed {
        &self.context.seed
    }

    /// Returns the text of the cell that the field at `index` reads; `None` if it is null.
    ///
    /// # Errors
    /// The row ends before the cell.
    pub fn text(&self, index: usize) -> Result<Option<&'a str>, RowStop> {
        let Some(position) = self.places.get(index).copied().flatten() else {
            return Err(self.error(index, None, RowProblem::NoCell));
        };
        let Some(text) = self.row.get(position) else {
            if position < self.row.len() {
                return Ok(None);
            }
            return Err(self.error(index, None, RowProblem::NoCell));
        };
        let is_null = self.mapping.columns[index].nulls.contains(&text);
        Ok((!is_null).then_some(text))
    }

    /// Whether the source says that the cell of the field at `index` is a text.
    #[must_use]
    pub fn is_text(&self, index: usize) -> bool {
        let place = self.places.get(index).copied().flatten();
        place.is_some_and(|position| self.row.is_text(position))
    }

    /// Takes the result of the field's `validate`.
    ///
    /// # Errors
    /// The cell is not valid: the row is dropped or refused as the model says.
    pub fn validated(
        &self,
        index: usize,
        text: &str,
        verdict: impl IntoVerdict,
    ) -> Result<(), RowStop> {
        let Err(reason) = verdict.into_verdict() else {
            return Ok(());
        };
        let problem = RowProblem::NotValidated { reason };
        match self.mapping.not_validated {
            NotValidated::Refuse => Err(self.error(index, Some(text), problem)),
            NotValidated::Drop => Err(RowStop::Dropped(DropReason::NotValidated)),
            NotValidated::Fail => match self.error(index, Some(text), problem) {
                RowStop::Error(error) => Err(RowStop::Error(Box::new(error.fatal()))),
                dropped @ RowStop::Dropped(_) => Err(dropped),
            },
        }
    }

    /// Returns the error of a cell that cannot be parsed.
    pub fn invalid(&self, index: usize, text: Option<&str>, expected: impl Display) -> RowStop {
        let expected = expected.to_string();
        self.error(index, text, RowProblem::Invalid { expected })
    }

    /// Returns the error of a null in a field that takes none.
    #[must_use]
    pub fn null(&self, index: usize) -> RowStop {
        self.error(index, None, RowProblem::Null)
    }

    /// Notes the value of a unique field. It is looked up once the whole row is read.
    pub fn unique(&mut self, index: usize, value: &impl Hash) {
        self.unique.push((index, hash128(value)));
    }

    fn error(&self, index: usize, text: Option<&str>, problem: RowProblem) -> RowStop {
        let column = &self.mapping.columns[index];
        let mut error = RowError::of_cell(
            self.row.line(),
            column_label(column, self.row),
            text,
            problem,
        );
        error.field = Some(column.field.to_owned());
        RowStop::Error(Box::new(error))
    }
}

/// Returns the column's name in errors.
pub(super) fn column_label(column: &Column, row: &Row<'_>) -> String {
    match column.source {
        ColumnSource::Name(name) => format!("`{name}`"),
        ColumnSource::Position(position) => match row.header().names().get(position) {
            Some(name) => format!("{position} (`{name}`)"),
            None => position.to_string(),
        },
        ColumnSource::Row | ColumnSource::Generated => format!("of field `{}`", column.field),
    }
}

/// A query for the value of a null in a field of an unknown type `T`.
///
/// The inherent method exists for types that read cells; the compiler prefers it to the method of the trait (autoref
/// specialization).
#[derive(Debug)]
pub struct NullOf<T>(PhantomData<T>);

impl<T> NullOf<T> {
    /// Makes the query.
    #[must_use]
    pub fn ask() -> Self {
        Self(PhantomData)
    }
}

impl<T: FromCell> NullOf<T> {
    /// Returns the type's own null.
    #[must_use]
    pub fn value(&self) -> Option<T> {
        T::null()
    }
}

/// No value, for all other types.
pub trait NoNull<T> {
    /// Returns `None`.
    fn value(&self) -> Option<T> {
        None
    }
}

impl<T> NoNull<T> for NullOf<T> {}
