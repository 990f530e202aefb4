//! Tables: their quoted names, and the statements on them. A user's text never stands unquoted in a statement.

mod name;
mod statements;

pub(crate) use name::checked;
pub use name::{NameError, TableName};
pub(crate) use statements::{Mode, Statements, create_table};
