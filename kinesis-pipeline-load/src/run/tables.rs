//! The opening of tables: their format, a sample for the models that need one, and the check of the header.

use std::sync::{Arc, atomic::Ordering};

use super::{progress::get, rows::Rows};
use crate::{
    Format, LoadError,
    input::InputFile,
    plan::whole,
    report::precise,
    source::{Delimited, Hashed, JsonLines, Opened, Table, open, read_ahead},
};

impl Rows {
    /// Notes how many bytes of the input the rows make up. More bytes were read ahead, and the file may be compressed.
    pub(super) fn note_bytes(&self, before: u64, (handed_out, taken): (u64, u64)) {
        let read = get(&self.progress.input_bytes) - before;
        let of_file = if read <= taken && taken > 0 {
            precise(read) * precise(handed_out) / precise(taken)
        } else {
            // The file is not compressed, or hardly: leave out the bytes in the buffer.
            precise(handed_out.min(read))
        };
        let bytes = before + whole(of_file);
        self.progress.rows_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Returns the format of a file.
    fn format_of(&self, file: &InputFile) -> Format {
        let by_model = self.models.iter().find_map(|model| model.delimiter());
        let by_name = file.path().and_then(Format::of_path);
        self.format
            .or(by_model.map(Format::Delimited))
            .or(by_name)
            .unwrap_or(Format::TSV)
    }

    /// Learns from a file of a previous run, so that the columns of the files behind it have the types that they had.
    pub(super) fn learn_again(&mut self, file: InputFile) -> Result<(), LoadError> {
        if self.models.iter().all(|model| model.sample_rows() == 0) {
            return Ok(());
        }
        let format = self.format_of(&file);
        let opened = open(file, &Arc::default(), None)?;
        self.learn(opened, format);
        Ok(())
    }

    /// Shows a sample of the table to the model that needs one.
    fn learn(&mut self, opened: Opened, format: Format) -> Opened {
        // At most one model needs a sample: an untyped table is always the only model.
        let learner = self.models.iter_mut().find(|model| model.sample_rows() > 0);
        let (Some(model), Format::Delimited(delimiter)) = (learner, format) else {
            return opened;
        };
        let (opened, sampled) = read_ahead(opened, model.sample_rows(), delimiter);
        model.learn(sampled);
        opened
    }

    /// Opens a file and checks it against the models.
    pub(super) fn table(
        &mut self,
        file: InputFile,
        name: &str,
        hashed: Option<&Hashed>,
    ) -> Result<Table, LoadError> {
        let format = self.format_of(&file);
        let opened = open(file, &self.progress.input_bytes, hashed)?;
        let opened = self.learn(opened, format);
        let mut names: Vec<&str> = Vec::new();
        for model in &self.models {
            names.extend(model.names());
        }
        let cut = self.models.iter().any(|model| model.reads_cells());
        let table = match format {
            Format::Delimited(delimiter) => Table::Delimited(Delimited::new(opened, delimiter)?),
            Format::JsonLines => Table::JsonLines(JsonLines::new(opened, &names, cut)?),
        };
        for model in &mut self.models {
            model.open(table.header(), name, format)?;
        }
        Ok(table)
    }
}
