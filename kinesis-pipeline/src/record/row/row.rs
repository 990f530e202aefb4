//! A row of a source: one text, divided into cells.

use std::sync::LazyLock;

use super::Header;

/// A row of a table: its cells, the header, and the line on which it begins.
///
/// The cells stand one after the other in one text; `ends` holds the end of each.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    text: &'a str,
    ends: &'a [usize],
    nulls: &'a [bool],
    texts: &'a [bool],
    header: &'a Header,
    line: u64,
}

static NO_HEADER: LazyLock<Header> = LazyLock::new(Header::default);

impl<'a> Row<'a> {
    /// Returns the row of these cells: cell `i` is the text from `ends[i - 1]` to `ends[i]`.
    #[must_use]
    pub fn new(text: &'a str, ends: &'a [usize]) -> Self {
        Self {
            text,
            ends,
            nulls: &[],
            texts: &[],
            header: &NO_HEADER,
            line: 1,
        }
    }

    /// Returns the same row under this header.
    #[must_use]
    pub fn with_header(mut self, header: &'a Header) -> Self {
        self.header = header;
        self
    }

    /// Returns the same row, which begins on this line of its file, counted from 1.
    #[must_use]
    pub fn at_line(mut self, line: u64) -> Self {
        self.line = line;
        self
    }

    /// Returns the same row, in which cell `i` is null where `nulls[i]` is true, whatever its text: JSON has a null of its
    /// own.
    #[must_use]
    pub fn with_nulls(mut self, nulls: &'a [bool]) -> Self {
        self.nulls = nulls;
        self
    }

    /// Returns the same row, in which cell `i` is a text where `texts[i]` is true, whatever it looks like: JSON tells `"1"`
    /// from `1`.
    #[must_use]
    pub fn with_texts(mut self, texts: &'a [bool]) -> Self {
        self.texts = texts;
        self
    }

    /// Whether the source says that the cell at this position is a text.
    #[must_use]
    pub fn is_text(&self, position: usize) -> bool {
        self.texts.get(position).copied().unwrap_or(false)
    }

    /// Returns the cell at this position, counted from 0; `None` if there is none or it is null by itself.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<&'a str> {
        if self.nulls.get(position).copied().unwrap_or(false) {
            return None;
        }
        let end = *self.ends.get(position)?;
        let start = match position.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text.get(start..end)
    }

    /// Returns the cell of the column with this name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&'a str> {
        self.get(self.header.position(name)?)
    }

    /// Returns the cells, in their order.
    pub fn cells(&self) -> impl Iterator<Item = Option<&'a str>> + use<'a> {
        let row = *self;
        (0..row.len()).map(move |position| row.get(position))
    }

    /// Returns the number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the header.
    #[must_use]
    pub fn header(&self) -> &'a Header {
        self.header
    }

    /// Returns the line on which the row begins, counted from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_cut_at_their_ends_and_found_by_name() {
        let header = Header::new(["a", "b", "c"]);
        let row = Row::new("xyzé", &[2, 2, 5]).with_header(&header);
        assert_eq!(
            row.cells().collect::<Vec<_>>(),
            [Some("xy"), Some(""), Some("zé")]
        );
        assert_eq!(row.column("c"), Some("zé"));
        assert_eq!(row.get(3), None);
    }

    #[test]
    fn a_null_of_the_source_is_no_cell() {
        let row = Row::new("xy", &[1, 2]).with_nulls(&[true, false]);
        assert_eq!(row.cells().collect::<Vec<_>>(), [None, Some("y")]);
    }

    #[test]
    fn ends_that_do_not_fit_the_text_give_no_cell_and_no_panic() {
        let row = Row::new("é", &[1, 7, 0]);
        assert_eq!(row.cells().collect::<Vec<_>>(), [None, None, None]);
    }
}
