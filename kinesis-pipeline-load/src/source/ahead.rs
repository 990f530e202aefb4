//! Read-ahead: a sample of a table's first rows, read before the table itself.

use std::io::{self, Cursor, Read};

use super::{Delimited, Opened};
use crate::LoadError;

/// The most bytes of a sample.
const SAMPLE_BYTES_MAX: usize = 1024 * 1024;
/// The size of one read, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// Reads a sample of about this many rows. Returns the table, which still begins with the sampled rows, and a table of
/// the sample alone.
///
/// It waits until the rows are there, or the end of the input, or 1 MiB.
pub(crate) fn read_ahead(mut opened: Opened, rows: u64, delimiter: u8) -> (Opened, Sampled) {
    let (mut bytes, mut lines, mut end) = (Vec::new(), 0, End::Open);
    // The header is a line too; a row that has line breaks within quotes makes the sample smaller.
    while matches!(end, End::Open) && lines <= rows && bytes.len() < SAMPLE_BYTES_MAX {
        let before = bytes.len();
        bytes.resize(before + READ_BYTES, 0);
        let read = loop {
            match opened.reader.read(&mut bytes[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        bytes.truncate(before + *read.as_ref().unwrap_or(&0));
        lines += memchr::memchr_iter(b'\n', &bytes[before..]).count() as u64;
        end = match read {
            Ok(0) => End::Reached,
            Ok(_) => End::Open,
            Err(error) => End::Broken(error),
        };
    }
    let is_whole = matches!(end, End::Reached);
    let sample = Opened {
        name: opened.name.clone(),
        reader: Box::new(Cursor::new(bytes.clone())),
    };
    opened.reader = Box::new(Replayed {
        read: Cursor::new(bytes),
        error: match end {
            End::Broken(error) => Some(error),
            End::Open | End::Reached => None,
        },
        rest: opened.reader,
    });
    let sampled = Sampled {
        table: Delimited::new(sample, delimiter),
        is_whole,
        rows,
    };
    (opened, sampled)
}

enum End {
    Open,
    Reached,
    Broken(io::Error),
}

/// A reader that returns the bytes that were read ahead, then the error that followed them, then the rest.
struct Replayed<R> {
    read: Cursor<Vec<u8>>,
    error: Option<io::Error>,
    rest: R,
}

impl<R: Read> Read for Replayed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.read.read(buffer)?;
        if bytes > 0 || buffer.is_empty() {
            return Ok(bytes);
        }
        // The sample is not needed any more.
        self.read = Cursor::default();
        match self.error.take() {
            Some(error) => Err(error),
            None => self.rest.read(buffer),
        }
    }
}

/// The rows of a sample.
pub(crate) struct Sampled {
    table: Result<Delimited, LoadError>,
    /// Whether the sample is the whole table, so that its last row is not cut.
    is_whole: bool,
    rows: u64,
}

impl Sampled {
    /// Calls a function with the cells of each row. Ends at the first bad row, which the table itself reports later.
    pub(crate) fn each(self, mut see: impl FnMut(&[String], &[String])) {
        let Ok(mut table) = self.table else { return };
        let names = table.header().names().to_vec();
        let mut held: Option<Vec<String>> = None;
        for _ in 0..self.rows {
            let Ok(Some(Ok(row))) = table.next() else {
                break;
            };
            let cells = (0..names.len()).map(|at| row.row.get(at).unwrap_or_default().to_owned());
            // A row is shown only after the next one was read, because the last one may be cut.
            if let Some(cells) = held.replace(cells.collect()) {
                see(&names, &cells);
            }
        }
        if let (Some(cells), true) = (held, self.is_whole) {
            see(&names, &cells);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(text: &'static str, rows: u64) -> (Vec<String>, String) {
        let opened = Opened {
            name: "t".to_owned(),
            reader: Box::new(text.as_bytes()),
        };
        let (mut opened, sample) = read_ahead(opened, rows, b',');
        let mut seen = Vec::new();
        sample.each(|_, cells| seen.push(cells.join("|")));
        let mut rest = String::new();
        opened.reader.read_to_string(&mut rest).unwrap();
        (seen, rest)
    }

    #[test]
    fn a_sample_takes_nothing_from_the_table() {
        for text in ["", "a,b", "a,b\n", "a,b\n1,2\n3,4", "a,b\n1\n"] {
            assert_eq!(sampled(text, 10).1, text);
        }
        let long: &'static str = Box::leak(format!("a\n{}", "1\n".repeat(20_000)).into_boxed_str());
        let (seen, rest) = sampled(long, 5);
        assert_eq!((seen.len(), rest.as_str()), (4, long));
    }

    #[test]
    fn a_sample_ends_before_the_first_row_that_is_none() {
        assert_eq!(sampled("a,b\n1,2\n3\n4,5\n", 9).0, ["1|2"]);
        assert_eq!(sampled("a,b\n1,2\n3,4\n", 9).0, ["1|2", "3|4"]);
    }

    #[test]
    fn an_error_of_the_input_comes_where_it_was() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("cut"))
            }
        }
        let opened = Opened {
            name: "t".to_owned(),
            reader: Box::new("a\n1\n".as_bytes().chain(Broken)),
        };
        let (mut opened, _) = read_ahead(opened, 10, b',');
        let mut text = String::new();
        assert!(opened.reader.read_to_string(&mut text).is_err());
    }
}
