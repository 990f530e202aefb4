//! Tables: their names, quoted, and the statements on them. Nothing of a user's stands unquoted in a statement.

mod name;
mod statements;

pub(crate) use name::checked;
pub use name::{NameError, TableName};
pub(crate) use statements::{Mode, Statements, create_table};
