//! The header of a table.

use std::collections::HashMap;

/// The names of a table's columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    names: Vec<String>,
    /// The position of each name; `None` for a name that stands twice.
    positions: HashMap<String, Option<usize>>,
}

impl Header {
    /// Returns the header with these names, in their order.
    pub fn new<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let mut positions = HashMap::new();
        for (position, name) in names.iter().enumerate() {
            positions
                .entry(name.clone())
                .and_modify(|first| *first = None)
                .or_insert(Some(position));
        }
        Self { names, positions }
    }

    /// Returns the names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the position of the column with this name, if exactly one column has it.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied().flatten()
    }

    /// Whether more than one column has this name.
    #[must_use]
    pub fn is_ambiguous(&self, name: &str) -> bool {
        self.positions.get(name) == Some(&None)
    }

    /// Returns the number of columns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no column.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_twice_has_no_position() {
        let header = Header::new(["a", "b", "a"]);
        assert_eq!(header.position("b"), Some(1));
        assert_eq!(header.position("a"), None);
        assert!(header.is_ambiguous("a"));
        assert!(!header.is_ambiguous("c"));
    }
}
