//! `put`, read back by `get`.

use std::collections::{HashMap, HashSet};

use kinesis_pipeline::local::Fault;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{PATIENCE, Program, file, lines_of};

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_where_get_finds_the_records() {
    receipts_lead_to_the_records("put -s s --format json --key id --receipts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_aggregates_are_where_get_finds_the_records() {
    let receipts =
        receipts_lead_to_the_records("put -s s --format json --key id --receipts --aggregate")
            .await;
    let places: HashSet<_> = receipts
        .iter()
        .map(|receipt| receipt["sequence_number"].to_string())
        .collect();
    assert!(places.len() < receipts.len() / 10, "{}", places.len());
}

/// Puts 1,000 records of a number each by this command; their receipts, in which `get` finds them.
async fn receipts_lead_to_the_records(put: &str) -> Vec<Value> {
    let program = Program::with_stream("s", 3).await;
    let input = (0..1_000).map(|i| format!("{{\"id\":{i}}}\n"));
    let input = input.collect::<Vec<_>>().concat();
    let put = program.run(put, &input).await;
    assert_eq!(put.status, Some(0), "{}", put.err);
    let receipts = put.json();
    assert_eq!(receipts.len(), 1_000);

    let got = program
        .run("get -s s --from all --until tip -o json -q", "")
        .await;
    assert_eq!((got.status, got.err.as_str()), (Some(0), ""));
    let records = got.json();
    assert_eq!(records.len(), 1_000);
    for record in records {
        let id = usize::try_from(record["data"]["id"].as_u64().unwrap()).unwrap();
        assert_eq!(receipts[id]["line"], id + 1);
        for place in ["shard_id", "sequence_number", "sub_sequence_number"] {
            assert_eq!(receipts[id][place], record[place]);
        }
        assert_eq!(record["partition_key"], id.to_string());
        assert!(record["arrived_at"].as_str().unwrap().ends_with('Z'));
    }
    receipts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_of_200_000_lines_arrives_whole_in_aggregates() {
    let program = Program::with_stream("s", 4).await;
    let lines = || (0..200_000).map(|number| format!("{number:06}\n"));
    let input: String = lines().collect();
    let put = program.run("put -s s --aggregate", &input).await;
    let ended = (put.status, put.out.as_str(), put.err.as_str());
    assert_eq!(ended, (Some(0), "", ""));

    let got = program
        .run("get -s s --from all --until tip -o raw -q", "")
        .await;
    let mut numbers: Vec<_> = got.out.as_bytes().chunks(6).collect();
    assert_eq!(numbers.len(), 200_000, "{}", got.err);
    numbers.sort_unstable();
    let same = lines()
        .zip(numbers)
        .all(|(line, number)| line.trim_end().as_bytes() == number);
    assert!(same);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_cannot_be_aggregated_is_reported_by_number_and_the_others_are_stored() {
    let program = Program::with_stream("s", 2).await;
    let too_large = "x".repeat(11 << 20);
    let input = format!("one\n{too_large}\nthree\n");
    let put = program.run("put -s s --aggregate --receipts", &input).await;
    assert_eq!(put.status, Some(1));
    assert!(put.err.starts_with("error: line 2: "), "{}", put.err);
    assert_eq!(put.err.lines().count(), 1, "{}", put.err);
    let lines: Vec<_> = put
        .json()
        .iter()
        .map(|receipt| receipt["line"].as_u64())
        .collect();
    assert_eq!(lines, [Some(1), Some(3)]);
    let got = program
        .run("get -s s --from all --until tip -o json -q", "")
        .await;
    assert_eq!(got.json().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_comes_back() {
    let program = Program::with_stream("s", 1).await;
    let puts = [
        ("put -s s --key-value k", "text\n"),
        ("put -s s --format msgpack", "{\"value\":5}\n"),
        ("put -s s --format triton", "hi\n"),
    ];
    for (line, input) in puts {
        assert_eq!(program.run(line, input).await.status, Some(0), "{line}");
    }
    let got = program
        .run("get -s s --from -15m --until tip -o json -q", "")
        .await;
    let records = got.json();
    assert_eq!(records[0]["partition_key"], "k");
    assert_eq!(records[0]["data"], "text");
    assert_eq!(records[1]["encoding"], "base64");
    assert_eq!(records[1]["msgpack"], json!({"value": 5}));
    assert_eq!(records[2]["msgpack"]["msg"], "hi\n");
    assert!(records[2]["msgpack"]["ts"].is_f64());

    let after = records[0]["sequence_number"].as_str().unwrap();
    let rest = program
        .run(
            &format!("get -s s --after 0:{after} --until tip -o json -q"),
            "",
        )
        .await;
    assert_eq!(rest.json(), records[1..]);
    let raw = program.run("get -s s --from all -n 1 -o raw -q", "").await;
    assert_eq!(raw.out, "text");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_no_record_is_reported_by_number_and_the_others_are_stored() {
    let program = Program::with_stream("s", 1).await;
    let input = "{\"k\":\"a\"}\nnope\n\n{}\n{\"k\":\"b\"}";
    let put = program.run("put -s s --format json --key k", input).await;
    assert_eq!(put.status, Some(1));
    let errors: Vec<_> = put.err.lines().collect();
    assert_eq!(errors.len(), 2, "{}", put.err);
    assert!(
        errors[0].starts_with("error: line 2: not JSON: "),
        "{}",
        errors[0]
    );
    assert!(errors[1].starts_with("error: line 4: "), "{}", errors[1]);
    assert!(errors[1].contains("field `k`"), "{}", errors[1]);
    let got = program
        .run("get -s s --from all --until tip -o json -q", "")
        .await;
    assert_eq!(got.json().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_of_receipts_does_not_keep_records_from_being_put() {
    let program = Program::with_stream("s", 1).await;
    let lines = file("lines.txt", &"x\n".repeat(3_000));
    let line = format!("put -s s --receipts {}", lines.display());
    let mut put = program.command(&line).spawn().unwrap();
    assert_eq!(lines_of(&mut put, 1).await.len(), 1);
    drop(put.stdout.take());
    let status = timeout(PATIENCE, put.wait()).await.expect("it ends");
    assert!(status.unwrap().success());
    std::fs::remove_file(lines).unwrap();
    let got = program
        .run("get -s s --from all --until tip -o raw -q", "")
        .await;
    assert_eq!(got.out.len(), 3_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_does_not_swallow_the_whole_input() {
    let program = Program::start().await;
    let input = "line\n".repeat(50_000);
    for options in ["", "--aggregate", "--key-value k"] {
        let line = format!("-q --endpoint-url http://127.0.0.1:1 put -s s {options}");
        let put = program.run(&line, &input).await;
        assert_eq!(put.status, Some(1));
        let errors: Vec<_> = put.err.lines().collect();
        assert!(errors.len() <= 3, "{}", put.err);
        assert!(errors[0].starts_with("error: line "), "{}", errors[0]);
    }
}

/// Puts 2,000 lines of 97 keys into 4 shards; how many lines of the stream stand behind a later one of their key.
async fn lines_out_of_order(put: &str, faults: &[Fault]) -> usize {
    let program = Program::with_stream("s", 4).await;
    for fault in faults {
        program.local.faults().add(fault.clone()).unwrap();
    }
    let input =
        (0..2_000).map(|number| format!("{{\"k\":\"key-{}\",\"n\":{number}}}\n", number % 97));
    let put = program.run(put, &input.collect::<String>()).await;
    assert_eq!(put.status, Some(0), "{}", put.err);
    program.local.faults().clear();
    let got = program
        .run("get -s s --from all --until tip -o json -q", "")
        .await;
    let mut last: HashMap<String, u64> = HashMap::new();
    let (mut out_of_order, mut numbers) = (0, HashSet::new());
    for record in got.json() {
        let key = record["data"]["k"].as_str().unwrap().to_owned();
        let number = record["data"]["n"].as_u64().unwrap();
        numbers.insert(number);
        let before = last.insert(key, number);
        out_of_order += usize::from(before.is_some_and(|before| before > number));
    }
    assert_eq!(numbers.len(), 2_000);
    out_of_order
}

const ORDERED: [&str; 2] = [
    "put -s s --format json --key k",
    "put -s s --format json --key k --aggregate",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_its_order_per_key() {
    for put in ORDERED {
        for _ in 0..3 {
            assert_eq!(lines_out_of_order(put, &[]).await, 0, "{put}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_its_order_per_key_when_records_and_requests_fail() {
    let throttled = Fault::throttle().on("PutRecords").each_entry();
    let faults = [
        throttled.always().probability(0.1),
        Fault::fail().on("PutRecords").always().probability(0.1),
    ];
    for put in ORDERED {
        assert_eq!(lines_out_of_order(put, &faults).await, 0, "{put}");
    }
    // The faults are such that an order is lost where none is kept.
    let unordered = "put -s s --format json --key k --unordered";
    assert!(lines_out_of_order(unordered, &faults).await > 0);
}
