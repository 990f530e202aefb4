use super::{TableName, name::quoted};
use crate::row::{Column, ColumnType, Columns};

/// The way in which rows are written to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Each record is a row of its own.
    Append,
    /// The last record of a key is its row.
    Upsert,
    /// The first record of a key is its row.
    KeepFirst,
}

/// The staging table that a batch of keyed rows is copied into first. It names the schema of temporary tables, so that
/// it can never mean a user's table.
const STAGED: &str = "pg_temp.kinesis_pipeline_batch";
/// The column for the number of a row in its batch. If a user's column has this name, Postgres refuses the statement.
const ORDER: &str = "\"kinesis_pipeline order\"";
const DELETES: &str = "\"kinesis_pipeline deletes\"";

/// The statements that write a batch to a table.
#[derive(Clone, Debug)]
pub(crate) struct Statements {
    /// The statement before all others of the transaction.
    pub(crate) stage: Option<String>,
    pub(crate) copy: String,
    /// The statement after the copy, if rows delete.
    pub(crate) delete: Option<String>,
    /// The statement after the copy and the deletions.
    pub(crate) merge: Option<String>,
    /// The statement before another copy in the same transaction.
    pub(crate) clear: Option<String>,
}

impl Statements {
    pub(crate) fn new(table: &TableName, columns: &Columns, mode: Mode) -> Self {
        let table = table.quoted();
        let names = list(columns.iter().map(Column::name));
        if mode == Mode::Append {
            let copy = format!("COPY {table} ({names}) FROM STDIN (FORMAT binary)");
            return Self {
                stage: None,
                copy,
                delete: None,
                merge: None,
                clear: None,
            };
        }
        let all: Vec<_> = columns.iter().map(Column::name).collect();
        let key: Vec<_> = columns
            .key_indexes()
            .iter()
            .map(|index| all[*index])
            .collect();
        let keys = list(key.iter().copied());
        let newest = match mode {
            Mode::KeepFirst => "ASC",
            _ => "DESC",
        };
        let rows = format!(
            "(SELECT DISTINCT ON ({keys}) * FROM {STAGED} ORDER BY {keys}, {ORDER} {newest}) AS staged"
        );
        let is_same: Vec<_> = key
            .iter()
            .map(|name| format!("kept.{0} = staged.{0}", quoted(name)))
            .collect();
        let is_same = is_same.join(" AND ");
        let set: Vec<_> = all
            .iter()
            .filter(|name| !key.contains(name))
            .map(|name| format!("{0} = excluded.{0}", quoted(name)))
            .collect();
        let on_conflict = if mode == Mode::KeepFirst || set.is_empty() {
            "NOTHING".to_owned()
        } else {
            format!("UPDATE SET {}", set.join(", "))
        };
        // Rows are locked in the order of their keys, so that two shards with the same keys cannot deadlock.
        let locked: Vec<_> = key
            .iter()
            .map(|name| format!("kept.{}", quoted(name)))
            .collect();
        let locked = locked.join(", ");
        Self {
            stage: Some(format!(
                "CREATE TEMP TABLE kinesis_pipeline_batch ON COMMIT DROP AS SELECT {names}, 0::bigint AS {ORDER}, \
                 false AS {DELETES} FROM {table} WITH NO DATA"
            )),
            copy: format!("COPY {STAGED} ({names}, {ORDER}, {DELETES}) FROM STDIN (FORMAT binary)"),
            delete: Some(format!(
                "SELECT 1 FROM {table} AS kept JOIN {rows} ON {is_same} ORDER BY {locked} FOR UPDATE OF kept; \
                 DELETE FROM {table} AS kept USING {rows} WHERE staged.{DELETES} AND {is_same}"
            )),
            merge: Some(format!(
                "INSERT INTO {table} ({names}) SELECT {names} FROM {rows} WHERE NOT {DELETES} ORDER BY {keys} \
                 ON CONFLICT ({keys}) DO {on_conflict}"
            )),
            clear: Some(format!("TRUNCATE {STAGED}")),
        }
    }
}

/// Returns the statement that makes a table, if it is not there.
pub(crate) fn create_table(table: &TableName, columns: &Columns) -> String {
    let table = table.quoted();
    let definitions = columns
        .iter()
        .map(|column| format!("{} {}", quoted(column.name()), sql_type(column.kind())));
    let mut definitions: Vec<_> = definitions.collect();
    if !columns.key_indexes().is_empty() {
        let names: Vec<_> = columns.iter().map(Column::name).collect();
        let key = list(columns.key_indexes().iter().map(|index| names[*index]));
        definitions.push(format!("PRIMARY KEY ({key})"));
    }
    let definitions = definitions.join(", ");
    format!("CREATE TABLE IF NOT EXISTS {table} ({definitions})")
}

fn sql_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Bool => "boolean",
        ColumnType::Int => "bigint",
        ColumnType::Float => "double precision",
        ColumnType::Text => "text",
        ColumnType::Bytes => "bytea",
        ColumnType::Timestamp => "timestamptz",
        ColumnType::Date => "date",
        ColumnType::Decimal => "numeric",
        ColumnType::TextArray => "text[]",
        ColumnType::IntArray => "bigint[]",
        ColumnType::FloatArray => "double precision[]",
        ColumnType::Json => "jsonb",
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(quoted).collect::<Vec<_>>().join(", ")
}
