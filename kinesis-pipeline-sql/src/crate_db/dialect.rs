//! All SQL statements for CrateDB. Names are quoted, and values are always arguments.
//!
//! CrateDB ignores `BEGIN` and `COMMIT`, is atomic per row, and has no `WHERE` for `ON CONFLICT`. A row that is looked
//! up by its whole primary key is up to date; other queries see changes only after a refresh. So each statement here
//! works on one row, by its whole key.

use std::fmt::Write as _;

/// The column of the position that wrote a row last.
pub(super) const VERSION: &str = "kinesis_version";
/// The column that is true for a row that was deleted.
pub(super) const DELETED: &str = "kinesis_deleted";

/// A type of a CrateDB column.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrateDbType {
    /// `BOOLEAN`.
    Boolean,
    /// `BIGINT`.
    BigInt,
    /// `DOUBLE PRECISION`.
    Double,
    /// `TEXT`, of at most 32,766 bytes: longer texts are refused, because it is indexed.
    Text,
    /// `TEXT` of any length, neither indexed nor sorted by.
    LongText,
    /// `TIMESTAMP WITH TIME ZONE`, to the millisecond.
    Timestamp,
    /// `OBJECT`.
    Object(ObjectPolicy),
    /// `ARRAY` of a type.
    Array(Box<CrateDbType>),
}

/// The treatment of keys of an `OBJECT` column that have no column of their own yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObjectPolicy {
    /// A key gets a column with the type of its first value. A later value of another type is refused.
    Dynamic,
    /// The row is refused.
    Strict,
    /// The key is stored and not indexed.
    Ignored,
}

impl CrateDbType {
    fn sql(&self) -> String {
        match self {
            Self::Boolean => "BOOLEAN".to_owned(),
            Self::BigInt => "BIGINT".to_owned(),
            Self::Double => "DOUBLE PRECISION".to_owned(),
            Self::Text => "TEXT".to_owned(),
            Self::LongText => "TEXT INDEX OFF STORAGE WITH (columnstore = false)".to_owned(),
            Self::Timestamp => "TIMESTAMP WITH TIME ZONE".to_owned(),
            Self::Object(ObjectPolicy::Dynamic) => "OBJECT(DYNAMIC)".to_owned(),
            Self::Object(ObjectPolicy::Strict) => "OBJECT(STRICT)".to_owned(),
            Self::Object(ObjectPolicy::Ignored) => "OBJECT(IGNORED)".to_owned(),
            Self::Array(items) => format!("ARRAY({})", items.sql()),
        }
    }
}

/// A table's name, with its schema if one was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableName {
    schema: Option<String>,
    name: String,
}

/// The longest name that CrateDB takes, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// A name that CrateDB does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("CrateDB takes no {kind} named {name:?}: {reason}")]
#[non_exhaustive]
pub struct InvalidName {
    /// The kind of thing that bears the name.
    pub kind: &'static str,
    /// The name.
    pub name: String,
    /// The rule.
    pub reason: &'static str,
}

impl TableName {
    /// Reads `table` or `schema.table`: neither holds a dot in CrateDB.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidName> {
        let (schema, name) = match text.split_once('.') {
            Some((schema, name)) => (Some(schema), name),
            None => (None, text),
        };
        for (kind, name) in [("schema", schema), ("table", Some(name))] {
            let Some(name) = name else { continue };
            let invalid = |reason| invalid(kind, name, reason);
            check(kind, name)?;
            if name
                .contains(|letter: char| letter.is_whitespace() || "\\/*?\"<>|,#.".contains(letter))
            {
                return Err(invalid(
                    "leave out white space and \\ / * ? \" < > | , # and dots",
                ));
            }
            if name.chars().any(char::is_uppercase) {
                return Err(invalid("write it in lower case"));
            }
        }
        Ok(Self {
            schema: schema.map(ToOwned::to_owned),
            name: name.to_owned(),
        })
    }

    fn sql(&self) -> String {
        let name = quoted(&self.name);
        match &self.schema {
            Some(schema) => format!("{}.{name}", quoted(schema)),
            None => name,
        }
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sql())
    }
}

/// Checks a column's name.
pub(super) fn check_column(name: &str) -> Result<(), InvalidName> {
    check("column", name)?;
    if name.contains(['.', '[', ']']) {
        return Err(invalid(
            "column",
            name,
            "leave out dots and square brackets",
        ));
    }
    Ok(())
}

fn check(kind: &'static str, name: &str) -> Result<(), InvalidName> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > NAME_BYTES_MAX {
        "it is longer than 255 bytes"
    } else if name.starts_with('_') {
        "CrateDB keeps names with an underscore at their beginning for itself"
    } else if name.contains(|letter: char| letter.is_control()) {
        "it holds a control character"
    } else {
        return Ok(());
    };
    Err(invalid(kind, name, reason))
}

fn invalid(kind: &'static str, name: &str, reason: &'static str) -> InvalidName {
    InvalidName {
        kind,
        name: name.to_owned(),
        reason,
    }
}

/// Returns a name in quotes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn list<N: AsRef<str>>(names: &[N]) -> String {
    let names = names.iter().map(|name| quoted(name.as_ref()));
    names.collect::<Vec<_>>().join(", ")
}

fn conditions<N: AsRef<str>>(names: &[N]) -> String {
    let equal = names
        .iter()
        .map(|name| format!("{} = ?", quoted(name.as_ref())));
    equal.collect::<Vec<_>>().join(" AND ")
}

/// A column for [`create_table`].
#[derive(Clone, Debug)]
pub(super) struct ColumnDefinition {
    pub(super) name: String,
    pub(super) kind: CrateDbType,
}

impl ColumnDefinition {
    pub(super) fn new(name: &str, kind: CrateDbType) -> Self {
        let name = name.to_owned();
        Self { name, kind }
    }
}

/// Returns the statement that makes a table, if it is absent.
pub(super) fn create_table<N: AsRef<str>>(
    table: &TableName,
    columns: &[ColumnDefinition],
    key: &[N],
) -> String {
    let mut sql = format!("CREATE TABLE IF NOT EXISTS {table} (");
    for column in columns {
        let _ = write!(sql, "{} {}, ", quoted(&column.name), column.kind.sql());
    }
    let _ = write!(sql, "PRIMARY KEY ({}))", list(key));
    sql
}

/// Returns a statement that reads nothing, and is refused when the table or one of the columns is absent.
pub(super) fn probe<N: AsRef<str>>(table: &TableName, columns: &[N]) -> String {
    format!("SELECT {} FROM {table} LIMIT 0", list(columns))
}

/// Returns the statement that stores a row, unless one with its key is there.
pub(super) fn insert<N: AsRef<str>, K: AsRef<str>>(
    table: &TableName,
    columns: &[N],
    key: &[K],
) -> String {
    let key = list(key);
    format!(
        "{} ON CONFLICT ({key}) DO NOTHING",
        insert_values(table, columns)
    )
}

/// Returns the statement that stores a row, or replaces one with its key that was written from an earlier position.
pub(super) fn upsert<N: AsRef<str>, K: AsRef<str>>(
    table: &TableName,
    columns: &[N],
    key: &[K],
) -> String {
    let version = quoted(VERSION);
    let is_of_key = |name: &str| key.iter().any(|key| key.as_ref() == name);
    let changed = columns
        .iter()
        .map(AsRef::as_ref)
        .filter(|name| !is_of_key(name));
    let assignments: Vec<_> = changed
        .map(|name| {
            let name = quoted(name);
            format!("{name} = CASE WHEN excluded.{version} > {version} THEN excluded.{name} ELSE {name} END")
        })
        .collect();
    let (insert, key, assignments) = (
        insert_values(table, columns),
        list(key),
        assignments.join(", "),
    );
    format!("{insert} ON CONFLICT ({key}) DO UPDATE SET {assignments}")
}

fn insert_values<N: AsRef<str>>(table: &TableName, columns: &[N]) -> String {
    let places = vec!["?"; columns.len()].join(", ");
    format!("INSERT INTO {table} ({}) VALUES ({places})", list(columns))
}

/// The key of a row of the table of positions.
const POSITION_KEY: [&str; 3] = ["app", "stream", "shard"];
const POSITION: [&str; 3] = ["sequence_number", "sub_sequence_number", "token"];

/// Returns the statement that makes the table of positions, if it is absent.
pub(super) fn create_positions(table: &TableName) -> String {
    let text = POSITION_KEY.iter().chain(&POSITION[..1]);
    let text = text.map(|name| ColumnDefinition::new(name, CrateDbType::Text));
    let number = POSITION[1..].iter();
    let number = number.map(|name| ColumnDefinition::new(name, CrateDbType::BigInt));
    create_table(
        table,
        &text.chain(number).collect::<Vec<_>>(),
        &POSITION_KEY,
    )
}

/// Returns a statement that reads nothing of the table of positions, and is refused when it or one of its columns is
/// absent.
pub(super) fn probe_positions(table: &TableName) -> String {
    probe(table, &[POSITION_KEY, POSITION].concat())
}

/// Returns the statement that reads a shard's position, with `_seq_no` and `_primary_term` for the compare and set.
/// Arguments: the key.
pub(super) fn read_position(table: &TableName) -> String {
    let columns = list(&[&POSITION[..], &["_seq_no", "_primary_term"]].concat());
    format!(
        "SELECT {columns} FROM {table} WHERE {}",
        conditions(&POSITION_KEY)
    )
}

/// Returns the statement that adds the row of a shard; refused with code 4091 if it is there. Arguments: the key, the
/// position and the token.
pub(super) fn add_position(table: &TableName) -> String {
    insert_values(table, &[POSITION_KEY, POSITION].concat())
}

/// Returns the statement that moves a shard's position, if nothing else has changed the row. Arguments: the position
/// and the token, the key, and the sequence number and the primary term of the row.
pub(super) fn move_position(table: &TableName) -> String {
    let set = POSITION
        .map(|name| format!("{} = ?", quoted(name)))
        .join(", ");
    let row = conditions(&[&POSITION_KEY[..], &["_seq_no", "_primary_term"]].concat());
    format!("UPDATE {table} SET {set} WHERE {row}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_their_quotes_doubled() {
        let table = TableName::parse("doc.readings").unwrap();
        let sql = upsert(&table, &["de\"vice", "x", VERSION], &["de\"vice"]);
        assert_eq!(
            sql,
            "INSERT INTO \"doc\".\"readings\" (\"de\"\"vice\", \"x\", \"kinesis_version\") VALUES (?, ?, ?) \
             ON CONFLICT (\"de\"\"vice\") DO UPDATE SET \
             \"x\" = CASE WHEN excluded.\"kinesis_version\" > \"kinesis_version\" THEN excluded.\"x\" ELSE \"x\" END, \
             \"kinesis_version\" = CASE WHEN excluded.\"kinesis_version\" > \"kinesis_version\" \
             THEN excluded.\"kinesis_version\" ELSE \"kinesis_version\" END"
        );
    }

    #[test]
    fn names_that_the_server_does_not_take_are_refused_before() {
        for name in [
            "",
            "a b",
            "A",
            "_a",
            "a.b.c",
            "a\"b",
            "a\0",
            ".a",
            "a.",
            &"a".repeat(256),
        ] {
            assert!(TableName::parse(name).is_err(), "{name:?}");
        }
        for name in ["", "_a", "a.b", "a[0]", "a\0", "a\n"] {
            assert!(check_column(name).is_err(), "{name:?}");
        }
        for name in ["A", "a b", "a\"; DROP TABLE t; --", "ä"] {
            check_column(name).unwrap();
        }
    }

    #[test]
    fn a_position_is_moved_by_all_of_its_key() {
        let table = TableName::parse("p").unwrap();
        assert_eq!(
            move_position(&table),
            "UPDATE \"p\" SET \"sequence_number\" = ?, \"sub_sequence_number\" = ?, \"token\" = ? WHERE \"app\" = ? \
             AND \"stream\" = ? AND \"shard\" = ? AND \"_seq_no\" = ? AND \"_primary_term\" = ?"
        );
    }
}
