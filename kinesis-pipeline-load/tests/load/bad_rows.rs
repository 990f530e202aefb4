//! Rows that cannot be records: they stop a load, are rejected or skipped.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use kinesis_pipeline::KinesisRecord;
use kinesis_pipeline_load::{ColumnType, Input, Loader, Policy, Untyped};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::support::{BAD, Dir, Row, rows_of, stream};

#[tokio::test]
async fn the_first_bad_row_stops_the_load_after_what_came_before_it() {
    let stream = stream::<Row>(1).await;
    let error = Loader::new(&stream)
        .load(Input::reader("bad.tsv", BAD.as_bytes()))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "bad.tsv, line 3, column 1 (`number`): \"x\" is not an integer from 0 to 18446744073709551615; correct the row, or choose to skip such rows or to write them to a rejects file"
    );
    assert_eq!(
        rows_of(&stream).await,
        [Row {
            key: "a".into(),
            number: 1
        }]
    );
}

#[tokio::test]
async fn rejected_rows_are_written_as_they_were_with_their_reasons() {
    let dir = Dir::new("rejects");
    let stream = stream::<Row>(1).await;
    let rejects = dir.path("rejects.tsv");
    let loader = Loader::new(&stream).policy(Policy::Rejects(rejects.clone()));
    let report = loader
        .load(Input::reader("bad.tsv", BAD.as_bytes()))
        .await
        .unwrap();
    assert_eq!((report.rows, report.records, report.rejected), (5, 2, 3));
    assert_eq!(
        fs::read_to_string(&rejects).unwrap(),
        "key\tnumber\nb\tx\nc\t3\t4\n\"d\"\t5x\n"
    );
    let reasons = fs::read_to_string(dir.path("rejects.tsv.reasons")).unwrap();
    let reasons: Vec<_> = reasons.lines().collect();
    assert_eq!(reasons.len(), 3);
    assert_eq!(
        reasons[1],
        "bad.tsv, line 4: the row has 3 cell(s), the header has 2"
    );
}

#[tokio::test]
async fn rejected_rows_of_one_file_stand_under_one_header() {
    let dir = Dir::new("headers");
    let stream = stream::<Value>(1).await;
    let rejects = dir.path("rejects");
    let load = async |files: &[&Path], rows_max| {
        let table = Untyped::new("t").column_type("n", ColumnType::Integer);
        let loader = Loader::untyped(&stream, table).rows_max(rows_max);
        let loader = loader.policy(Policy::Rejects(rejects.clone()));
        let loader = loader.resume(dir.path("resume"));
        loader.load(Input::files(files.iter().copied())).await
    };
    let same = dir.file("a.tsv", "n\ta\nx\t1\n");
    let (second, third) = (
        dir.file("b.tsv", "n\ta\ny\t1\n"),
        dir.file("c.tsv", "a\tn\nz\t1\n1\tz\n"),
    );
    let files = [&*same, &*second, &*third];
    // The header that the first run wrote is known to the second one.
    for rows in [1, 2] {
        let report = load(&files, rows).await.unwrap();
        assert_eq!(report.rejected, rows);
    }
    let told = load(&files, 9).await.unwrap_err().to_string();
    assert!(told.contains("a file with another header: load "), "{told}");
    assert_eq!(fs::read_to_string(&rejects).unwrap(), "n\ta\nx\t1\ny\t1\n");
}

#[tokio::test]
async fn skipped_rows_are_counted() {
    let stream = stream::<Row>(1).await;
    let loader = Loader::new(&stream).policy(Policy::Skip);
    let report = loader
        .load(Input::reader("bad.tsv", BAD.as_bytes()))
        .await
        .unwrap();
    assert_eq!((report.records, report.rejected), (2, 3));
    assert_eq!(report.tables[0].rows_in, 5);
}

#[tokio::test]
async fn a_record_that_the_stream_does_not_take_is_a_bad_row() {
    let stream = stream::<Row>(1).await;
    let long = "x".repeat(2 << 20);
    let input = format!("key\tnumber\na\t1\n{long}\t2\nb\t3\n");
    let loader = Loader::new(&stream).policy(Policy::Skip);
    let report = loader
        .load(Input::reader("l", std::io::Cursor::new(input)))
        .await
        .unwrap();
    assert_eq!((report.records, report.rejected), (2, 1));
}

#[derive(Debug, Serialize, Deserialize, KinesisRecord)]
#[kinesis(fail_non_unique)]
struct Once {
    #[kinesis(pos = 0, unique)]
    key: String,
}

#[tokio::test]
async fn a_row_that_the_model_makes_fatal_stops_a_load_that_skips() {
    let stream = stream::<Once>(1).await;
    let loader = Loader::new(&stream).policy(Policy::Skip);
    let input = Input::reader("t", &b"key\na\na\n"[..]);
    let error = loader.load(input).await.unwrap_err().to_string();
    let expected = "t, line 3, column 0 (`key`): \"a\": the value came before";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn a_bad_row_far_into_a_large_file_is_rejected_as_it_was() {
    let dir = Dir::new("far");
    let mut text = "key\tnumber\n".to_owned();
    let padding = "p".repeat(100);
    for number in 0..40_000 {
        let quoted = if number % 9_999 == 9_998 {
            "\"x\""
        } else {
            "7"
        };
        writeln!(text, "{padding}\t{quoted}").unwrap();
    }
    let rejects = dir.path("rejects");
    let stream = stream::<Row>(1).await;
    let loader = Loader::new(&stream).policy(Policy::Rejects(rejects.clone()));
    let report = loader.load(dir.file("a.tsv", text)).await.unwrap();
    assert_eq!(report.rejected, 4);
    let row = format!("{padding}\t\"x\"\n");
    assert_eq!(
        fs::read_to_string(rejects).unwrap(),
        format!("key\tnumber\n{}", row.repeat(4))
    );
    let reasons = fs::read_to_string(dir.path("rejects.reasons")).unwrap();
    let lines: Vec<_> = reasons
        .lines()
        .map(|line| line.contains("a.tsv, line "))
        .collect();
    assert_eq!(lines, [true; 4]);
    assert!(
        reasons.lines().nth(1).unwrap().contains("line 19999,"),
        "{reasons}"
    );
}

#[tokio::test]
async fn the_rejects_of_an_earlier_load_stay_until_the_input_is_open() {
    let dir = Dir::new("rejects-stay");
    let stream = stream::<Row>(1).await;
    let load = async |path: PathBuf| {
        let loader = Loader::new(&stream)
            .policy(Policy::Rejects(dir.path("rejects")))
            .outdir(dir.path("out"));
        loader.load(path).await
    };
    load(dir.file("bad.tsv", BAD)).await.unwrap();
    let read = || {
        ["rejects", "rejects.reasons", "out/row.json"]
            .map(|name| fs::read_to_string(dir.path(name)).unwrap())
    };
    let before = read();
    assert!(before.iter().all(|text| !text.is_empty()));
    for input in [
        dir.path("none.tsv"),
        dir.file("empty.tsv", ""),
        dir.file("other.tsv", "a\n1\n"),
    ] {
        load(input).await.unwrap_err();
        assert_eq!(read(), before);
    }
    load(dir.file("header.tsv", "key\tnumber\n")).await.unwrap();
    assert!(read().iter().all(String::is_empty));
}

#[tokio::test]
async fn a_key_that_is_none_is_told_as_it_stands_in_the_row() {
    let dir = Dir::new("no-key");
    let stream = stream::<Value>(1).await;
    let input = dir.file("a.jsonl", "{\"k\":null}\n{\"k\":\"\"}\n{}\n{\"k\":7}\n");
    let loader = Loader::untyped(&stream, Untyped::new("t").key("k"))
        .policy(Policy::Rejects(dir.path("rejects")));
    assert_eq!(loader.load(input).await.unwrap().records, 1);
    let reasons = fs::read_to_string(dir.path("rejects.reasons")).unwrap();
    let reasons: Vec<_> = reasons
        .lines()
        .map(|line| line.split_once(", ").unwrap().1)
        .collect();
    assert_eq!(
        reasons,
        [
            "line 1, column `k`: \"null\" is not a partition key: a text, a number or a bool",
            "line 2, column `k`: \"\" is not a partition key: a text, a number or a bool",
            "line 3: the object has no field `k`, which holds the key",
        ]
    );
}
