//! The stand-in's own rules, and the statements for CrateDB's grammar.

use serde_json::json;

use super::{
    super::{client::SqlClient, dialect},
    *,
};

#[expect(
    clippy::needless_pass_by_value,
    reason = "arguments are written in place"
)]
fn answer(node: &CrateDb, sql: &str, arguments: Value) -> Value {
    let body = json!({"stmt": sql, "args": arguments}).to_string();
    match node.handle(body.as_bytes()) {
        Reply::Answer { body, .. } => serde_json::from_slice(&body).unwrap(),
        Reply::Cut => panic!("cut"),
    }
}

#[test]
fn the_stand_in_shows_searches_only_what_was_refreshed() {
    let node = CrateDb::new();
    answer(
        &node,
        "CREATE TABLE IF NOT EXISTS \"t\" (\"k\" TEXT, \"v\" BIGINT, PRIMARY KEY (\"k\"))",
        json!([]),
    );
    answer(
        &node,
        "INSERT INTO \"t\" (\"k\", \"v\") VALUES (?, ?)",
        json!(["a", 1]),
    );
    let by_value =
        || answer(&node, "SELECT \"k\" FROM \"t\" WHERE \"v\" = ?", json!([1]))["rows"].clone();
    assert_eq!(by_value(), json!([]));
    assert_eq!(
        answer(
            &node,
            "SELECT \"v\" FROM \"t\" WHERE \"k\" = ?",
            json!(["a"])
        )["rows"],
        json!([[1]])
    );
    answer(&node, "REFRESH TABLE \"t\"", json!([]));
    assert_eq!(by_value(), json!([["a"]]));
}

#[test]
fn the_stand_in_refuses_with_the_codes_of_cratedb() {
    let node = CrateDb::new();
    let code = |sql: &str, arguments| answer(&node, sql, arguments)["error"]["code"].clone();
    let insert = "INSERT INTO \"t\" (\"k\") VALUES (?)";
    assert_eq!(code(insert, json!(["a"])), 4041);
    answer(
        &node,
        "CREATE TABLE IF NOT EXISTS \"t\" (\"k\" TEXT, \"o\" OBJECT(STRICT), PRIMARY KEY (\"k\"))",
        json!([]),
    );
    assert_eq!(code(insert, json!(["a"])), Value::Null);
    assert_eq!(code(insert, json!(["a"])), 4091);
    assert_eq!(
        code("INSERT INTO \"t\" (\"x\") VALUES (?)", json!(["a"])),
        4043
    );
    assert_eq!(
        code(
            "INSERT INTO \"t\" (\"k\", \"o\") VALUES (?, ?)",
            json!(["b", {"x": 1}])
        ),
        4043
    );
    assert_eq!(
        code(
            "INSERT INTO \"t\" (\"k\", \"o\") VALUES (?, ?)",
            json!(["b", 1])
        ),
        4003
    );
    for sql in [
        "DROP TABLE \"t\"",
        "SELECT * FROM \"t\"",
        "SELECT \"k\" FROM \"t\"; SELECT 1",
        "BEGIN",
        "",
    ] {
        assert_eq!(code(sql, json!([])), 4000, "{sql}");
    }
}

/// Writes all statements of the dialect for `.ci/sqlparse`, one JSON line each.
#[test]
fn all_statements_are_written_out_for_cratedbs_own_grammar() {
    use super::super::dialect::{ColumnDefinition, CrateDbType, ObjectPolicy, TableName};

    let types = [
        CrateDbType::Boolean,
        CrateDbType::BigInt,
        CrateDbType::Double,
        CrateDbType::Text,
        CrateDbType::LongText,
        CrateDbType::Timestamp,
        CrateDbType::Object(ObjectPolicy::Dynamic),
        CrateDbType::Object(ObjectPolicy::Strict),
        CrateDbType::Object(ObjectPolicy::Ignored),
        CrateDbType::Array(Box::new(CrateDbType::Object(ObjectPolicy::Dynamic))),
        CrateDbType::Array(Box::new(CrateDbType::Array(Box::new(CrateDbType::Text)))),
    ];
    let odd = "a\"b\"\"c'; DROP TABLE t; -- /* ä";
    let columns = types.into_iter().enumerate();
    let columns: Vec<_> = columns
        .map(|(index, kind)| ColumnDefinition::new(&format!("{odd}{index}"), kind))
        .collect();
    let names: Vec<_> = columns.iter().map(|column| column.name.clone()).collect();
    let mut statements = Vec::new();
    for table in ["readings", "doc.readings", "select.table"] {
        let table = TableName::parse(table).unwrap();
        for key in [&names[..1], &names[1..4]] {
            statements.extend([
                dialect::create_table(&table, &columns, key),
                dialect::probe(&table, &names),
                dialect::insert(&table, &names, key),
                dialect::upsert(&table, &names, key),
            ]);
        }
        statements.extend([
            dialect::create_positions(&table),
            dialect::probe_positions(&table),
            dialect::read_position(&table),
            dialect::add_position(&table),
            dialect::move_position(&table),
        ]);
    }
    for statement in &statements {
        // The stand-in reads all of them, too.
        let answer = answer(&CrateDb::new(), statement, json!([]));
        assert_ne!(answer["error"]["code"], 4000, "{statement}: {answer}");
    }
    if let Ok(path) = std::env::var("CRATEDB_STATEMENTS") {
        let lines: Vec<_> = statements
            .iter()
            .map(|sql| format!("{}\n", json!(sql)))
            .collect();
        std::fs::write(path, lines.concat()).unwrap();
    }
}

#[tokio::test]
async fn http_carries_the_password_and_tells_what_is_wrong() {
    use super::super::{
        CrateDbError,
        transport::{Http, node},
    };

    let server = CrateDb::new().with_password("crate:se:cret");
    let address = server.serve().await.unwrap();
    let client = |url: String, password| {
        let http = Http::new(vec![node(&url).unwrap()], Some(("crate", password))).unwrap();
        SqlClient::new(Box::new(http), Duration::from_secs(20))
    };
    let url = format!("http://{address}");
    let table = dialect::TableName::parse("t").unwrap();
    let create = dialect::create_positions(&table);
    client(url.clone(), "se:cret")
        .execute(&create, &[])
        .await
        .unwrap();
    let error = client(url.clone(), "wrong")
        .execute(&create, &[])
        .await
        .unwrap_err();
    assert!(
        matches!(error, CrateDbError::Unauthorized { .. }),
        "{error}"
    );
    let error = client(format!("{url}/proxy"), "se:cret")
        .execute(&create, &[])
        .await
        .unwrap_err();
    assert!(
        matches!(error, CrateDbError::BadAnswer { status: 404, .. }),
        "{error}"
    );
    let error = client("http://127.0.0.1:1".to_owned(), "")
        .execute(&create, &[])
        .await
        .unwrap_err();
    assert!(matches!(error, CrateDbError::Unreachable { .. }), "{error}");
    assert!(error.may_have_been_done() && error.is_retryable());
}
