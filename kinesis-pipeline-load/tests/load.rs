//! Loads on the embedded Kinesis.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use kinesis_pipeline::{
    KinesisRecord, KinesisStream, LocalKinesis, Until, local::Fault, service::DescribeStreamSummary,
};
use kinesis_pipeline_load::{
    Format, Input, LoadError, LoadReport, Loader, Policy, ResumeProblem, Untyped,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A directory of one test, removed with it.
struct Dir(PathBuf);

impl Dir {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("load-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
struct Airport {
    #[kinesis(column = "iata", unique)]
    iata: String,
    name: String,
    city: Option<String>,
    #[kinesis(partition_key)]
    state: String,
    latitude: f64,
    longitude: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
struct Row {
    #[kinesis(partition_key, pos = 0)]
    key: String,
    #[kinesis(pos = 1)]
    number: u64,
}

async fn stream<R>(shards: u32) -> KinesisStream<R> {
    let local = LocalKinesis::start().await.unwrap();
    local.stream("load", shards).await.unwrap()
}

/// All records of a stream, by shard.
async fn all<R: KinesisRecord>(stream: &KinesisStream<R>) -> BTreeMap<String, Vec<R>> {
    let reader = stream
        .reader()
        .start(kinesis_pipeline::StartAt::TrimHorizon);
    let mut records = reader.until(Until::Tip).open().await.unwrap();
    let mut shards: BTreeMap<String, Vec<R>> = BTreeMap::new();
    while let Some(record) = records.next().await {
        let record = record.unwrap();
        let shard = record.position().shard_id.to_string();
        shards.entry(shard).or_default().push(record.data);
    }
    shards
}

async fn rows_of(stream: &KinesisStream<Row>) -> Vec<Row> {
    all(stream).await.into_values().flatten().collect()
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

#[tokio::test]
async fn every_airport_is_loaded_once_and_the_airports_of_a_state_keep_their_order() {
    let stream = stream::<Airport>(4).await;
    let report = Loader::new(&stream)
        .load(data("airports.tsv"))
        .await
        .unwrap();
    let lines = fs::read_to_string(data("airports.tsv"))
        .unwrap()
        .lines()
        .count() as u64
        - 1;
    assert_eq!(
        (report.rows, report.records, report.rejected),
        (lines, lines, 0)
    );
    assert_eq!(report.shards.values().sum::<u64>(), lines);

    let shards = all(&stream).await;
    assert_eq!(shards.len(), 4);
    let mut states: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut homes: BTreeMap<String, String> = BTreeMap::new();
    for (shard, airports) in shards {
        assert_eq!(report.shards[&shard], airports.len() as u64);
        for airport in airports {
            let home = homes
                .entry(airport.state.clone())
                .or_insert_with(|| shard.clone());
            assert_eq!(*home, shard, "{}", airport.state);
            states.entry(airport.state).or_default().push(airport.iata);
        }
    }
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in fs::read_to_string(data("airports.tsv"))
        .unwrap()
        .lines()
        .skip(1)
    {
        let cells: Vec<_> = line.split('\t').collect();
        // The file has `NA` for a state; `NULL` stands in none.
        expected
            .entry(cells[3].to_owned())
            .or_default()
            .push(cells[0].to_owned());
    }
    assert_eq!(states, expected);
}

#[tokio::test]
async fn earthquakes_are_put_as_they_are_under_a_field_of_theirs() {
    let stream = stream::<Value>(4).await;
    let table = Untyped::new("earthquakes").key("network");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/earthquakes.jsonl");
    let report = Loader::untyped(&stream, table)
        .load(path.clone())
        .await
        .unwrap();
    assert_eq!(report.records, 1707);
    let mut read: Vec<String> = Vec::new();
    for quakes in all(&stream.with_record_type::<String>())
        .await
        .into_values()
    {
        read.extend(quakes);
    }
    read.sort();
    let text = fs::read_to_string(path).unwrap();
    let mut expected: Vec<_> = text.lines().map(str::to_owned).collect();
    expected.sort();
    assert_eq!(read, expected);
}

#[tokio::test]
async fn untyped_rows_become_objects_nested_by_dots() {
    let stream = stream::<Value>(1).await;
    let table = Untyped::new("points").key("id");
    let input = Input::reader("p", &b"id,at.lat,at.lon,zip\n1,2.5,-3,00501\n"[..]);
    let loader = Loader::untyped(&stream, table).format(Format::CSV);
    loader.load(input).await.unwrap();
    let records: Vec<_> = all(&stream.with_record_type::<String>())
        .await
        .into_values()
        .flatten()
        .collect();
    assert_eq!(
        records,
        [r#"{"id":1,"at":{"lat":2.5,"lon":-3},"zip":"00501"}"#]
    );
}

fn table(rows: std::ops::Range<u64>) -> String {
    let mut text = "key\tnumber\n".to_owned();
    for number in rows {
        writeln!(text, "k{}\t{number}", number % 7).unwrap();
    }
    text
}

#[tokio::test]
async fn compressed_files_and_many_files_are_read_one_after_the_other() {
    let dir = Dir::new("compressed");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(table(0..1000).as_bytes()).unwrap();
    let zstd = zstd::encode_all(table(1000..2000).as_bytes(), 1).unwrap();
    let files = [
        dir.file("a.tsv.gz", gzip.finish().unwrap()),
        dir.file("b.tsv.zst", zstd),
        dir.file("c.csv", table(2000..3000).replace('\t', ",")),
    ];
    let stream = stream::<Row>(2).await;
    let report = Loader::new(&stream)
        .load(Input::files(files))
        .await
        .unwrap();
    assert_eq!(report.records, 3000);
    let mut numbers: Vec<_> = rows_of(&stream)
        .await
        .iter()
        .map(|row| row.number)
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..3000));
}

const BAD: &str = "key\tnumber\na\t1\nb\tx\nc\t3\t4\n\"d\"\t5x\ne\t6\n";

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
async fn a_trial_sends_nothing_and_tells_where_records_would_go() {
    let dir = Dir::new("trial");
    let stream = stream::<Row>(4).await;
    let loader = Loader::new(&stream).trial(true).outdir(dir.path("out"));
    let trial = loader
        .load(Input::reader("t", std::io::Cursor::new(table(0..100))))
        .await
        .unwrap();
    assert_eq!((trial.records, trial.samples.len()), (100, 3));
    assert_eq!(trial.permission.as_deref(), Some("allowed"));
    assert!(rows_of(&stream).await.is_empty());
    let load = |dir: PathBuf| {
        let loader = Loader::new(&stream).outdir(dir);
        loader.load(Input::reader("t", std::io::Cursor::new(table(0..100))))
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

#[tokio::test]
async fn a_second_run_sends_what_the_first_did_not() {
    let dir = Dir::new("resume");
    let input = [
        dir.file("a.tsv", table(0..3000)),
        dir.file("b.tsv", table(3000..6000)),
    ];
    let stream = stream::<Row>(2).await;
    let load = |rows_max: Option<u64>| {
        let loader = Loader::new(&stream)
            .resume(dir.path("resume"))
            .outdir(dir.path("out"));
        let loader = match rows_max {
            Some(rows) => loader.rows_max(rows),
            None => loader,
        };
        loader.load(Input::files(input.clone()))
    };
    let first = load(Some(4321)).await.unwrap();
    assert_eq!(
        (first.rows, first.records, first.resumed_rows),
        (4321, 4321, 0)
    );
    let second = load(None).await.unwrap();
    assert_eq!(
        (second.rows, second.records, second.resumed_rows),
        (6000, 1679, 4321)
    );
    let third = load(None).await.unwrap();
    assert_eq!((third.rows, third.records), (6000, 0));
    let mut numbers: Vec<_> = rows_of(&stream)
        .await
        .iter()
        .map(|row| row.number)
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..6000));
    let export = fs::read_to_string(dir.path("out").join("row.json")).unwrap();
    assert_eq!(export.lines().count(), 6000);
}

#[tokio::test]
async fn a_resume_file_of_changed_input_is_refused_and_standard_input_has_none() {
    let dir = Dir::new("resume-other");
    let input = dir.file("a.tsv", table(0..10));
    let stream = stream::<Row>(1).await;
    let load = || {
        Loader::new(&stream)
            .resume(dir.path("resume"))
            .load(input.clone())
    };
    load().await.unwrap();
    dir.file("a.tsv", table(0..11));
    let error = load().await.unwrap_err();
    assert!(
        matches!(
            error,
            LoadError::Resume {
                problem: ResumeProblem::OtherLoad(_),
                ..
            }
        ),
        "{error}"
    );
    let reader = Input::reader("r", std::io::empty());
    let loader = Loader::new(&stream).resume(dir.path("other"));
    let error = loader.load(reader).await.unwrap_err();
    assert!(
        matches!(
            error,
            LoadError::Resume {
                problem: ResumeProblem::NotAFile(_),
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn unique_values_of_the_first_run_are_known_to_the_second() {
    let dir = Dir::new("resume-unique");
    let text = "iata\tname\tcity\tstate\tlatitude\tlongitude\n";
    let rows: String = ["A", "B", "C", "A", "D"]
        .map(|iata| format!("{iata}\tn\tc\ts\t1\t2\n"))
        .concat();
    let input = dir.file("a.tsv", format!("{text}{rows}"));
    let stream = stream::<Airport>(1).await;
    let loader = || {
        Loader::new(&stream)
            .resume(dir.path("resume"))
            .policy(Policy::Skip)
    };
    loader().rows_max(2).load(input.clone()).await.unwrap();
    let report = loader().load(input.clone()).await.unwrap();
    assert_eq!((report.rows, report.rejected, report.records), (5, 1, 2));
}

#[tokio::test]
async fn ids_are_the_hash_of_the_file_and_the_line() {
    let dir = Dir::new("ids");
    let input = dir.file("a.tsv", "key\tnumber\na\t1\n\nb\t2\n");
    let stream = stream::<Row>(1).await;
    Loader::new(&stream).ids(true).load(input).await.unwrap();
    let texts: Vec<String> = all(&stream.with_record_type::<String>())
        .await
        .into_values()
        .flatten()
        .collect();
    let ids: Vec<String> = texts
        .iter()
        .map(|text| {
            let value: Value = serde_json::from_str(text).unwrap();
            value["_meta"]["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let (hash, _) = ids[0].split_once(':').unwrap();
    assert_eq!(hash.len(), 16);
    assert_eq!(ids, [format!("{hash}:2"), format!("{hash}:4")]);
}

/// The message of a load that fails.
async fn fails(input: impl Into<Input>) -> String {
    let stream = stream::<Row>(1).await;
    Loader::new(&stream)
        .load(input)
        .await
        .unwrap_err()
        .to_string()
}

#[tokio::test]
async fn bad_files_give_one_clear_line() {
    let dir = Dir::new("bad");
    let at = |path: &Path, message: &str| format!("{}: {message}", path.display());

    let comma = dir.file("comma.tsv", "key,number\na,1\n");
    assert_eq!(
        fails(comma.clone()).await,
        at(
            &comma,
            "the header has 1 column(s), and the field `number` reads position 1, counted from 0: correct the file, the delimiter or the mapping"
        )
    );
    let empty = dir.file("empty.tsv", "");
    assert_eq!(
        fails(empty.clone()).await,
        at(&empty, "the file is empty: it has no header")
    );
    let bytes = dir.file("bytes.tsv", b"key\tnumber\n\xff\t1\n");
    assert!(
        fails(bytes)
            .await
            .contains("line 2: column 0 (`key`) is not text in UTF-8")
    );
    assert!(
        fails(dir.0.clone())
            .await
            .ends_with("this is a directory: name the files in it")
    );
    assert!(
        fails(dir.path("none.tsv"))
            .await
            .contains("cannot be opened: No such file")
    );

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(table(0..5000).as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let cut = dir.file("cut.tsv.gz", &gzip[..gzip.len() / 2]);
    let message = fails(cut).await;
    assert!(
        message.contains("the compressed file is cut short"),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1);

    let quote = dir.file(
        "quote.tsv",
        [b"key\tnumber\na\t\"", &vec![b'x'; 20 << 20][..]].concat(),
    );
    let message = fails(quote).await;
    assert!(
        message.contains("a quote is opened and not closed"),
        "{message}"
    );
}

#[tokio::test]
async fn a_header_alone_is_a_load_of_nothing() {
    let stream = stream::<Row>(1).await;
    let report = Loader::new(&stream)
        .load(Input::reader("h", &b"key\tnumber\n"[..]))
        .await
        .unwrap();
    assert_eq!((report.rows, report.records), (0, 0));
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

#[tokio::test]
async fn a_stream_that_is_not_there_is_found_before_the_first_row() {
    let local = LocalKinesis::start().await.unwrap();
    let stream = KinesisStream::<Row>::with_service(local.service(), "none");
    let error = Loader::new(&stream)
        .load(Input::reader("t", &b"key\tnumber\n"[..]))
        .await
        .unwrap_err();
    assert!(matches!(error, LoadError::Stream(_)), "{error}");
}

#[tokio::test]
async fn a_file_that_is_read_is_not_overwritten() {
    let dir = Dir::new("overwrite");
    let input = dir.file("a.tsv", BAD);
    let stream = stream::<Row>(1).await;
    let loader = Loader::new(&stream).policy(Policy::Rejects(input.clone()));
    assert!(matches!(
        loader.load(input.clone()).await,
        Err(LoadError::Options(_))
    ));
    assert_eq!(fs::read_to_string(input).unwrap(), BAD);
}

#[tokio::test]
async fn markers_frame_the_load_in_every_shard() {
    let stream = stream::<Row>(3).await;
    let input = Input::reader("t", std::io::Cursor::new(table(0..100)));
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
    let input = || Input::reader("t", std::io::Cursor::new(table(0..1_000)));
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

#[tokio::test]
async fn a_put_that_is_refused_names_the_line_and_the_second_run_sends_the_rest() {
    let dir = Dir::new("refused");
    let input = dir.file("a.tsv", table(0..5_000));
    let local = LocalKinesis::start().await.unwrap();
    let stream: KinesisStream<Row> = local.stream("load", 1).await.unwrap();
    let deny = Fault::deny().on("PutRecords").after(1).always();
    local.faults().add(deny).unwrap();
    let load = || {
        Loader::new(&stream)
            // A record a request: the second one is refused.
            .aggregate(false)
            .resume(dir.path("resume"))
            .load(input.clone())
    };
    let error = load().await.unwrap_err();
    let LoadError::Put { line, file, .. } = &error else {
        panic!("{error}")
    };
    assert!(*line >= 2 && file.ends_with("a.tsv"), "{error}");
    local.faults().clear();
    let report = load().await.unwrap();
    assert_eq!(report.rows, 5_000);
    let mut numbers: Vec<_> = rows_of(&stream)
        .await
        .iter()
        .map(|row| row.number)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.into_iter().eq(0..5_000));
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
    let message = fails_in(Format::JsonLines, "{\"key\":1}\n").await;
    assert!(message.contains("JSON lines have names only"), "{message}");
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

#[tokio::test]
async fn a_table_without_its_columns_is_told_before_the_first_row() {
    let stream = stream::<Airport>(1).await;
    let input = Input::reader(
        "t",
        &b"iata\tname\tcity\tlatitude\tlongitude\nA\tn\tc\t1\t2\n"[..],
    );
    let error = Loader::new(&stream).load(input).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "t: the header has no column `state`, which the field `state` reads: it has `iata`, `name`, `city`, `latitude`, `longitude`; correct the file, the delimiter or the mapping"
    );
    let untyped = stream.with_record_type::<Value>();
    let load = |key: &str, text: &'static str| {
        let loader = Loader::untyped(&untyped, Untyped::new("t").key(key));
        loader.load(Input::reader("t", text.as_bytes()))
    };
    let error = load("id", "a\tb\n1\t2\n").await.unwrap_err().to_string();
    assert_eq!(
        error,
        "t: the header has no column `id` for the key: it has `a`, `b`"
    );
    let error = load("id", "id,b\n1,2\n").await.unwrap_err().to_string();
    assert_eq!(
        error,
        "t: the header is one column, \"id,b\", cut at '\\t': the delimiter seems to be ','"
    );
    assert!(all(&stream).await.is_empty());
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
