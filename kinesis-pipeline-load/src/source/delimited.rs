//! Delimited tables: TSV, CSV and the like.

use csv::{ByteRecord, Reader, ReaderBuilder};
use kinesis_pipeline::record::row::{Header, Row, RowError};

use super::{BadRow, Opened, ROW_BYTES_MAX, SourceRow, window::Window};
use crate::LoadError;

/// The size of the parser's buffer, in bytes.
const PARSED_BYTES: usize = 64 * 1024;

/// The first bytes of gzip and of zstd.
const COMPRESSED: [&[u8]; 2] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd"];

/// A table of cells that are separated by a byte.
pub(crate) struct Delimited {
    name: String,
    delimiter: u8,
    reader: Reader<Window<Box<dyn std::io::Read + Send>>>,
    header: Header,
    /// The header as it stands in the file.
    raw_header: Vec<u8>,
    record: ByteRecord,
    ends: Vec<usize>,
}

impl Delimited {
    /// Opens the table and reads its header.
    pub(crate) fn new(opened: Opened, delimiter: u8) -> Result<Self, LoadError> {
        let reader = parser(delimiter)
            .buffer_capacity(PARSED_BYTES)
            .from_reader(Window::new(opened.reader));
        let mut table = Self {
            name: opened.name,
            delimiter,
            reader,
            header: Header::default(),
            raw_header: Vec::new(),
            record: ByteRecord::new(),
            ends: Vec::new(),
        };
        table.read_header()?;
        Ok(table)
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn raw_header(&self) -> &[u8] {
        &self.raw_header
    }

    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.reader.position().byte(), self.reader.get_ref().end())
    }

    fn read_header(&mut self) -> Result<(), LoadError> {
        if !self.read()? {
            return Err(LoadError::input(
                &self.name,
                "the file is empty: it has no header",
            ));
        }
        let names = self.record.iter().map(std::str::from_utf8);
        let names: Result<Vec<_>, _> = names.collect();
        let Ok(names) = names else {
            let is_compressed = COMPRESSED
                .iter()
                .any(|first| self.record.as_slice().starts_with(first));
            let problem = if is_compressed {
                "the input is compressed: decompress it, or name a file that ends in .gz or .zst"
            } else {
                "line 1: the header is not text in UTF-8"
            };
            return Err(LoadError::input(&self.name, problem));
        };
        self.header = Header::new(names.into_iter().map(str::trim));
        self.raw_header = raw_of(&self.reader).to_vec();
        Ok(())
    }

    pub(crate) fn next(&mut self) -> Result<Option<Result<SourceRow<'_>, BadRow<'_>>>, LoadError> {
        if !self.read()? {
            return Ok(None);
        }
        let line = self.line();
        if self.record.len() != self.header.len() {
            let (cells, columns) = (self.record.len(), self.header.len());
            let reason = format!("the row has {cells} cell(s), the header has {columns}");
            return Ok(Some(Err(self.bad(line, reason))));
        }
        if let Some(cell) = cut(&self.record, &mut self.ends) {
            let name = self.header.names().get(cell).map_or("", String::as_str);
            let reason = format!("column {cell} (`{name}`) is not text in UTF-8");
            return Ok(Some(Err(self.bad(line, reason))));
        }
        // The text was checked above, so the default is never used.
        let text = std::str::from_utf8(self.record.as_slice()).unwrap_or_default();
        Ok(Some(Ok(SourceRow {
            row: Row::new(text, &self.ends)
                .with_header(&self.header)
                .at_line(line),
            raw: raw_of(&self.reader),
        })))
    }

    fn bad(&self, line: u64, reason: String) -> BadRow<'_> {
        let error = RowError::of_row(line, reason);
        let raw = raw_of(&self.reader);
        BadRow { raw, error }
    }

    /// Reads the next record.
    fn read(&mut self) -> Result<bool, LoadError> {
        let begin = self.reader.position().byte();
        self.reader.get_mut().forget(begin);
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) if self.is_open() => Err(self.not_closed()),
            Ok(is_there) => Ok(is_there),
            Err(_) if self.reader.get_ref().is_full() => Err(self.too_long()),
            Err(error) => Err(self.broken(error)),
        }
    }

    /// Whether the record is the last one and ends within quotes, so that it may have swallowed the rows behind it. The
    /// parser takes the end of the input for the closing quote.
    fn is_open(&self) -> bool {
        if !self.reader.get_ref().is_ended() {
            return false;
        }
        let raw = self.reader.get_ref().until(self.reader.position().byte());
        // A further line becomes a record of its own, unless it is within quotes.
        let lines = std::io::Read::chain(raw, &b"\n1"[..]);
        let records = parser(self.delimiter).from_reader(lines);
        records.into_byte_records().count() < 2
    }

    fn not_closed(&self) -> LoadError {
        let line = self.line();
        LoadError::input(
            &self.name,
            format!(
                "line {line}: the row that begins here goes on to the end of the file: a quote is opened and not closed"
            ),
        )
    }

    fn too_long(&self) -> LoadError {
        let line = self.line();
        LoadError::input(
            &self.name,
            format!(
                "line {line}: the row that begins here does not end within {ROW_BYTES_MAX} bytes: a quote is opened and not closed, or the delimiter is another"
            ),
        )
    }

    fn broken(&self, error: csv::Error) -> LoadError {
        let line = self.reader.position().line();
        match error.into_kind() {
            csv::ErrorKind::Io(source) => broken_input(&self.name, line, source),
            other => LoadError::input(&self.name, format!("line {line}: {other:?}")),
        }
    }

    /// Returns the line on which the record begins. The parser counts from the line end before it, and skips blank lines.
    fn line(&self) -> u64 {
        let line = self.record.position().map_or(0, csv::Position::line);
        let raw = self.reader.get_ref().until(self.reader.position().byte());
        let blank = raw.iter().take_while(|byte| is_line_end(**byte));
        line + blank.filter(|byte| **byte == b'\n').count() as u64
    }
}

/// Returns the settings of the parser.
fn parser(delimiter: u8) -> ReaderBuilder {
    let mut parser = ReaderBuilder::new();
    parser
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true);
    parser
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

fn raw_of<R: std::io::Read>(reader: &Reader<Window<R>>) -> &[u8] {
    let raw = reader.get_ref().until(reader.position().byte());
    let start = raw.iter().position(|byte| !is_line_end(*byte));
    let end = raw.iter().rposition(|byte| !is_line_end(*byte));
    match (start, end) {
        (Some(start), Some(end)) => &raw[start..=end],
        _ => &[],
    }
}

/// Returns the error of an input that ends or breaks off.
pub(super) fn broken_input(name: &str, line: u64, source: std::io::Error) -> LoadError {
    let doing = if source.kind() == std::io::ErrorKind::UnexpectedEof {
        format!("line {line}: the compressed file is cut short")
    } else {
        format!("line {line}: cannot be read")
    };
    LoadError::io(name, &doing, source)
}

/// Finds the end of each cell; returns the first cell that is not UTF-8.
fn cut(record: &ByteRecord, ends: &mut Vec<usize>) -> Option<usize> {
    ends.clear();
    let cells = 0..record.len();
    ends.extend(
        cells
            .filter_map(|cell| record.range(cell))
            .map(|range| range.end),
    );
    match std::str::from_utf8(record.as_slice()) {
        // The whole record may be UTF-8 although a character is split over two cells, so cell ends are checked too.
        Ok(text) if ends.iter().all(|end| text.is_char_boundary(*end)) => None,
        _ => record
            .iter()
            .position(|cell| std::str::from_utf8(cell).is_err()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &'static [u8]) -> Delimited {
        try_table(text).unwrap()
    }

    fn try_table(text: &'static [u8]) -> Result<Delimited, LoadError> {
        let reader = Box::new(text);
        let name = "t".to_owned();
        Delimited::new(Opened { name, reader }, b'\t')
    }

    /// Line, cells and raw bytes.
    type Read = (u64, Vec<String>, String);

    /// Returns the rows, or the errors.
    fn rows(text: &'static [u8]) -> Vec<Result<Read, String>> {
        let mut table = table(text);
        let mut rows = Vec::new();
        while let Some(row) = table.next().unwrap() {
            rows.push(match row {
                Ok(SourceRow { row, raw }) => Ok((
                    row.line(),
                    row.cells().map(|cell| cell.unwrap().to_owned()).collect(),
                    String::from_utf8_lossy(raw).into_owned(),
                )),
                Err(bad) => Err(bad.error.to_string()),
            });
        }
        rows
    }

    #[expect(clippy::unnecessary_wraps, reason = "it stands beside errors")]
    fn row(line: u64, cells: &[&str], raw: &str) -> Result<Read, String> {
        let cells = cells.iter().map(|cell| (*cell).to_owned()).collect();
        Ok((line, cells, raw.to_owned()))
    }

    #[test]
    fn rows_keep_their_line_and_their_bytes_as_they_were() {
        assert_eq!(
            rows(b"a\tb\n1\t\"x\ny\"\n\n\n2\t\"q \"\"r\"\"\"\n"),
            [
                row(2, &["1", "x\ny"], "1\t\"x\ny\""),
                row(6, &["2", "q \"r\""], "2\t\"q \"\"r\"\"\""),
            ]
        );
    }

    #[test]
    fn line_ends_of_windows_count_one_line_each() {
        assert_eq!(
            rows(b"\xef\xbb\xbfa\tb\r\n1\t2\r\n3\t4"),
            [row(2, &["1", "2"], "1\t2"), row(3, &["3", "4"], "3\t4")]
        );
        assert_eq!(table(b"\xef\xbb\xbfa\tb\r\n").header().names(), ["a", "b"]);
    }

    #[test]
    fn a_ragged_row_and_one_that_is_not_utf_8_are_errors_and_the_next_is_read() {
        assert_eq!(
            rows(b"a\tb\n1\n1\t\xff\n\xc3\t\xa9\n3\t4\n"),
            [
                Err("line 2: the row has 1 cell(s), the header has 2".to_owned()),
                Err("line 3: column 1 (`b`) is not text in UTF-8".to_owned()),
                Err("line 4: column 0 (`a`) is not text in UTF-8".to_owned()),
                row(5, &["3", "4"], "3\t4"),
            ]
        );
    }

    #[test]
    fn a_compressed_input_whose_name_does_not_say_so_is_told() {
        for (text, told) in [
            (&b"\x1f\x8b\x08\0\xff"[..], "the input is compressed: "),
            (b"\x28\xb5\x2f\xfd\x04", "the input is compressed: "),
            (b"\xff\xfea\0", "line 1: the header is not text in UTF-8"),
        ] {
            let error = try_table(text).err().unwrap().to_string();
            assert!(error.starts_with(&format!("t: {told}")), "{error}");
        }
    }

    #[test]
    fn an_empty_file_has_no_header_and_a_header_alone_has_no_rows() {
        let error = try_table(b"").err().unwrap();
        assert_eq!(error.to_string(), "t: the file is empty: it has no header");
        assert!(rows(b"a\tb\n").is_empty());
    }

    /// A reader that repeats one byte without end.
    struct Endless(u64);

    impl std::io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += buffer.len() as u64;
            assert!(self.0 < 2 * ROW_BYTES_MAX as u64, "read on and on");
            buffer.fill(b'x');
            Ok(buffer.len())
        }
    }

    #[test]
    fn a_quote_that_the_end_of_the_file_closes_swallows_no_rows() {
        let told = |text: &'static [u8]| {
            let mut table = try_table(text)?;
            while table.next()?.is_some() {}
            Ok(())
        };
        let opened = |line| {
            format!(
                "t: line {line}: the row that begins here goes on to the end of the file: a quote is opened and not closed"
            )
        };
        for (text, line) in [
            (&b"a\tb\n1\t2\n\n3\t\"x\n4\ty\n5\tz\n"[..], 4),
            (b"a\tb\n1\t\"", 2),
            (b"a\tb\n1\t\"x\"\"", 2),
            (b"a\t\"b\n1\t2\n", 1),
        ] {
            let error: LoadError = told(text).unwrap_err();
            assert_eq!(error.to_string(), opened(line));
        }
        for text in [
            &b"a\tb\n1\t\"x\""[..],
            b"a\tb\n1\t\"x\"\n\n",
            b"a\tb\n1\t5\" wide",
            b"a\tb\n1\t",
            b"\xef\xbb\xbf\"a\"\tb",
        ] {
            told(text).unwrap();
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_is_found_within_the_bound() {
        use std::io::Read as _;
        let begin = b"a\tb\n1\t2\n\n1\t\"x\ny\n";
        let reader = Box::new((&begin[..]).chain(Endless(0)));
        let name = "t".to_owned();
        let mut table = Delimited::new(Opened { name, reader }, b'\t').unwrap();
        assert!(table.next().unwrap().is_some());
        let error = table.next().err().unwrap().to_string();
        assert!(
            error.starts_with("t: line 4: the row that begins here does not end"),
            "{error}"
        );
    }
}
