//! The columns of the models, for `--help`.

use std::fmt::Write as _;

use kinesis_pipeline::record::row::{Column, ColumnSource, RowMapping};

/// Returns the columns, a table for each model.
pub(super) fn columns(mappings: &[RowMapping]) -> String {
    let mut text = String::new();
    for mapping in mappings {
        let separator = match mapping.delimiter {
            Some(delimiter) => format!(", separated by {:?}", char::from(delimiter)),
            None => String::new(),
        };
        // Writing to a text does not fail.
        let _ = writeln!(text, "Columns of {}{separator}:", mapping.table);
        let widest = mapping
            .columns
            .iter()
            .map(|column| column.field.len())
            .max();
        for column in mapping.columns {
            let line = line(column, widest.unwrap_or(0));
            let _ = writeln!(text, "  {}", line.trim_end());
        }
    }
    text
}

fn line(column: &Column, widest: usize) -> String {
    let source = match column.source {
        ColumnSource::Position(position) => format!("position {position}"),
        ColumnSource::Name(name) => format!("column {name}"),
        ColumnSource::Row => "the whole row".to_owned(),
        _ => "made".to_owned(),
    };
    let nulls: Vec<_> = column
        .nulls
        .iter()
        .map(|null| format!("{null:?}"))
        .collect();
    let is_cell = matches!(
        column.source,
        ColumnSource::Position(_) | ColumnSource::Name(_)
    );
    let null = match (is_cell, column.required) {
        (false, _) => String::new(),
        (true, true) => format!("required, never {}", nulls.join(" or ")),
        (true, false) if nulls.is_empty() => String::new(),
        (true, false) => format!("null is {}", nulls.join(" or ")),
    };
    let unique = if column.unique { ", unique" } else { "" };
    format!(
        "{:widest$}  {:<16}  {:<16}  {null}{unique}",
        column.field, source, column.type_name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_each_field_with_its_cell_its_type_and_its_null() {
        const MAPPING: RowMapping = RowMapping::new(
            "readings",
            &[
                Column::new("device", ColumnSource::Position(3), "String")
                    .required()
                    .unique(),
                Column::new("at", ColumnSource::Generated, "UtcTime"),
                Column::new("t", ColumnSource::Name("temp"), "Option<f64>")
                    .with_nulls(&["", "NULL"]),
            ],
        )
        .with_delimiter(b';');
        assert_eq!(
            columns(&[MAPPING]),
            "Columns of readings, separated by ';':\n  \
             device  position 3        String            required, never \"NULL\", unique\n  \
             at      made              UtcTime\n  \
             t       column temp       Option<f64>       null is \"\" or \"NULL\"\n"
        );
    }
}
