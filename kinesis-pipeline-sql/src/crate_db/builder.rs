use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kinesis_pipeline::Record;

use super::{
    bulk::PartLimits,
    client::SqlClient,
    dialect::{
        self, ColumnDefinition, CrateDbType, DELETED, InvalidName, ObjectPolicy, TableName,
        VERSION, check_column,
    },
    sink::{CrateDbSink, IsDelete, Shared},
    transport::{Http, InvalidNodeUrl, Transport, node},
};
use crate::row::{Column, ColumnSource, ColumnType, Columns, ColumnsError};

const POSITIONS_TABLE: &str = "kinesis_pipeline_checkpoint";
const REQUEST_TIME_MAX: Duration = Duration::from_mins(1);
const REQUEST_BYTES_MAX: usize = 8 << 20;
const REQUEST_ROWS_MAX: usize = 5_000;

/// An invalid setting of a sink.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCrateDbOption {
    /// The URL is no URL of a node.
    #[error(transparent)]
    Url(#[from] InvalidNodeUrl),
    /// A table or a column has a name that CrateDB does not take.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// No table can have these columns.
    #[error(transparent)]
    Columns(#[from] ColumnsError),
    /// The mode is upsert, and the columns have no key.
    #[error("name the key of the rows that are to be replaced: `Columns::key`")]
    NoKey,
    /// The mode is append, and the columns have a key.
    #[error("a key is for `upsert`: rows that are appended have their position for a key")]
    KeyOfAppended,
    /// Rows are to be deleted, and the mode is append.
    #[error("`delete_when` needs `upsert`: rows that are appended are never deleted")]
    DeleteOfAppended,
    /// A type is set for a column that does not exist.
    #[error("there is no column \"{name}\" to set a type for: the columns are {columns}")]
    #[non_exhaustive]
    UnknownColumn {
        /// The name.
        name: String,
        /// The names of the columns.
        columns: String,
    },
    /// A column has a name that the sink needs itself.
    #[error("the column \"{name}\" is the sink's own: name yours otherwise")]
    #[non_exhaustive]
    Reserved {
        /// The name.
        name: &'static str,
    },
    /// A limit is zero.
    #[error("{name} must be more than zero")]
    #[non_exhaustive]
    Zero {
        /// The limit's name.
        name: &'static str,
    },
}

/// Settings of a [`CrateDbSink`].
#[must_use = "a builder does nothing until `build`"]
pub struct CrateDbSinkBuilder<R> {
    urls: Vec<String>,
    table: String,
    positions: String,
    columns: Option<Columns>,
    types: BTreeMap<String, CrateDbType>,
    is_upsert: bool,
    is_sole: bool,
    creates: bool,
    delete: Option<Box<IsDelete<R>>>,
    credentials: Option<(String, String)>,
    request_time_max: Duration,
    limits: PartLimits,
}

impl<R> CrateDbSinkBuilder<R> {
    pub(super) fn new(url: String, table: String) -> Self {
        Self {
            urls: vec![url],
            table,
            positions: POSITIONS_TABLE.to_owned(),
            columns: None,
            types: BTreeMap::new(),
            is_upsert: false,
            is_sole: false,
            creates: false,
            delete: None,
            credentials: None,
            request_time_max: REQUEST_TIME_MAX,
            limits: PartLimits {
                rows_max: REQUEST_ROWS_MAX,
                bytes_max: REQUEST_BYTES_MAX,
            },
        }
    }

    /// Adds another node of the same cluster. After a failure the next call goes to the next node.
    pub fn node(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// Sets the user and the password, sent with every request (HTTP Basic). None by default. Use `https` with them.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some((user.into(), password.into()));
        self
    }

    /// Sets the columns of the rows. By default the whole record is in one column `record`, an `OBJECT(DYNAMIC)`.
    pub fn columns(mut self, columns: Columns) -> Self {
        self.columns = Some(columns);
        self
    }

    /// Sets the type with which a column is created: for arrays, and for objects with another policy.
    ///
    /// By default JSON is `OBJECT(DYNAMIC)`, bytes are `TEXT` in Base64, and the other types have their own.
    pub fn column_type(mut self, column: impl Into<String>, kind: CrateDbType) -> Self {
        self.types.insert(column.into(), kind);
        self
    }

    /// Stores a row for each record, with its position as the key. The default.
    pub fn append(mut self) -> Self {
        self.is_upsert = false;
        self
    }

    /// Stores the newest row of each key. The key is set with the [columns](Self::columns).
    pub fn upsert(mut self) -> Self {
        self.is_upsert = true;
        self
    }

    /// Sets the test of records that delete the row of their key, in the mode [`upsert`](Self::upsert).
    ///
    /// A deleted row stays in the table as a tombstone: with its key, its version, null in all other columns, and true
    /// in `kinesis_deleted`. Without it, an older record that is read again would bring the row back. Leave tombstones
    /// out with `WHERE NOT kinesis_deleted`, and remove them when no worker can still have an older record.
    pub fn delete_when(
        mut self,
        is_delete: impl Fn(&Record<R>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.delete = Some(Box::new(is_delete));
        self
    }

    /// Declares that no other worker of the application works while this one does. The worker then takes over a
    /// position with any fencing token and keeps that token, so that a fleet can continue afterwards. For leases whose
    /// tokens begin anew at each start, such as [`MemoryLeases`](kinesis_pipeline::MemoryLeases).
    pub fn sole_worker(mut self) -> Self {
        self.is_sole = true;
        self
    }

    /// Sets whether the tables are created if they are absent. They are not by default.
    pub fn create_table(mut self, creates: bool) -> Self {
        self.creates = creates;
        self
    }

    /// Sets the table of positions (`table` or `schema.table`). `kinesis_pipeline_checkpoint` by default; it may be
    /// shared by any number of applications.
    pub fn positions_table(mut self, table: impl Into<String>) -> Self {
        self.positions = table.into();
        self
    }

    /// Sets the longest time for a request. 60 s by default.
    pub fn request_time_max(mut self, time: Duration) -> Self {
        self.request_time_max = time;
        self
    }

    /// Sets the most bytes of a request's rows. 8 MiB by default; a longer row is sent alone. The server's limit is
    /// `http.max_content_length`, 100 MB unless it was changed.
    pub fn request_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.bytes_max = bytes;
        self
    }

    /// Sets the most rows of a request. 5,000 by default.
    pub fn request_rows_max(mut self, rows: usize) -> Self {
        self.limits.rows_max = rows;
        self
    }

    /// Checks the settings and makes the sink. No call is made.
    ///
    /// # Errors
    /// [`InvalidCrateDbOption`].
    pub fn build(self) -> Result<CrateDbSink<R>, InvalidCrateDbOption> {
        let nodes = self.urls.iter().map(|url| node(url));
        let nodes = nodes.collect::<Result<_, _>>()?;
        let credentials = self.credentials.as_ref();
        let credentials = credentials.map(|(user, password)| (user.as_str(), password.as_str()));
        let http = Http::new(nodes, credentials)?;
        self.build_with(Box::new(http))
    }

    pub(super) fn build_with(
        self,
        transport: Box<dyn Transport>,
    ) -> Result<CrateDbSink<R>, InvalidCrateDbOption> {
        self.check_limits()?;
        let table = TableName::parse(&self.table)?;
        let positions = TableName::parse(&self.positions)?;
        let columns = self.columns.unwrap_or_else(|| Columns::one_json("record"));
        let columns = with_key(columns, self.is_upsert)?;
        if self.delete.is_some() && !self.is_upsert {
            return Err(InvalidCrateDbOption::DeleteOfAppended);
        }
        let definitions = definitions(&columns, &self.types, self.is_upsert)?;
        let names: Vec<_> = definitions
            .iter()
            .map(|column| column.name.clone())
            .collect();
        let key: Vec<_> = columns
            .key_indexes()
            .iter()
            .map(|index| names[*index].clone())
            .collect();
        let statement = if self.is_upsert {
            dialect::upsert(&table, &names, &key)
        } else {
            dialect::insert(&table, &names, &key)
        };
        let create = if self.creates {
            let table = dialect::create_table(&table, &definitions, &key);
            vec![table, dialect::create_positions(&positions)]
        } else {
            Vec::new()
        };
        let shared = Shared {
            client: SqlClient::new(transport, self.request_time_max),
            columns,
            is_upsert: self.is_upsert,
            is_sole: self.is_sole,
            delete: self.delete,
            statement,
            probe: dialect::probe(&table, &names),
            limits: self.limits,
            create,
            positions_probe: dialect::probe_positions(&positions),
            positions,
        };
        Ok(CrateDbSink {
            shared: Arc::new(shared),
        })
    }

    fn check_limits(&self) -> Result<(), InvalidCrateDbOption> {
        let zero = |name| Err(InvalidCrateDbOption::Zero { name });
        if self.request_time_max.is_zero() {
            return zero("request_time_max");
        }
        if self.limits.rows_max == 0 {
            return zero("request_rows_max");
        }
        if self.limits.bytes_max == 0 {
            return zero("request_bytes_max");
        }
        Ok(())
    }
}

/// Adds the record's position as the key in the mode append; checks the key in the mode upsert.
fn with_key(columns: Columns, is_upsert: bool) -> Result<Columns, InvalidCrateDbOption> {
    let has_key = !columns.key_indexes().is_empty();
    match (is_upsert, has_key) {
        (true, true) => return Ok(columns),
        (true, false) => return Err(InvalidCrateDbOption::NoKey),
        (false, true) => return Err(InvalidCrateDbOption::KeyOfAppended),
        (false, false) => {}
    }
    let key = [
        ("shard_id", ColumnSource::ShardId),
        ("sequence_number", ColumnSource::SequenceNumber),
        ("sub_sequence_number", ColumnSource::SubSequenceNumber),
    ];
    let names = key.clone().map(|(name, _)| name);
    let columns = key.into_iter().fold(columns, |columns, (name, source)| {
        let is_there = |column: &Column| column.name() == name && *column.source() == source;
        if columns.iter().any(is_there) {
            return columns;
        }
        columns.with(Column::of(name, source))
    });
    Ok(columns.key(names)?)
}

/// Returns the columns of the table: those of the rows, then those of the mode upsert.
fn definitions(
    columns: &Columns,
    types: &BTreeMap<String, CrateDbType>,
    is_upsert: bool,
) -> Result<Vec<ColumnDefinition>, InvalidCrateDbOption> {
    columns.check()?;
    let known = |name: &String| columns.iter().any(|column| column.name() == name);
    if let Some(name) = types.keys().find(|name| !known(name)) {
        let names = columns.iter().map(Column::name).collect::<Vec<_>>();
        let (name, columns) = (name.clone(), names.join(", "));
        return Err(InvalidCrateDbOption::UnknownColumn { name, columns });
    }
    let mut definitions = Vec::with_capacity(columns.len() + 2);
    for column in columns {
        check_column(column.name())?;
        let kind = types.get(column.name()).cloned();
        let kind = kind.unwrap_or_else(|| type_of(column.kind()));
        definitions.push(ColumnDefinition::new(column.name(), kind));
    }
    if is_upsert {
        for (name, kind) in [
            (VERSION, CrateDbType::Text),
            (DELETED, CrateDbType::Boolean),
        ] {
            if known(&name.to_owned()) {
                return Err(InvalidCrateDbOption::Reserved { name });
            }
            definitions.push(ColumnDefinition::new(name, kind));
        }
    }
    Ok(definitions)
}

fn type_of(kind: ColumnType) -> CrateDbType {
    match kind {
        ColumnType::Bool => CrateDbType::Boolean,
        ColumnType::Int => CrateDbType::BigInt,
        ColumnType::Float => CrateDbType::Double,
        ColumnType::Text | ColumnType::Bytes | ColumnType::Decimal => CrateDbType::Text,
        ColumnType::Timestamp | ColumnType::Date => CrateDbType::Timestamp,
        ColumnType::TextArray => CrateDbType::Array(Box::new(CrateDbType::Text)),
        ColumnType::IntArray => CrateDbType::Array(Box::new(CrateDbType::BigInt)),
        ColumnType::FloatArray => CrateDbType::Array(Box::new(CrateDbType::Double)),
        ColumnType::Json => CrateDbType::Object(ObjectPolicy::Dynamic),
    }
}

impl<R> std::fmt::Debug for CrateDbSinkBuilder<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CrateDbSinkBuilder")
            .field("urls", &self.urls)
            .field("table", &self.table)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}
