//! Tables, statements on them, and faults.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Map, Value, json};

use super::{
    statement::{Conflict, Refusal, Statement, parse},
    types::Kind,
};

/// The number of rows of a statement whose reasons are given.
const REASONS_MAX: usize = 10;

/// An embedded stand-in of a CrateDB node. Cheap to clone; clones are one node.
#[derive(Clone, Debug, Default)]
pub struct CrateDb {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    tables: BTreeMap<String, Table>,
    faults: Vec<(String, usize, Fault)>,
    log: Vec<(String, usize)>,
    password: Option<String>,
}

#[derive(Debug)]
struct Table {
    columns: Vec<(String, Kind)>,
    key: Vec<String>,
    rows: BTreeMap<String, Row>,
    /// The rows as searches see them.
    refreshed: Vec<Map<String, Value>>,
    seq_no: i64,
}

#[derive(Clone, Debug)]
struct Row {
    values: Map<String, Value>,
    seq_no: i64,
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and this HTTP status comes.
    Status(u16),
    /// Nothing is done, and the connection breaks off.
    CutBefore,
    /// All is done, and the connection breaks off.
    CutAfter,
    /// Nothing is done for every second row, and each of them fails with this code.
    HalfOfTheRows(u32),
    /// No row is done, and none has a reason.
    NoReasons,
}

/// An answer of the node.
#[derive(Debug)]
pub enum Reply {
    Answer {
        status: u16,
        body: Vec<u8>,
    },
    /// The connection breaks off.
    Cut,
}

impl CrateDb {
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the next `times` statements that hold this text go wrong.
    pub fn fault(&self, on: &str, times: usize, fault: Fault) {
        self.state().faults.push((on.to_owned(), times, fault));
    }

    /// Asks for HTTP Basic with this `user:password`.
    pub fn with_password(self, password: &str) -> Self {
        self.state().password = Some(password.to_owned());
        self
    }

    pub(super) fn password(&self) -> Option<String> {
        self.state().password.clone()
    }

    /// All rows of a table, the newest of each key, in the order of their keys.
    pub fn rows(&self, table: &str) -> Vec<Map<String, Value>> {
        let state = self.state();
        let rows = state.tables.get(table).map(|table| table.rows.values());
        rows.into_iter()
            .flatten()
            .map(|row| row.values.clone())
            .collect()
    }

    /// The statements that came, each with the number of its rows.
    pub fn log(&self) -> Vec<(String, usize)> {
        self.state().log.clone()
    }

    /// Removes a table.
    pub fn drop_table(&self, table: &str) {
        self.state().tables.remove(table);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Answers the body of a request.
    pub fn handle(&self, body: &[u8]) -> Reply {
        let mut state = self.state();
        let Ok(request) = serde_json::from_slice::<Value>(body) else {
            return failed((4000, "the body is no JSON".to_owned()));
        };
        let sql = request["stmt"].as_str().unwrap_or_default().to_owned();
        let bulk = request["bulk_args"].as_array();
        state.log.push((sql.clone(), bulk.map_or(1, Vec::len)));
        let fault = state.next_fault(&sql);
        match fault {
            Some(Fault::CutBefore) => return Reply::Cut,
            Some(Fault::Status(status)) => {
                let body = b"no room".to_vec();
                return Reply::Answer { status, body };
            }
            _ => {}
        }
        let done = match bulk {
            Some(rows) => state.bulk(&sql, rows, fault),
            None => state.single(&sql, request["args"].as_array().map_or(&[], Vec::as_slice)),
        };
        match done {
            _ if fault == Some(Fault::CutAfter) => Reply::Cut,
            Ok(answer) => {
                let body = answer.to_string().into_bytes();
                Reply::Answer { status: 200, body }
            }
            Err(refusal) => failed(refusal),
        }
    }
}

fn failed((code, message): Refusal) -> Reply {
    let body = json!({"error": {"code": code, "message": message}})
        .to_string()
        .into_bytes();
    let status = u16::try_from(code / if code < 10_000 { 10 } else { 100 }).unwrap();
    Reply::Answer { status, body }
}

fn unknown_column(name: &str) -> Refusal {
    (4043, format!("Column {name} unknown"))
}

impl State {
    fn next_fault(&mut self, sql: &str) -> Option<Fault> {
        let found = self
            .faults
            .iter_mut()
            .find(|(on, times, _)| *times > 0 && sql.contains(on.as_str()))?;
        found.1 -= 1;
        Some(found.2)
    }

    fn table(&mut self, name: &str) -> Result<&mut Table, Refusal> {
        let found = self.tables.get_mut(name);
        found.ok_or_else(|| (4041, format!("Relation '{name}' unknown")))
    }

    fn bulk(&mut self, sql: &str, rows: &[Value], fault: Option<Fault>) -> Result<Value, Refusal> {
        let Statement::Insert {
            table,
            columns,
            conflict,
        } = parse(sql)?
        else {
            return Err((
                4004,
                "the stand-in knows bulk arguments of INSERT only".to_owned(),
            ));
        };
        let table = self.table(&table)?;
        table.check(&columns)?;
        let mut reasons = 0;
        let mut results = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            let values = row
                .as_array()
                .ok_or((4000, "bulk_args are no lists".to_owned()))?;
            let done = match fault {
                Some(Fault::HalfOfTheRows(code)) if index % 2 == 0 => {
                    Err((code, "a fault".to_owned()))
                }
                Some(Fault::NoReasons) => {
                    results.push(json!({"rowcount": -2}));
                    continue;
                }
                _ => table.insert(&columns, values, &conflict),
            };
            results.push(match done {
                Ok(count) => json!({"rowcount": count}),
                Err((code, message)) => {
                    reasons += 1;
                    if reasons <= REASONS_MAX {
                        json!({"rowcount": -2, "error": {"code": code, "message": message}})
                    } else {
                        json!({"rowcount": -2})
                    }
                }
            });
        }
        Ok(json!({"cols": [], "duration": 0.1, "results": results}))
    }

    fn single(&mut self, sql: &str, arguments: &[Value]) -> Result<Value, Refusal> {
        let answer = |rows: Vec<Vec<Value>>, count: i64| json!({"cols": [], "rows": rows, "rowcount": count});
        match parse(sql)? {
            Statement::Create {
                table,
                columns,
                key,
            } => {
                if let Some(name) = key
                    .iter()
                    .find(|name| !columns.iter().any(|column| column.0 == **name))
                {
                    return Err(unknown_column(name));
                }
                self.tables.entry(table).or_insert_with(|| Table {
                    columns,
                    key,
                    rows: BTreeMap::new(),
                    refreshed: Vec::new(),
                    seq_no: 0,
                });
                Ok(answer(Vec::new(), 1))
            }
            Statement::Insert {
                table,
                columns,
                conflict,
            } => {
                let table = self.table(&table)?;
                table.check(&columns)?;
                let count = table.insert(&columns, arguments, &conflict)?;
                Ok(answer(Vec::new(), count))
            }
            Statement::Update { table, set, by } => {
                let count = self.table(&table)?.update(&set, &by, arguments)?;
                Ok(answer(Vec::new(), count))
            }
            Statement::Refresh { table } => {
                let table = self.table(&table)?;
                table.refreshed = table.rows.values().map(|row| row.values.clone()).collect();
                Ok(answer(Vec::new(), 1))
            }
            Statement::Select {
                table,
                columns,
                by,
                is_empty,
            } => {
                let table = self.table(&table)?;
                table.check(&columns)?;
                table.check(&by)?;
                let rows = if is_empty {
                    Vec::new()
                } else {
                    table.select(&by, arguments)?
                };
                let rows: Vec<Vec<_>> = rows
                    .iter()
                    .map(|row| {
                        columns
                            .iter()
                            .map(|name| row.get(name).cloned().unwrap_or_default())
                            .collect()
                    })
                    .collect();
                let count = i64::try_from(rows.len()).unwrap();
                Ok(answer(rows, count))
            }
        }
    }
}

impl Table {
    fn check(&self, names: &[String]) -> Result<(), Refusal> {
        let is_known = |name: &String| {
            matches!(name.as_str(), "_seq_no" | "_primary_term")
                || self.columns.iter().any(|column| column.0 == *name)
        };
        match names.iter().find(|name| !is_known(name)) {
            Some(name) => Err(unknown_column(name)),
            None => Ok(()),
        }
    }

    fn insert(
        &mut self,
        columns: &[String],
        values: &[Value],
        conflict: &Conflict,
    ) -> Result<i64, Refusal> {
        if columns.len() != values.len() {
            return Err((
                4000,
                "the number of values is not that of the columns".to_owned(),
            ));
        }
        let mut row = Map::new();
        for (name, value) in columns.iter().zip(values) {
            let column = self.columns.iter_mut().find(|column| column.0 == *name);
            let (_, kind) = column.ok_or_else(|| unknown_column(name))?;
            row.insert(name.clone(), kind.cast(value.clone())?);
        }
        let key = self.key_of(&row)?;
        let Some(old) = self.rows.get(&key) else {
            self.store(key, row);
            return Ok(1);
        };
        let target = match conflict {
            Conflict::Error => return Err((4091, "DuplicateKeyException".to_owned())),
            Conflict::Nothing { key } | Conflict::Newer { key, .. } => key,
        };
        if *target != self.key {
            return Err((
                4000,
                "the conflict target is not the primary key".to_owned(),
            ));
        }
        let Conflict::Newer { set, version, .. } = conflict else {
            return Ok(0);
        };
        let mut changed = old.values.clone();
        let of = |row: &Map<String, Value>| row[version].as_str().map(ToOwned::to_owned);
        let is_newer = of(&row) > of(&changed);
        for name in set.iter().filter(|_| is_newer) {
            changed.insert(name.clone(), row[name].clone());
        }
        self.store(key, changed);
        Ok(1)
    }

    /// Changes the row of a whole primary key, if it has this number and term.
    fn update(
        &mut self,
        set: &[String],
        by: &[String],
        arguments: &[Value],
    ) -> Result<i64, Refusal> {
        self.check(set)?;
        self.check(by)?;
        let (new, by_values) = arguments.split_at(set.len());
        let by: Map<String, Value> = by.iter().cloned().zip(by_values.iter().cloned()).collect();
        let has_all = self
            .key
            .iter()
            .chain(&["_seq_no".to_owned(), "_primary_term".to_owned()])
            .all(|name| by.contains_key(name));
        if !has_all || by.len() != by_values.len() {
            return Err((
                4004,
                "the stand-in updates by the whole key with _seq_no and _primary_term".to_owned(),
            ));
        }
        let key = self.key_of(&by)?;
        let Some(row) = self.rows.get(&key) else {
            return Ok(0);
        };
        if by["_seq_no"] != row.seq_no || by["_primary_term"] != 1 {
            return Ok(0);
        }
        let mut values = row.values.clone();
        for (name, value) in set.iter().zip(new) {
            values.insert(name.clone(), value.clone());
        }
        self.store(key, values);
        Ok(1)
    }

    /// Returns the newest row for a whole primary key, and for all other searches what was refreshed.
    fn select(
        &self,
        by: &[String],
        arguments: &[Value],
    ) -> Result<Vec<Map<String, Value>>, Refusal> {
        let wanted: Map<String, Value> =
            by.iter().cloned().zip(arguments.iter().cloned()).collect();
        let is_key =
            by.len() == self.key.len() && self.key.iter().all(|name| wanted.contains_key(name));
        if is_key {
            let found = self.rows.get(&self.key_of(&wanted)?);
            return Ok(found
                .map(|row| {
                    let mut values = row.values.clone();
                    values.insert("_seq_no".to_owned(), row.seq_no.into());
                    values.insert("_primary_term".to_owned(), 1.into());
                    values
                })
                .into_iter()
                .collect());
        }
        let is_wanted = |row: &&Map<String, Value>| {
            wanted
                .iter()
                .all(|(name, value)| row.get(name) == Some(value))
        };
        Ok(self.refreshed.iter().filter(is_wanted).cloned().collect())
    }

    fn key_of(&self, row: &Map<String, Value>) -> Result<String, Refusal> {
        let values: Vec<_> = self
            .key
            .iter()
            .map(|name| row.get(name).cloned().unwrap_or_default())
            .collect();
        if values.iter().any(Value::is_null) {
            return Err((4000, "Primary key value must not be NULL".to_owned()));
        }
        Ok(json!(values).to_string())
    }

    fn store(&mut self, key: String, values: Map<String, Value>) {
        let seq_no = self.seq_no;
        self.seq_no += 1;
        self.rows.insert(key, Row { values, seq_no });
    }
}
