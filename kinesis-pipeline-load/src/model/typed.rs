use std::error::Error as _;

use kinesis_pipeline::{
    EncodedRecord, KinesisRecord,
    record::{
        EncodeContext,
        row::{ColumnSource, DropReason, FromRow, Header, Mapped, RowContext, RowError, RowReader},
    },
};

use super::Model;
use crate::{Format, LoadError, source::SourceRow};

/// A model that was derived.
pub(crate) struct Typed<M> {
    reader: RowReader<M>,
}

impl<M: FromRow> Typed<M> {
    pub(crate) fn new(context: RowContext) -> Self {
        let reader = RowReader::new(context);
        Self { reader }
    }
}

impl<M: FromRow> Model for Typed<M> {
    fn table(&self) -> &str {
        M::MAPPING.table
    }

    fn delimiter(&self) -> Option<u8> {
        M::MAPPING.delimiter
    }

    fn names(&self) -> Vec<&str> {
        let columns = M::MAPPING.columns.iter();
        columns
            .filter_map(|column| match column.source {
                ColumnSource::Name(name) => Some(name),
                _ => None,
            })
            .collect()
    }

    fn reads_cells(&self) -> bool {
        true
    }

    fn open(&mut self, header: &Header, file: &str, format: Format) -> Result<(), LoadError> {
        if format == Format::JsonLines && M::MAPPING.position_max().is_some() {
            let problem =
                "the model reads columns by position, and JSON lines have names only: use `column`";
            return Err(LoadError::input(file, problem));
        }
        self.reader
            .open(header)
            .map_err(|source| LoadError::Header {
                file: file.to_owned(),
                source,
            })
    }

    fn map(
        &mut self,
        row: &SourceRow<'_>,
        context: &EncodeContext,
        out: &mut Vec<EncodedRecord>,
    ) -> Result<Option<DropReason>, RowError> {
        let model = match self.reader.read(&row.row)? {
            Mapped::Record(model) => model,
            Mapped::Dropped(reason) => return Ok(Some(reason)),
            _ => return Ok(Some(DropReason::None)),
        };
        for record in model.into_records() {
            match encoded(&record, context, row.row.line()) {
                Ok(record) => out.push(record),
                Err(error) => {
                    self.reader.forget();
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    fn forget(&mut self) {
        self.reader.forget();
    }

    fn remembers(&self) -> bool {
        M::MAPPING.has_unique()
    }
}

fn encoded<R: KinesisRecord>(
    record: &R,
    context: &EncodeContext,
    line: u64,
) -> Result<EncodedRecord, RowError> {
    EncodedRecord::of(record, None, context).map_err(|error| {
        let cause = error.source().map(|cause| format!(": {cause}"));
        RowError::of_row(line, format!("{error}{}", cause.unwrap_or_default()))
    })
}
