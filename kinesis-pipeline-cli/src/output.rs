use std::io::{self, BufWriter, StdoutLock, Write as _};

use clap::ValueEnum;
use serde::Serialize;

/// How a managing command prints what it did or found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// Text for people.
    #[default]
    Text,
    /// A JSON object per line.
    Json,
}

/// Standard output, buffered: whoever writes to it flushes it before it waits.
pub(crate) type Stdout = BufWriter<StdoutLock<'static>>;

pub(crate) fn stdout() -> Stdout {
    BufWriter::new(io::stdout().lock())
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

/// What can be a row of text or a JSON object.
pub(crate) trait Row: Serialize {
    /// The columns' titles; none for a bare list.
    const TITLES: &'static [&'static str];

    /// The cells, as many as titles, or one.
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
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = columns(&[Pair("xyz", "1"), Pair("", "2")]);
        assert_eq!(text, "A    LONG\nxyz  1\n     2\n");
        assert_eq!(columns::<Pair>(&[]), "");
    }
}
