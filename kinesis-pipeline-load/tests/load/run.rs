//! The course of a load: trial, plan, markers, and the scale of the stream.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write as _},
    path::PathBuf,
    sync::mpsc,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use kinesis_pipeline::service::DescribeStreamSummary;
use kinesis_pipeline_load::{Input, LoadReport, Loader};
use serde_json::Value;

use crate::support::{Dir, Row, all, rows_of, stream, table};

#[tokio::test]
async fn a_trial_sends_nothing_and_tells_where_records_would_go() {
    let dir = Dir::new("trial");
    let stream = stream::<Row>(4).await;
    let loader = Loader::new(&stream).trial(true).outdir(dir.path("out"));
    let trial = loader
        .load(Input::reader("t", io::Cursor::new(table(0..100))))
        .await
        .unwrap();
    assert_eq!((trial.records, trial.samples.len()), (100, 3));
    assert_eq!(trial.permission.as_deref(), Some("allowed"));
    assert!(rows_of(&stream).await.is_empty());
    let load = |dir: PathBuf| {
        let loader = Loader::new(&stream).outdir(dir);
        loader.load(Input::reader("t", io::Cursor::new(table(0..100))))
    };
    let done: LoadReport = load(dir.path("out2")).await.unwrap();
    let nonzero: BTreeMap<_, _> = trial.shards.into_iter().filter(|(_, n)| *n > 0).collect();
    assert_eq!((nonzero, trial.bytes), (done.shards, done.bytes));
    let export = |name: &str| fs::read_to_string(dir.path(name).join("row.json")).unwrap();
    assert_eq!(export("out"), export("out2"));
    assert_eq!(
        export("out").lines().next(),
        Some(r#"{"key":"k0","number":0}"#)
    );
    assert_eq!(export("out").lines().count(), 100);
}

#[tokio::test]
async fn markers_frame_the_load_in_every_shard() {
    let stream = stream::<Row>(3).await;
    let input = Input::reader("t", io::Cursor::new(table(0..100)));
    let report = Loader::new(&stream)
        .snapshot("s1")
        .load(input)
        .await
        .unwrap();
    assert_eq!(report.records, 100);
    for (shard, records) in all(&stream.with_record_type::<Value>()).await {
        let event = |record: &Value| record["_meta"]["eventType"].as_str().map(str::to_owned);
        let (first, last) = (&records[0], &records[records.len() - 1]);
        assert_eq!(event(first).as_deref(), Some("snapshot.begin"), "{shard}");
        assert_eq!(event(last).as_deref(), Some("snapshot.end"), "{shard}");
        assert_eq!(last["snapshot"]["counts"]["records"], 100);
        assert!(
            records[1..records.len() - 1]
                .iter()
                .all(|record| event(record).is_none())
        );
    }
}

#[tokio::test]
async fn a_load_that_fails_has_no_marker_of_its_end() {
    let stream = stream::<Row>(2).await;
    let bad = Input::reader("bad", &b"key\tnumber\na\t1\na\tx\n"[..]);
    let loader = Loader::new(&stream).snapshot("s1");
    loader.load(bad).await.unwrap_err();
    let mut events = Vec::new();
    for record in all(&stream.with_record_type::<Value>()).await.into_values() {
        events.extend(record.iter().map(|one| one["_meta"]["eventType"].clone()));
    }
    events.sort_by_key(Value::is_null);
    assert_eq!(
        events,
        [
            Value::from("snapshot.begin"),
            "snapshot.begin".into(),
            Value::Null
        ]
    );
}

/// A table that begins and then is silent until the sender is dropped.
struct Silent(&'static [u8], mpsc::Receiver<()>);

impl Read for Silent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.read(buffer)?;
        if bytes == 0 {
            // An error: the sender is gone.
            let _ = self.1.recv();
        }
        Ok(bytes)
    }
}

#[tokio::test]
async fn a_load_that_is_stopped_waits_no_longer_for_an_input_that_is_silent() {
    for trial in [false, true] {
        let stream = stream::<Row>(1).await;
        let loader = Loader::new(&stream).trial(trial);
        let stop = loader.stop_handle();
        let (_silent, silence) = mpsc::channel();
        let input = Input::reader("t", Silent(b"key\tnumber\na\t1\r\n", silence));
        let load = tokio::spawn(loader.load(input));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!load.is_finished());
        stop.stop();
        let report = tokio::time::timeout(Duration::from_secs(10), load).await;
        let report = report.expect("it ends").unwrap().unwrap();
        assert!(report.stopped, "{report:?}");
        assert_eq!((report.rows, report.records), (1, 1));
        assert_eq!(report.tables[0].table, "row");
    }
}

#[tokio::test]
async fn a_load_reads_no_more_rows_than_it_may() {
    let dir = Dir::new("rows-max");
    let input = dir.file("a.tsv", table(0..100));
    let stream = stream::<Row>(1).await;
    let load = |rows| {
        let loader = Loader::new(&stream).resume(dir.path("resume"));
        loader.rows_max(rows).load(input.clone())
    };
    let mut rows = Vec::new();
    for rows_max in [0, 40, 40, 30, 41] {
        let report = load(rows_max).await.unwrap();
        rows.push((report.rows, report.records));
    }
    assert_eq!(rows, [(0, 0), (40, 40), (40, 0), (40, 0), (41, 1)]);
}

#[tokio::test]
async fn a_plan_of_a_small_compressed_file_goes_by_what_the_rows_took_of_it() {
    let dir = Dir::new("plan-gzip");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(table(0..100_000).as_bytes()).unwrap();
    let zstd = zstd::encode_all(table(0..100_000).as_bytes(), 1).unwrap();
    let stream = stream::<Row>(1).await;
    for (name, bytes) in [("a.tsv.gz", gzip.finish().unwrap()), ("a.tsv.zst", zstd)] {
        let input = dir.file(name, bytes);
        let plan = Loader::new(&stream).plan(input, 40_000, None).await;
        let plan = plan.unwrap();
        assert!((70_000..130_000).contains(&plan.records), "{plan:?}");
    }
}

#[tokio::test]
async fn a_plan_of_a_long_pipe_says_that_its_size_is_not_known() {
    let stream = stream::<Row>(1).await;
    let plan = async |rows| {
        let pipe = Input::reader("pipe", io::Cursor::new(table(0..100)));
        let plan = Loader::new(&stream).plan(pipe, rows, None).await.unwrap();
        (plan.is_size_known, plan.to_string())
    };
    let (is_known, text) = plan(50).await;
    assert!(
        !is_known && text.starts_with("at least 50 record(s)"),
        "{text}"
    );
    let (is_known, text) = plan(1_000).await;
    assert!(is_known && text.starts_with("100 record(s)"), "{text}");
}

#[tokio::test]
async fn a_plan_reads_a_sample_and_sends_nothing() {
    let dir = Dir::new("plan");
    // All rows are of one length, so that the sample tells the whole.
    let row = |n: u32| format!("{:06}\t{n:06}\n", if n.is_multiple_of(10) { n } else { 1 });
    let rows: String = (0..50_000).map(row).collect();
    let input = dir.file("a.tsv", format!("key\tnumber\n{rows}"));
    let stream = stream::<Row>(4).await;
    let plan = Loader::new(&stream)
        .plan(input.clone(), 10_000, None)
        .await
        .unwrap();
    assert_eq!(
        (plan.sample_rows, plan.is_whole, plan.shards),
        (10_000, false, 4)
    );
    assert!((45_000..55_000).contains(&plan.records), "{plan:?}");
    let hot = plan.hot.unwrap();
    assert!(
        matches!(hot.reason, kinesis_pipeline_load::HotReason::Key { ref key, .. } if key == "000001")
    );
    let whole = Loader::new(&stream)
        .plan(input, 100_000, None)
        .await
        .unwrap();
    assert_eq!((whole.records, whole.is_whole), (50_000, true));
    assert!(rows_of(&stream).await.is_empty());
}

#[tokio::test]
async fn a_stream_is_scaled_for_the_load_and_back_after_it() {
    let stream = stream::<Row>(2).await;
    let input = || Input::reader("t", io::Cursor::new(table(0..1_000)));
    let open = async || {
        let call = DescribeStreamSummary::new(stream.id().clone());
        let summary = stream
            .service()
            .describe_stream_summary(call)
            .await
            .unwrap();
        summary.open_shard_count
    };
    let report = Loader::new(&stream)
        .scale_to(7)
        .load(input())
        .await
        .unwrap();
    assert_eq!(report.records, 1_000);
    assert!(report.shards.len() > 2, "{:?}", report.shards);
    assert_eq!(open().await, 2);
    // A load that fails leaves no shards behind either.
    let bad = Input::reader("bad", &b"key\tnumber\na\tx\n"[..]);
    Loader::new(&stream)
        .scale_to(4)
        .load(bad)
        .await
        .unwrap_err();
    assert_eq!(open().await, 2);
    assert_eq!(rows_of(&stream).await.len(), 1_000);
}
