//! The columns of a table, as the database has them.

use tokio_postgres::{Error, Row, Transaction, types::Type};

use super::encode::PgType;
use crate::{
    SqlError,
    row::{Column, ColumnSource, Columns},
    table::{TableName, create_table},
};

/// The key of the lock under which tables are made: two workers that start at once could otherwise fail, despite
/// `IF NOT EXISTS`.
const CREATE_LOCK: i64 = 0x6b69_6e65_7369_7331;

const COLUMNS: &str = "SELECT a.attname::text, b.typname::text, b.typtype = 'e', a.attgenerated <> '' \
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
    JOIN pg_type b ON b.oid = COALESCE(NULLIF(t.typbasetype, 0), t.oid) \
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// The columns that rows are written to.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub(crate) columns: Columns,
    pub(crate) types: Vec<PgType>,
}

/// A column of the table.
struct Found {
    name: String,
    type_name: String,
    is_enum: bool,
    is_generated: bool,
}

impl Found {
    fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            name: row.try_get(0)?,
            type_name: row.try_get(1)?,
            is_enum: row.try_get(2)?,
            is_generated: row.try_get(3)?,
        })
    }
}

/// Takes the lock for making tables, and makes the table of rows if it is asked for.
pub(crate) async fn create(
    transaction: &Transaction<'_>,
    table: &TableName,
    columns: Option<&Columns>,
) -> Result<(), Error> {
    let lock = format!("SELECT pg_advisory_xact_lock({CREATE_LOCK})");
    transaction.batch_execute(&lock).await?;
    match columns {
        Some(columns) => {
            let create = create_table(table, columns);
            transaction.batch_execute(&create).await
        }
        None => Ok(()),
    }
}

/// Looks up the columns: those that are given, or all of the table. The table's types take precedence over given ones.
pub(crate) async fn describe(
    transaction: &Transaction<'_>,
    table: &TableName,
    given: Option<&Columns>,
) -> Result<Described, SqlError> {
    let name = table.quoted();
    let rows = transaction
        .query_typed(COLUMNS, &[(&name, Type::TEXT)])
        .await
        .map_err(|error| SqlError::database("describe the table", error))?;
    if rows.is_empty() {
        return Err(SqlError::NoTable { table: name });
    }
    let found: Result<Vec<_>, _> = rows.iter().map(Found::of).collect();
    let found = found.map_err(|error| SqlError::database("describe the table", error))?;
    let Some(given) = given else {
        let columns = found.iter().filter(|found| !found.is_generated);
        let columns: Columns = columns
            .map(|found| Column::of(&found.name, ColumnSource::Field(found.name.clone())))
            .collect();
        return typed(&columns, &found, &name);
    };
    typed(given, &found, &name)
}

fn typed(given: &Columns, found: &[Found], table: &str) -> Result<Described, SqlError> {
    let all = found;
    let mut columns = given.clone();
    let mut types = Vec::with_capacity(given.len());
    for column in given {
        let name = column.name();
        let Some(found) = found.iter().find(|found| found.name == name) else {
            let names: Vec<_> = all.iter().map(|found| &*found.name).collect();
            return Err(SqlError::NoColumn {
                table: table.to_owned(),
                column: name.to_owned(),
                columns: names.join(", "),
            });
        };
        let unfit = || SqlError::ColumnType {
            table: table.to_owned(),
            column: name.to_owned(),
            found: found.type_name.clone(),
            source_type: column.kind(),
        };
        let kind = PgType::of(&found.type_name, found.is_enum);
        let kind = kind.ok_or_else(|| SqlError::UnsupportedType {
            table: table.to_owned(),
            column: name.to_owned(),
            found: found.type_name.clone(),
        })?;
        match column.source() {
            ColumnSource::Field(_) | ColumnSource::Path(_) => {
                columns = columns.typed(name, kind.kind())?;
            }
            _ if column.kind() == kind.kind() => {}
            _ => return Err(unfit()),
        }
        types.push(kind);
    }
    Ok(Described { columns, types })
}
