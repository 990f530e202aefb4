use serde::de::DeserializeOwned;

use super::{ColumnType, fields::fields_of};

/// The source of a column's values.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnSource {
    /// The record's field of this name, as serde names it.
    Field(String),
    /// A field of a nested object, as serde names it: the names of the objects around it, then its own.
    Path(Vec<String>),
    /// The whole record, as JSON.
    Record,
    /// The id of the record's shard.
    ShardId,
    /// The sequence number of the Kinesis record, as decimal text.
    SequenceNumber,
    /// The index of the record in its aggregate.
    SubSequenceNumber,
    /// The record's partition key.
    PartitionKey,
    /// The time at which the record arrived at the service.
    ArrivedAt,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    name: String,
    kind: ColumnType,
    source: ColumnSource,
}

impl Column {
    /// Makes a column for the record's field of the same name.
    #[must_use]
    pub fn field(name: impl Into<String>, kind: ColumnType) -> Self {
        let name = name.into();
        let source = ColumnSource::Field(name.clone());
        Self { name, kind, source }
    }

    /// Makes a column for another source. Its type follows from the source; a field becomes a JSON column.
    #[must_use]
    pub fn of(name: impl Into<String>, source: ColumnSource) -> Self {
        let kind = match source {
            ColumnSource::Field(_) | ColumnSource::Path(_) | ColumnSource::Record => {
                ColumnType::Json
            }
            ColumnSource::SubSequenceNumber => ColumnType::Int,
            ColumnSource::ArrivedAt => ColumnType::Timestamp,
            ColumnSource::ShardId | ColumnSource::SequenceNumber | ColumnSource::PartitionKey => {
                ColumnType::Text
            }
        };
        let name = name.into();
        Self { name, kind, source }
    }

    /// Takes the values from the record's field of another name.
    #[must_use]
    pub fn from_field(mut self, field: impl Into<String>) -> Self {
        self.source = ColumnSource::Field(field.into());
        self
    }

    /// Takes the values from a field of a nested object, as in `["_meta", "id"]`. A record without that object has no
    /// value there.
    ///
    /// ```
    /// use kinesis_pipeline_sql::row::{Column, ColumnType, Columns};
    ///
    /// // The ids that the loader gives its records: a row that is put twice is one row in the mode `keep_first`.
    /// let id = Column::field("id", ColumnType::Text).from_path(["_meta", "id"]);
    /// let columns = Columns::one_json("record").with(id).key(["id"])?;
    /// # Ok::<(), kinesis_pipeline_sql::row::ColumnsError>(())
    /// ```
    #[must_use]
    pub fn from_path<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        self.source = match names.as_mut_slice() {
            [name] => ColumnSource::Field(std::mem::take(name)),
            _ => ColumnSource::Path(names),
        };
        self
    }

    /// Returns the column's name, not quoted.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the column's type.
    #[must_use]
    pub fn kind(&self) -> ColumnType {
        self.kind
    }

    /// Returns the source of its values.
    #[must_use]
    pub fn source(&self) -> &ColumnSource {
        &self.source
    }
}

/// Invalid columns of a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnsError {
    /// The type of the records has no named fields that serde can list.
    #[error(
        "`{name}` has no named fields that serde tells: declare the columns, or use one JSON column"
    )]
    #[non_exhaustive]
    NoFields {
        /// The type's name.
        name: &'static str,
    },
    /// There is no column.
    #[error("a table needs at least one column")]
    Empty,
    /// Two columns have one name.
    #[error("two columns have the name \"{name}\"")]
    #[non_exhaustive]
    Twice {
        /// The name.
        name: String,
    },
    /// No column has this name.
    #[error("there is no column \"{name}\": the columns are {columns}")]
    #[non_exhaustive]
    Unknown {
        /// The name.
        name: String,
        /// The names of the columns.
        columns: String,
    },
}

/// The columns of a table, and the sources of their values.
///
/// ```
/// use kinesis_pipeline_sql::row::{ColumnType, Columns};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Reading {
///     device: String,
///     temperature: f64,
///     at: String,
/// }
///
/// let columns = Columns::of::<Reading>()?.typed("at", ColumnType::Timestamp)?.key(["device"])?;
/// let names: Vec<_> = columns.iter().map(|column| column.name()).collect();
/// assert_eq!(names, ["device", "temperature", "at"]);
/// # Ok::<(), kinesis_pipeline_sql::row::ColumnsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Columns {
    columns: Vec<Column>,
    /// The columns of the key, as indexes of the columns, in the order of the key.
    key: Vec<usize>,
}

impl Columns {
    /// Makes a column for each field of the record type, by the names of serde: booleans, integers, floating-point
    /// numbers, texts and bytes in columns of their type, all others as JSON. A timestamp that serde writes as a text
    /// is a text column unless [`typed`](Self::typed) changes it. Names that serde only reads (`alias`) become columns
    /// that are null: declare the columns of such a type.
    ///
    /// # Errors
    /// [`ColumnsError::NoFields`].
    pub fn of<R: DeserializeOwned>() -> Result<Self, ColumnsError> {
        let name = std::any::type_name::<R>();
        let fields = fields_of::<R>().ok_or(ColumnsError::NoFields { name })?;
        let columns = fields.into_iter();
        Ok(columns
            .map(|(name, kind)| Column::field(name, kind))
            .collect())
    }

    /// Makes one JSON column for the whole record.
    pub fn one_json(name: impl Into<String>) -> Self {
        std::iter::once(Column::of(name, ColumnSource::Record)).collect()
    }

    /// Adds a column.
    #[must_use]
    pub fn with(mut self, column: Column) -> Self {
        self.columns.push(column);
        self
    }

    /// Adds columns for the record's position: `shard_id`, `sequence_number` and `sub_sequence_number`.
    #[must_use]
    pub fn with_position(self) -> Self {
        self.with(Column::of("shard_id", ColumnSource::ShardId))
            .with(Column::of("sequence_number", ColumnSource::SequenceNumber))
            .with(Column::of(
                "sub_sequence_number",
                ColumnSource::SubSequenceNumber,
            ))
    }

    /// Sets the type of a column.
    ///
    /// # Errors
    /// [`ColumnsError::Unknown`].
    pub fn typed(mut self, name: &str, kind: ColumnType) -> Result<Self, ColumnsError> {
        let index = self.index(name)?;
        self.columns[index].kind = kind;
        Ok(self)
    }

    /// Sets the columns of the primary key. Their values are never null.
    ///
    /// # Errors
    /// [`ColumnsError::Unknown`].
    pub fn key<N: AsRef<str>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, ColumnsError> {
        let names = names.into_iter();
        let key: Result<_, _> = names.map(|name| self.index(name.as_ref())).collect();
        self.key = key?;
        Ok(self)
    }

    /// Checks that a table can have these columns: at least one, and no name twice.
    ///
    /// # Errors
    /// [`ColumnsError`].
    pub fn check(&self) -> Result<(), ColumnsError> {
        if self.columns.is_empty() {
            return Err(ColumnsError::Empty);
        }
        let mut names: Vec<_> = self.iter().map(Column::name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(ColumnsError::Twice {
                name: pair[0].to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Returns the columns in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Column> {
        self.columns.iter()
    }

    /// Returns the number of columns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there are no columns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Returns the columns of the primary key, as indexes of the columns.
    #[must_use]
    pub fn key_indexes(&self) -> &[usize] {
        &self.key
    }

    pub(super) fn name(&self, index: usize) -> &str {
        &self.columns[index].name
    }

    pub(super) fn kind(&self, index: usize) -> ColumnType {
        self.columns[index].kind
    }

    pub(super) fn has_fields(&self) -> bool {
        let is_field = |column: &Column| matches!(column.source, ColumnSource::Field(_));
        self.iter().any(is_field) || self.has_paths()
    }

    /// Whether a column is for a field of a nested object.
    pub(super) fn has_paths(&self) -> bool {
        let is_path = |column: &Column| matches!(column.source, ColumnSource::Path(_));
        self.iter().any(is_path)
    }

    /// Returns the column of a field of the object at this path.
    pub(super) fn of_path(&self, path: &[String], field: &str) -> Option<usize> {
        self.iter().position(|column| match &column.source {
            ColumnSource::Path(names) => {
                matches!(names.split_last(), Some((last, before)) if last == field && before == path)
            }
            _ => false,
        })
    }

    /// Whether a column is for a field somewhere in the object of this name in the object at this path.
    pub(super) fn has_in(&self, path: &[String], object: &str) -> bool {
        self.iter().any(|column| match &column.source {
            ColumnSource::Path(names) => {
                let rest = names.strip_prefix(path).unwrap_or_default();
                rest.len() > 1 && rest[0] == object
            }
            _ => false,
        })
    }

    /// Returns the column of a field, looked for from `next` on.
    pub(super) fn of_field(&self, field: &str, next: usize) -> Option<usize> {
        let is_of = |index: &usize| matches!(&self.columns[*index].source, ColumnSource::Field(name) if name == field);
        let count = self.columns.len();
        let next = next.min(count);
        (next..count).chain(0..next).find(is_of)
    }

    fn index(&self, name: &str) -> Result<usize, ColumnsError> {
        let found = self.iter().position(|column| column.name == name);
        found.ok_or_else(|| ColumnsError::Unknown {
            name: name.to_owned(),
            columns: self.iter().map(Column::name).collect::<Vec<_>>().join(", "),
        })
    }
}

impl FromIterator<Column> for Columns {
    fn from_iter<I: IntoIterator<Item = Column>>(columns: I) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            key: Vec::new(),
        }
    }
}

impl<'a> IntoIterator for &'a Columns {
    type Item = &'a Column;
    type IntoIter = std::slice::Iter<'a, Column>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use kinesis_pipeline::{PartitionKey, Position, Record};
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::row::{Value, ValueError};

    #[derive(Clone, Serialize, Deserialize)]
    struct Reading {
        device: Option<String>,
        celsius: f64,
        tags: Vec<u8>,
    }

    fn record<R>(data: R) -> Record<R> {
        let position = Position::new("shardId-000000000007".into(), 42_u128.into());
        let at = UNIX_EPOCH + Duration::from_secs(9);
        let position = position.at_sub_sequence_number(3);
        Record::new(data, PartitionKey::new("k").unwrap(), position, at)
    }

    fn reading(device: Option<&str>) -> Record<Reading> {
        record(Reading {
            device: device.map(ToOwned::to_owned),
            celsius: 21.5,
            tags: vec![1, 2],
        })
    }

    #[test]
    fn a_row_has_the_fields_and_the_facts_of_its_record() {
        let columns = Columns::of::<Reading>().unwrap().with_position();
        let columns = columns
            .with(Column::of("key", ColumnSource::PartitionKey))
            .with(Column::of("at", ColumnSource::ArrivedAt))
            .with(Column::of("all", ColumnSource::Record));
        let row = columns.row(&reading(Some("a"))).unwrap();
        let expected = [
            Value::Text("a".into()),
            Value::Float(21.5),
            Value::Json("[1,2]".into()),
            Value::Text("shardId-000000000007".into()),
            Value::Text("42".into()),
            Value::Int(3),
            Value::Text("k".into()),
            Value::Timestamp(UNIX_EPOCH + Duration::from_secs(9)),
            Value::Json(r#"{"device":"a","celsius":21.5,"tags":[1,2]}"#.into()),
        ];
        assert_eq!(row.values, expected);
    }

    #[test]
    fn the_fields_of_a_map_are_found_in_any_order_and_others_left_out() {
        let columns: Columns = [
            Column::field("a", ColumnType::Int),
            Column::field("b", ColumnType::Text),
            Column::field("renamed", ColumnType::Bool).from_field("c"),
        ]
        .into_iter()
        .collect();
        let data = serde_json::json!({"z": {}, "c": true, "b": "x"});
        let row = columns.row(&record(data)).unwrap();
        let expected = [Value::Null, Value::Text("x".into()), Value::Bool(true)];
        assert_eq!(row.values, expected);
    }

    #[test]
    fn a_bad_value_names_its_column_and_its_record() {
        let columns = Columns::of::<Reading>().unwrap();
        let columns = columns.typed("celsius", ColumnType::Bool).unwrap();
        let bad = columns.row(&reading(None)).unwrap_err();
        assert_eq!(bad.column, "celsius");
        assert_eq!(
            bad.to_string(),
            "the record at shardId-000000000007:42.3 does not fit column \"celsius\""
        );
        let columns = Columns::of::<Reading>().unwrap().key(["device"]).unwrap();
        let bad = columns.row(&reading(None)).unwrap_err();
        assert!(matches!(bad.source, ValueError::MissingKey));
        let raw = serde_json::value::RawValue::from_string("{\"device\":\"a\"}".into()).unwrap();
        let bad = columns.row(&record(raw)).unwrap_err();
        assert!(matches!(
            bad.source,
            ValueError::NoFields { found: "raw JSON" }
        ));
        let bad = columns.row(&record("text")).unwrap_err();
        assert!(matches!(
            bad.source,
            ValueError::NoFields { found: "a text" }
        ));
    }

    #[test]
    fn a_field_of_an_object_is_found_at_its_path_and_is_null_where_there_is_none() {
        let columns: Columns = [
            Column::field("id", ColumnType::Text).from_path(["_meta", "id"]),
            Column::field("lat", ColumnType::Float).from_path(["at", "point", "lat"]),
            Column::field("meta", ColumnType::Json).from_field("_meta"),
            Column::field("own", ColumnType::Text).from_path(["id"]),
        ]
        .into_iter()
        .collect();
        let row = |data: serde_json::Value| columns.row(&record(data)).map(|row| row.values);
        let data = serde_json::json!({
            "id": "mine", "_meta": {"id": "f:7"}, "at": {"lat": 9.0, "point": {"id": 1, "lat": 2.5}}
        });
        let expected = [
            Value::Text("f:7".into()),
            Value::Float(2.5),
            Value::Json(r#"{"id":"f:7"}"#.into()),
            Value::Text("mine".into()),
        ];
        assert_eq!(row(data).unwrap(), expected);
        let none = row(serde_json::json!({"_meta": 5, "at": {"point": null}})).unwrap();
        let expected = [
            Value::Null,
            Value::Null,
            Value::Json("5".into()),
            Value::Null,
        ];
        assert_eq!(none, expected);
        let bad = row(serde_json::json!({"_meta": {"id": {}}})).unwrap_err();
        assert_eq!(bad.column, "id");
    }

    #[test]
    fn columns_that_no_table_can_have_are_refused() {
        assert_eq!(Columns::default().check(), Err(ColumnsError::Empty));
        let twice = Columns::one_json("a").with(Column::field("a", ColumnType::Int));
        assert_eq!(twice.check(), Err(ColumnsError::Twice { name: "a".into() }));
        let error = Columns::one_json("data").key(["id"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no column \"id\": the columns are data"
        );
        assert!(Columns::of::<Vec<u8>>().is_err());
    }
}
