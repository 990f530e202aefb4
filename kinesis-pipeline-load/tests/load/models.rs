//! Models: several of one input, by names and by positions.

use std::fs;

use kinesis_pipeline::KinesisRecord;
use kinesis_pipeline_load::{Format, Input, Loader, Policy};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::support::{Dir, Row, all, stream, table};

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
struct Other {
    #[kinesis(column = "key", partition_key)]
    name: String,
}

#[tokio::test]
async fn several_models_read_one_input() {
    let stream = stream::<Row>(1).await;
    let loader = Loader::new(&stream).model::<Other>();
    let report = loader
        .load(Input::reader("t", std::io::Cursor::new(table(0..2))))
        .await
        .unwrap();
    assert_eq!((report.rows, report.records), (2, 4));
    let tables: Vec<_> = report
        .tables
        .iter()
        .map(|one| (&*one.table, one.records_out))
        .collect();
    assert_eq!(tables, [("row", 2), ("other", 2)]);
    let texts: Vec<_> = all(&stream.with_record_type::<String>())
        .await
        .into_values()
        .flatten()
        .collect();
    assert_eq!(
        texts[..2],
        [r#"{"key":"k0","number":0}"#, r#"{"name":"k0"}"#]
    );
}

/// The message of a load of this text that fails.
async fn fails_in(format: Format, text: &'static str) -> String {
    let stream = stream::<Row>(1).await;
    let loader = Loader::new(&stream).format(format);
    let error = loader
        .load(Input::reader("t", text.as_bytes()))
        .await
        .unwrap_err();
    error.to_string()
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
struct Point {
    #[kinesis(partition_key)]
    id: String,
    #[kinesis(column = "at.lat")]
    latitude: f64,
    #[kinesis(column = "at.lon", default = 1.5)]
    longitude: f64,
    tags: Value,
}

#[tokio::test]
async fn a_model_reads_json_lines_by_dotted_names() {
    let stream = stream::<Point>(1).await;
    let lines = concat!(
        r#"{"id": 7, "at": {"lat": 2.5, "lon": -3}, "tags": ["a"]}"#,
        "\n\n",
        r#"{"at": {"lat": "4", "lon": null}, "id": "x"}"#,
    );
    let loader = Loader::new(&stream).format(Format::JsonLines);
    loader
        .load(Input::reader("p", lines.as_bytes()))
        .await
        .unwrap();
    let texts: Vec<_> = all(&stream.with_record_type::<String>())
        .await
        .into_values()
        .flatten()
        .collect();
    assert_eq!(
        texts,
        [
            r#"{"id":"7","latitude":2.5,"longitude":-3.0,"tags":["a"]}"#,
            r#"{"id":"x","latitude":4.0,"longitude":1.5,"tags":null}"#,
        ]
    );
    let lines = [r#"["a"]"#, r#""a""#, r#""1""#, "1", r#"{"b":null}"#]
        .map(|tags| format!("{{\"id\":\"x\",\"at\":{{\"lat\":1,\"lon\":2}},\"tags\":{tags}}}\n"));
    let loader = Loader::new(&stream).format(Format::JsonLines).trial(true);
    let input = Input::reader("p", std::io::Cursor::new(lines.concat()));
    let report = loader.samples(9).load(input).await.unwrap();
    let tags = report.samples.iter().map(|sample| {
        let record: Value = serde_json::from_str(&sample.data).unwrap();
        record["tags"].to_string()
    });
    let tags: Vec<_> = tags.collect();
    assert_eq!(tags, [r#"["a"]"#, r#""a""#, r#""1""#, "1", r#"{"b":null}"#]);
    let message = fails_in(Format::JsonLines, "{\"key\":1}\n").await;
    assert!(message.contains("JSON lines have names only"), "{message}");
}

#[test]
fn a_map_is_read_from_two_columns_and_its_mistakes_are_told() {
    use kinesis_pipeline_load::{ReadMapError, read_map};
    let dir = Dir::new("map");
    let good = dir.file("a.tsv", "code\tx\tname\nNL\t1\tNetherlands\nIT\t2\tItaly\n");
    let map = read_map(&good, "code", "name").unwrap();
    assert_eq!((map.len(), &*map["IT"]), (2, "Italy"));
    let error = read_map(&good, "code", "none").unwrap_err();
    assert!(matches!(error, ReadMapError::NoColumn { ref column, .. } if column == "none"));
    let twice = dir.file("b.csv", "code,name\nNL,a\nNL,b\n");
    let error = read_map(&twice, "code", "name").unwrap_err();
    assert!(
        matches!(error, ReadMapError::Twice { line: 3, .. }),
        "{error}"
    );
    assert!(matches!(
        read_map(dir.path("none"), "a", "b"),
        Err(ReadMapError::Read { .. })
    ));
}

/// A second model that takes fewer rows than the first.
#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
struct Small {
    #[kinesis(column = "number", partition_key)]
    digit: u8,
}

#[tokio::test]
async fn a_row_that_one_model_refuses_is_put_by_none() {
    let dir = Dir::new("whole");
    let stream = stream::<Row>(1).await;
    let loader = Loader::new(&stream).model::<Small>().policy(Policy::Skip);
    let loader = loader.outdir(dir.path("out"));
    let input = Input::reader("t", &b"key\tnumber\na\t1\nb\t1000\nc\t3\n"[..]);
    let report = loader.load(input).await.unwrap();
    assert_eq!((report.rows, report.rejected, report.records), (3, 1, 4));
    let texts: Vec<_> = all(&stream.with_record_type::<String>())
        .await
        .into_values()
        .flatten()
        .collect();
    assert_eq!(
        texts,
        [
            r#"{"key":"a","number":1}"#,
            r#"{"digit":1}"#,
            r#"{"key":"c","number":3}"#,
            r#"{"digit":3}"#,
        ]
    );
    let export = fs::read_to_string(dir.path("out").join("row.json")).unwrap();
    assert_eq!(export.lines().count(), 2);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
#[kinesis(drop_non_unique)]
struct Once {
    #[kinesis(column = "key", unique)]
    key: String,
}

#[tokio::test]
async fn a_row_that_is_refused_takes_no_unique_value_from_one_behind_it() {
    let dir = Dir::new("forget");
    // `Small` refuses the first `b`, `Once` drops the second `a`, and the last `c` is too large for the stream.
    let long = "c".repeat(2 << 20);
    let text = format!("key\tnumber\na\t1\nb\t1000\na\t2\nb\t3\n{long}\t4\n{long}\t5\n");
    let input = dir.file("a.tsv", text);
    for runs in [&[9][..], &[2, 9], &[5, 9]] {
        let stream = stream::<Once>(1).await;
        let mut report = None;
        for rows in runs {
            let loader = Loader::new(&stream).model::<Small>().policy(Policy::Skip);
            let loader = loader.resume(dir.path("resume")).rows_max(*rows);
            report = Some(loader.load(input.clone()).await.unwrap());
        }
        let report = report.unwrap();
        let counts = (report.rows, report.dropped, report.rejected);
        assert_eq!(counts, (6, 1, 3), "{runs:?}");
        let small: u64 = report.tables.iter().map(|table| table.records_out).sum();
        assert_eq!(small, 2 + 3, "{runs:?}");
        fs::remove_file(dir.path("resume")).unwrap();
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
#[kinesis(drop_non_unique, table_name = "dropping")]
struct Dropping {
    #[kinesis(partition_key, unique)]
    id: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
#[kinesis(fail_non_unique, table_name = "failing")]
struct Failing {
    #[kinesis(partition_key, unique)]
    id: String,
}

#[tokio::test]
async fn unique_values_are_unique_over_all_files_and_formats_of_a_load() {
    let dir = Dir::new("unique-files");
    let files = [
        dir.file("a.tsv", "id\n1\n2\n1\n"),
        dir.file("b.csv", "x,id\n0,3\n0,2\n"),
        dir.file("c.jsonl", "{\"id\":\"3\"}\n{\"id\":\"4\"}\n"),
    ];
    let stream = stream::<Dropping>(1).await;
    let report = Loader::new(&stream).load(Input::files(files.clone()));
    let report = report.await.unwrap();
    assert_eq!((report.rows, report.records, report.dropped), (7, 4, 3));
    assert_eq!(report.tables[0].dropped_not_unique, 3);
    let ids: Vec<_> = all(&stream).await.into_values().flatten().collect();
    let ids: Vec<_> = ids.iter().map(|row| &*row.id).collect();
    assert_eq!(ids, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_value_that_stands_in_a_file_before_fails_the_load_even_if_rows_may_be_skipped() {
    let dir = Dir::new("unique-fails");
    let files = [
        dir.file("a.tsv", "id\n1\n2\n"),
        dir.file("b.tsv", "id\n3\n2\n4\n"),
    ];
    let stream = stream::<Failing>(1).await;
    let load = |resume: &str| {
        Loader::new(&stream)
            .resume(dir.path(resume))
            .policy(Policy::Skip)
    };
    let error = load("one").load(Input::files(files.clone())).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("b.tsv, line 3"), "{error}");
    // The second run knows the values of the first.
    load("two")
        .rows_max(3)
        .load(Input::files(files.clone()))
        .await
        .unwrap();
    let error = load("two").load(Input::files(files)).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("b.tsv, line 3"), "{error}");
}
