//! Failures of the database.

use serde_json::json;

use super::{super::CrateDbError, support::Fault, *};

/// Texts that mark the statements of rows and of positions, for faults.
const ROWS: &str = "INSERT INTO \"readings\"";
const MOVE: &str = "UPDATE";

async fn numbered(count: usize) -> KinesisStream<Reading> {
    let values = (0..count).map(|number| ("a", json!(number)));
    stream(values.collect::<Vec<_>>()).await
}

/// Runs a worker until all records are in the table. Returns the numbers of rows of the statements.
async fn run(node: &CrateDb, count: usize) -> (Vec<usize>, Vec<String>) {
    let stream = numbered(count).await;
    let last = sequence_numbers(&stream).await.pop();
    let running = Running::start(&stream, &sink(node, builder()), &MemoryLeases::new());
    let letters = running.stop_when(|| position(node) == last).await;
    let log = node
        .log()
        .into_iter()
        .filter(|(sql, _)| sql.starts_with(ROWS));
    (log.map(|(_, rows)| rows).collect(), letters)
}

#[tokio::test(start_paused = true)]
async fn only_the_rows_that_failed_are_sent_again() {
    let node = CrateDb::new();
    node.fault(ROWS, 2, Fault::HalfOfTheRows(5002));
    let (sent, letters) = run(&node, 40).await;
    assert_eq!(node.rows(TABLE).len(), 40);
    assert_eq!((sent, letters.len()), (vec![40, 20, 10], 0));
}

#[tokio::test(start_paused = true)]
async fn rows_of_which_no_reason_is_told_are_asked_for_again_until_each_has_one() {
    let node = CrateDb::new();
    // The first value makes the column numeric. An answer gives 10 reasons.
    let value = |number: usize| {
        if number.is_multiple_of(2) {
            json!(number)
        } else {
            json!("text")
        }
    };
    let stream = stream(
        (0..50)
            .map(|number| ("a", value(number)))
            .collect::<Vec<_>>(),
    )
    .await;
    let last = sequence_numbers(&stream).await.pop();
    let running = Running::start(&stream, &sink(&node, builder()), &MemoryLeases::new());
    let letters = running.stop_when(|| position(&node) == last).await;
    assert_eq!((node.rows(TABLE).len(), letters.len()), (25, 25));
    assert!(
        letters.iter().all(|letter| letter.contains("4003")),
        "{letters:?}"
    );
    let sent = node
        .log()
        .into_iter()
        .filter(|(sql, _)| sql.starts_with(ROWS));
    let sent: Vec<_> = sent.map(|(_, rows)| rows).collect();
    assert_eq!(sent, [50, 10, 5, 25]);
}

#[tokio::test(start_paused = true)]
async fn rows_that_fail_without_any_reason_lose_nothing() {
    let node = CrateDb::new();
    node.fault(ROWS, 30, Fault::NoReasons);
    let (_, letters) = run(&node, 12).await;
    assert_eq!((node.rows(TABLE).len(), letters.len()), (12, 0));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the virtual time of the test is measured"
)]
#[tokio::test(start_paused = true)]
async fn a_database_that_is_down_for_a_while_loses_nothing_and_blames_no_record() {
    for fault in [Fault::Status(503), Fault::Status(429), Fault::CutBefore] {
        let node = CrateDb::new();
        let stream = numbered(5).await;
        let last = sequence_numbers(&stream).await.pop();
        let sink = sink(&node, builder());
        node.fault(ROWS, 30, fault);
        let running = Running::start(&stream, &sink, &MemoryLeases::new());
        let down = async {
            while sink.is_available() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, down).await.unwrap();
        let begun = tokio::time::Instant::now();
        let letters = running.stop_when(|| position(&node) == last).await;
        assert!(sink.is_available());
        assert_eq!((node.rows(TABLE).len(), letters.len()), (5, 0));
        // The pauses grow: 30 failures are no busy loop.
        assert!(
            begun.elapsed() > Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_after_the_rows_are_stored_doubles_nothing() {
    let node = CrateDb::new();
    node.fault(ROWS, 3, Fault::CutAfter);
    let (sent, letters) = run(&node, 7).await;
    assert_eq!((node.rows(TABLE).len(), letters.len()), (7, 0));
    assert_eq!(sent, [7, 7, 7, 7]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_after_the_position_is_moved_is_no_loss_of_the_lease() {
    let node = CrateDb::new();
    node.fault(MOVE, 3, Fault::CutAfter);
    let (sent, letters) = run(&node, 7).await;
    assert_eq!((sent, letters.len()), (vec![7], 0));
}

#[tokio::test(start_paused = true)]
async fn a_table_without_a_column_is_told_before_anything_is_read() {
    let node = CrateDb::new();
    sink(&node, builder()).prepare().await.unwrap();
    let columns = crate::row::Columns::one_json("other");
    let stream = numbered(1).await;
    let running = Running::start(
        &stream,
        &sink(&node, builder().columns(columns)),
        &MemoryLeases::new(),
    );
    let error = running.task.await.unwrap().unwrap_err();
    let CrateDbSinkError::Table(error) = error else {
        panic!("{error}")
    };
    assert!(
        matches!(error, CrateDbError::UnknownColumn { .. }),
        "{error}"
    );
    let error = sink(&CrateDb::new(), builder().create_table(false))
        .prepare()
        .await
        .unwrap_err();
    assert!(
        matches!(error, CrateDbError::UnknownTable { .. }),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_dropped_under_way_fails_no_record() {
    let node = CrateDb::new();
    let stream = numbered(3).await;
    let last = sequence_numbers(&stream).await.pop();
    let sink = sink(&node, builder());
    let running = Running::start(&stream, &sink, &MemoryLeases::new());
    while position(&node) != last {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    node.drop_table(TABLE);
    put(&stream, [("b", json!(3))]).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(position(&node), last);
    sink.prepare().await.unwrap();
    let last = sequence_numbers(&stream).await.pop();
    let letters = running.stop_when(|| position(&node) == last).await;
    assert_eq!((node.rows(TABLE).len(), letters.len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_is_refused_for_one_of_its_rows_is_halved_until_the_row_is_found() {
    use super::super::{
        bulk::{self, PartLimits},
        client::SqlClient,
        encode::EncodedRows,
    };
    use crate::row::Value;

    /// Refuses a whole statement when one of its rows is odd.
    #[derive(Debug)]
    struct Whole;

    impl Transport for Whole {
        fn nodes(&self) -> usize {
            1
        }

        fn name(&self, _: usize) -> String {
            String::new()
        }

        fn send(&self, _: usize, body: Bytes) -> Sending<'_> {
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let rows = body["bulk_args"].as_array().cloned().unwrap_or_default();
            let is_bad = rows.iter().any(|row| row[0] == "bad");
            let results: Vec<_> = rows.iter().map(|_| json!({"rowcount": 1})).collect();
            let (status, body) = if is_bad {
                (
                    400,
                    json!({"error": {"code": 4003, "message": "mixed types"}}),
                )
            } else {
                (200, json!({"rows": [], "results": results}))
            };
            let body = body.to_string().into();
            Box::pin(std::future::ready(Ok(RawAnswer { status, body })))
        }
    }

    let mut rows = EncodedRows::default();
    for index in 0..100 {
        let text = if matches!(index, 17 | 18 | 99) {
            "bad"
        } else {
            "good"
        };
        rows.push(&[Value::Text(text.to_owned())]).unwrap();
    }
    let client = SqlClient::new(Box::new(Whole), Duration::from_secs(1));
    let limits = PartLimits {
        rows_max: 64,
        bytes_max: 1 << 20,
    };
    let refused = bulk::write(&client, "INSERT", "SELECT", &rows, limits)
        .await
        .unwrap();
    let indexes: Vec<_> = refused.iter().map(|row| row.index).collect();
    assert_eq!(indexes, [17, 18, 99]);
}
