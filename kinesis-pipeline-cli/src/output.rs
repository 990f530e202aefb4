use std::{
    borrow::Cow,
    io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _},
};

use clap::ValueEnum;
use serde::Serialize;

/// The form in which a managing command prints its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// Text for people.
    #[default]
    Text,
    /// A JSON object per line.
    Json,
}

/// Standard output, buffered: it is flushed before the program waits. A terminal gets no control characters, which
/// records and answers may hold.
pub(crate) struct Stdout {
    out: BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
}

pub(crate) fn stdout() -> Stdout {
    Stdout {
        is_terminal: io::stdout().is_terminal(),
        out: BufWriter::new(io::stdout().lock()),
    }
}

impl io::Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_terminal {
            return self.out.write(bytes);
        }
        self.out.write_all(visible_bytes(bytes).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Returns a text that is safe for a terminal: control characters except newlines and tabs are written as escapes, so
/// that none can move the cursor, set colours or type for the user.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if is_unsafe(char) {
            escaped.extend(char.escape_default());
        } else {
            escaped.push(char);
        }
    }
    Cow::Owned(escaped)
}

fn is_unsafe(char: char) -> bool {
    char.is_control() && char != '\n' && char != '\t'
}

/// Returns bytes as text that is safe for a terminal; bytes that are not UTF-8 are written as escapes too.
fn visible_bytes(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return visible(text);
    }
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        shown.push_str(&visible(chunk.valid()));
        shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    Cow::Owned(shown)
}

/// Writes a value as one line of JSON.
pub(crate) fn json_line(out: &mut impl io::Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// Prints rows of text in columns, or a JSON object per row.
pub(crate) fn rows<R: Row>(layout: Layout, rows: &[R]) -> io::Result<()> {
    let mut out = stdout();
    match layout {
        Layout::Json => rows.iter().try_for_each(|row| json_line(&mut out, row))?,
        Layout::Text => out.write_all(columns(rows).as_bytes())?,
    }
    out.flush()
}

/// A result that is printed as a row of text or a JSON object.
pub(crate) trait Row: Serialize {
    /// The columns' titles; none for a bare list.
    const TITLES: &'static [&'static str];

    /// Returns the cells, as many as titles, or one.
    fn cells(&self) -> Vec<String>;
}

fn columns<R: Row>(rows: &[R]) -> String {
    let titles: Vec<_> = R::TITLES.iter().map(ToString::to_string).collect();
    let head = (!titles.is_empty() && !rows.is_empty()).then_some(titles);
    let lines: Vec<_> = head.into_iter().chain(rows.iter().map(R::cells)).collect();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for line in &lines {
        let padded: Vec<_> = line
            .iter()
            .enumerate()
            .map(|(column, cell)| format!("{cell:<width$}", width = width(column)))
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Pair(&'static str, &'static str);

    impl Row for Pair {
        const TITLES: &'static [&'static str] = &["A", "LONG"];

        fn cells(&self) -> Vec<String> {
            vec![self.0.to_owned(), self.1.to_owned()]
        }
    }

    #[test]
    fn control_characters_become_escapes_and_the_rest_stays() {
        let table: [(&[u8], &str); 6] = [
            (b"a\tb\n", "a\tb\n"),
            ("é \u{1f600}".as_bytes(), "é \u{1f600}"),
            (b"\x1b[2J\x07", "\\u{1b}[2J\\u{7}"),
            (b"a\rb", "a\\rb"),
            ("\u{9b}31m\u{7f}".as_bytes(), "\\u{9b}31m\\u{7f}"),
            (b"\x9b31m\xff", "\\x9b31m\\xff"),
        ];
        for (bytes, shown) in table {
            assert_eq!(visible_bytes(bytes), shown);
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = columns(&[Pair("xyz", "1"), Pair("", "2")]);
        assert_eq!(text, "A    LONG\nxyz  1\n     2\n");
        assert_eq!(columns::<Pair>(&[]), "");
    }
}
