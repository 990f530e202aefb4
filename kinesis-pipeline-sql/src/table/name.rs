/// The longest name, in bytes. Postgres cuts longer names without an error, so two of them may become one.
const NAME_BYTES_MAX: usize = 63;

/// An invalid name of a table or column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name is empty.
    #[error("a name of a table or column is empty")]
    Empty,
    /// The name is longer than 63 bytes.
    #[error("the name `{name}` has {} bytes: the database takes at most 63", name.len())]
    #[non_exhaustive]
    TooLong {
        /// The name.
        name: String,
    },
    /// The name holds a NUL character.
    #[error("the name {name:?} holds a NUL character")]
    #[non_exhaustive]
    Nul {
        /// The name.
        name: String,
    },
}

/// The name of a table, in a schema if one is given. Any characters but NUL: it is always quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    schema: Option<String>,
    name: String,
}

impl TableName {
    /// Makes the name of a table in the first schema of the connection's `search_path`. A dot in it is part of the
    /// name.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = checked(name.into())?;
        Ok(Self { schema: None, name })
    }

    /// Sets the schema of the table.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn in_schema(mut self, schema: impl Into<String>) -> Result<Self, NameError> {
        self.schema = Some(checked(schema.into())?);
        Ok(self)
    }

    /// Returns the name as it stands in a statement.
    #[must_use]
    pub fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(&self.name)),
            None => quoted(&self.name),
        }
    }
}

/// Checks the name of a table or column.
pub(crate) fn checked(name: String) -> Result<String, NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.contains('\0') {
        return Err(NameError::Nul { name });
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong { name });
    }
    Ok(name)
}

/// Returns a name in double quotes, each quote inside doubled.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_or_refused() {
        let name = TableName::new("a\"; DROP TABLE b; --").unwrap();
        assert_eq!(name.quoted(), "\"a\"\"; DROP TABLE b; --\"");
        let name = TableName::new("a.b").unwrap().in_schema("S\"").unwrap();
        assert_eq!(name.quoted(), "\"S\"\"\".\"a.b\"");
        assert_eq!(TableName::new(""), Err(NameError::Empty));
        let long = "x".repeat(64);
        assert!(matches!(
            TableName::new(long),
            Err(NameError::TooLong { .. })
        ));
        assert!(matches!(TableName::new("a\0b"), Err(NameError::Nul { .. })));
    }
}
