//! Loads that go on where another one ended.

use std::{fs, time::Duration};

use kinesis_pipeline::{KinesisStream, LocalKinesis, local::Fault};
use kinesis_pipeline_load::{Input, LoadError, Loader, Policy, ResumeProblem, Untyped};
use serde_json::{Value, json};

use crate::support::{Airport, Dir, Row, all, rows_of, stream, table};

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
async fn a_load_that_is_stopped_while_a_large_file_is_hashed_ends_at_once() {
    const TEBIBYTE: u64 = 1 << 40;
    let dir = Dir::new("hash-stopped");
    let input = dir.file("a.tsv", "");
    fs::File::options()
        .write(true)
        .open(&input)
        .and_then(|file| file.set_len(TEBIBYTE))
        .unwrap();
    let stream = stream::<Row>(1).await;
    for loader in [
        Loader::new(&stream).resume(dir.path("resume")),
        Loader::new(&stream).ids(true),
    ] {
        let stop = loader.stop_handle();
        let load = loader.load(input.clone());
        // The load is waiting for the hash, and the other thread has begun with it or not.
        let stopped = async {
            tokio::task::yield_now().await;
            stop.stop();
        };
        let (report, ()) = tokio::join!(load, stopped);
        let report = report.unwrap();
        assert!(report.stopped && report.rows == 0, "{report:?}");
    }
    assert!(rows_of(&stream).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_resume_file_of_a_stream_that_was_made_again_is_refused() {
    let dir = Dir::new("resume-again");
    let input = dir.file("a.tsv", table(0..10));
    let load = async || {
        // Each time another service has a stream of this name.
        let stream = stream::<Row>(1).await;
        tokio::time::advance(Duration::from_millis(1)).await;
        let loader = Loader::new(&stream).resume(dir.path("resume"));
        loader.load(input.clone()).await
    };
    assert_eq!(load().await.unwrap().records, 10);
    let told = load().await.unwrap_err().to_string();
    assert!(
        told.contains("the stream was deleted and made again since"),
        "{told}"
    );
}

#[tokio::test]
async fn two_loads_at_once_do_not_share_a_resume_file() {
    let dir = Dir::new("resume-both");
    let input = dir.file("a.tsv", table(0..100));
    let stream = stream::<Row>(1).await;
    let load = || {
        let loader = Loader::new(&stream).resume(dir.path("resume"));
        loader.load(input.clone())
    };
    let (one, other) = tokio::join!(load(), load());
    let (done, refused) = match (one, other) {
        (Ok(done), Err(refused)) | (Err(refused), Ok(done)) => (done, refused),
        both => panic!("{both:?}"),
    };
    assert_eq!(done.records, 100);
    assert!(
        refused.to_string().contains("another load uses this file"),
        "{refused}"
    );
    load().await.unwrap();
    assert_eq!(rows_of(&stream).await.len(), 100);
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
async fn columns_keep_the_types_of_the_first_run() {
    let dir = Dir::new("resume-types");
    let zip = |name, cell| dir.file(name, format!("zip\n{cell}\n"));
    let input = [
        zip("a.tsv", "00210"),
        zip("b.tsv", "11111"),
        zip("c.tsv", "22222"),
    ];
    let stream = stream::<Value>(1).await;
    let load = |rows| {
        let table = Untyped::new("t").types_from_sample(10);
        let loader = Loader::untyped(&stream, table).resume(dir.path("resume"));
        loader.rows_max(rows).load(Input::files(input.clone()))
    };
    for rows in [2, 3] {
        load(rows).await.unwrap();
    }
    let records: Vec<_> = all(&stream).await.into_values().flatten().collect();
    assert_eq!(
        records,
        ["00210", "11111", "22222"].map(|zip| json!({ "zip": zip }))
    );
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
