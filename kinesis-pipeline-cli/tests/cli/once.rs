//! File to Kinesis to Postgres, each row once: the load, the sink and the database are killed, and answers of Kinesis are
//! lost. The loader's ids drop what came twice.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use kinesis_pipeline::{KinesisStream, StartAt, Until, local::Fault};
use tokio::{
    process::Child,
    time::{sleep, timeout},
};

use crate::{Program, file, sql::Postgres};

/// A load that has not ended by then hangs: 2,000 rows a second is what two shards take.
const LOAD_MAX: Duration = Duration::from_mins(4);

/// A number of rows, and of kills on each side.
struct Extent {
    rows: usize,
    kills: usize,
}

/// The commands of both sides.
struct Lines {
    load: String,
    sink: String,
}

fn table(rows: usize) -> PathBuf {
    let mut text = String::from("id\tcity\n");
    for id in 0..rows {
        writeln!(text, "{id}\tcity-{}", id % 500).unwrap();
    }
    file(&format!("once-{rows}.tsv"), &text)
}

fn lines(postgres: &Postgres, rows: &Path, resume: &Path) -> Lines {
    let load = format!(
        "load {} -s s --key city --ids --no-aggregate --resume {} -q",
        rows.display(),
        resume.display()
    );
    let sink = format!(
        "sql -s s --to {} --table rows --columns id=_meta.id:text,number=id:int --key id --mode keep-first \
         --create-table --batch 500,50ms -q",
        postgres.url()
    );
    Lines { load, sink }
}

async fn count_of_records(stream: &KinesisStream<bytes::Bytes>) -> usize {
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip);
    let mut records = reader.ignore_limits().open().await.unwrap();
    let mut count = 0;
    while let Some(record) = records.next().await {
        record.unwrap();
        count += 1;
    }
    count
}

async fn kill(child: &mut Child) {
    // It may have ended before.
    let _ = child.kill().await;
}

async fn each_row_is_there_once(extent: Extent) {
    let Some(mut postgres) = Postgres::start().await else {
        return;
    };
    let program = Program::with_stream("s", 2).await;
    let faults = program.local.faults();
    let lost = Fault::lose_response().on("PutRecords").after(3);
    faults.add(lost.times(4)).unwrap();

    let rows = table(extent.rows);
    let resume = rows.with_extension("resume");
    let _ = std::fs::remove_file(&resume);
    let Lines { load, sink } = lines(&postgres, &rows, &resume);
    let start = |line: &str| program.command(line).spawn().unwrap();
    let (mut loading, mut sinking) = (start(&load), start(&sink));
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut moment = || Duration::from_millis(random.u64(50..500));
    for _ in 0..extent.kills {
        sleep(moment()).await;
        kill(&mut loading).await;
        loading = start(&load);
        sleep(moment()).await;
        kill(&mut sinking).await;
        sinking = start(&sink);
        sleep(moment()).await;
        postgres.crash();
        postgres.run().await;
    }
    let loaded = timeout(LOAD_MAX, loading.wait_with_output()).await;
    let loaded = loaded.expect("the load ends").unwrap();
    let words = String::from_utf8_lossy(&loaded.stderr).into_owned();
    assert!(loaded.status.success(), "{words}");
    kill(&mut sinking).await;
    let rest = program.run(&format!("{sink} --until tip"), "").await;
    assert_eq!(rest.status, Some(0), "{}", rest.err);

    let client = postgres.client().await;
    let sums = "SELECT count(*), count(DISTINCT number), sum(number)::bigint FROM rows";
    let found = client.query_one(sums, &[]).await.unwrap();
    let found: [i64; 3] = [found.get(0), found.get(1), found.get(2)];
    let count = i64::try_from(extent.rows).unwrap();
    assert_eq!(found, [count, count, count * (count - 1) / 2]);
    let stream = program.local.stream("s", 2).await.unwrap();
    let records = count_of_records(&stream).await;
    println!(
        "{} rows, {} of them twice in the stream",
        extent.rows,
        records - extent.rows
    );
    assert!(
        records > extent.rows,
        "nothing came twice: the test shows nothing"
    );
    for path in [rows, resume] {
        std::fs::remove_file(path).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_in_postgres_once_through_kills_on_all_sides() {
    let (rows, kills) = (12_000, 2);
    each_row_is_there_once(Extent { rows, kills }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: 200,000 rows and 20 kills on each side"]
async fn a_file_of_many_rows_is_in_postgres_once_through_kills_on_all_sides() {
    let (rows, kills) = (200_000, 20);
    each_row_is_there_once(Extent { rows, kills }).await;
}
