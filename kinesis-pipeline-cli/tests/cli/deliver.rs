//! Deliveries that are killed, and filters over events.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use kinesis_pipeline::{DynamoDbLeases, LeaseStore as _};
use tokio::{process::Child, time::sleep};

use crate::{PATIENCE, Program, bare_command, end_of, file, signal};

type Objects = BTreeMap<PathBuf, Vec<u8>>;

/// A number of records and of kills: the long form is the one that the promise was measured with.
struct Extent {
    records: usize,
    kills: usize,
}

/// All files of a folder, without what a killed process left half written beside them.
fn objects(folder: &Path) -> Objects {
    let mut found = Objects::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&next) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.to_string_lossy().contains('#')
                && !path.to_string_lossy().contains("_probe")
                && let Ok(bytes) = std::fs::read(&path)
            {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), bytes);
            }
        }
    }
    found
}

/// The number of records of all objects: a line each.
fn records(objects: &Objects) -> usize {
    let breaks = |bytes: &Vec<u8>| bytes.split(|byte| *byte == b'\n').count() - 1;
    objects.values().map(breaks).sum()
}

fn start(program: &Program, folder: &Path, leases: &Path) -> Child {
    let line = format!(
        "deliver -s s --to {} --lease-file {} --buffer 64KiB,5s --prefix {} -q",
        folder.display(),
        leases.display(),
        "!{timestamp:yyyy/MM/dd/HH}/",
    );
    program.command(&line).spawn().unwrap()
}

/// Waits until the folder has so many records.
async fn wait_for(folder: &Path, count: usize) -> Objects {
    for _ in 0..3_000 {
        let found = objects(folder);
        if records(&found) >= count {
            return found;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!(
        "{} of {count} records were delivered",
        records(&objects(folder))
    );
}

async fn a_killed_delivery_makes_the_objects_of_one_that_lives(extent: Extent) {
    let program = Program::with_stream("s", 2).await;
    let stream = program.local.stream::<Bytes>("s", 2).await.unwrap();
    let record = |number: usize| Bytes::from(format!("{number:08} {}", "x".repeat(number % 90)));
    for receipt in stream.put_all((0..extent.records).map(record)).await {
        receipt.unwrap();
    }
    let dir = file("deliver", "").with_extension(format!("{}.d", extent.records));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();

    let mut child = start(&program, &dir.join("lives"), &dir.join("lives.json"));
    let expected = wait_for(&dir.join("lives"), extent.records).await;
    child.kill().await.unwrap();
    assert_eq!(records(&expected), extent.records);

    let (folder, leases) = (dir.join("killed"), dir.join("killed.json"));
    let mut reached = Vec::with_capacity(extent.kills);
    for _ in 0..extent.kills {
        let before = records(&objects(&folder));
        let mut child = start(&program, &folder, &leases);
        // Until it has begun to write, then a random moment longer; near the end there is nothing to wait for.
        for _ in 0..150 {
            if records(&objects(&folder)) > before {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        sleep(Duration::from_millis(fastrand::u64(0..60))).await;
        child.kill().await.unwrap();
        reached.push(records(&objects(&folder)));
    }
    let mut child = start(&program, &folder, &leases);
    let found = wait_for(&folder, extent.records).await;
    child.kill().await.unwrap();
    assert!(found.keys().eq(expected.keys()), "the same names");
    assert!(found == expected, "the same bytes");
    println!("{} objects; killed after {reached:?} records", found.len());
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_killed_makes_the_same_objects() {
    let (records, kills) = (6_000, 2);
    a_killed_delivery_makes_the_objects_of_one_that_lives(Extent { records, kills }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: 200,000 records and 20 kills"]
async fn a_delivery_that_is_killed_twenty_times_makes_the_same_objects() {
    let (records, kills) = (200_000, 20);
    a_killed_delivery_makes_the_objects_of_one_that_lives(Extent { records, kills }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_runs_over_an_event() {
    let event =
        r#"{"records":[{"recordId":"1","data":"eyJhIjogMX0="},{"recordId":"2","data":"aGk="}]}"#;
    let path = file("event.json", event);
    let line = format!("transform --event {} --filter json", path.display());
    let done = end_of(bare_command(&line), "").await;
    assert_eq!(done.status, Some(0), "{}", done.err);
    let response: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(response["records"][0]["result"], "Ok");
    assert_eq!(response["records"][1]["result"], "ProcessingFailed");
    assert!(
        done.err.contains("1 kept, 0 dropped, 1 failed"),
        "{}",
        done.err
    );
    std::fs::remove_file(path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_in_the_stream_is_delivered_once() {
    let program = Program::with_stream("s", 1).await;
    program
        .run("put -s s", "{\"n\":1,\"k\":\"a\"}\n{\"n\":2,\"k\":\"b\"}\n")
        .await;
    let dir = file("once", "").with_extension("d");
    let line = format!(
        "deliver -s s --once --to {} --jq {{k:.k}} --prefix k=!{{partitionKeyFromQuery:k}}/!{{timestamp:yyyy}}/",
        dir.display()
    );
    let done = program.run(&line, "").await;
    assert_eq!(done.status, Some(0), "{}", done.err);
    assert!(
        done.err
            .contains("2 records read: 2 kept, 0 dropped, 0 failed; 2 objects written"),
        "{}",
        done.err
    );
    let found = objects(&dir);
    assert_eq!(
        found.values().collect::<Vec<_>>(),
        [b"{\"n\":1,\"k\":\"a\"}\n", b"{\"n\":2,\"k\":\"b\"}\n"]
    );
    assert!(found.keys().next().unwrap().starts_with("k=a"));
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_delivery_with_leases_in_dynamodb_goes_on_where_it_was() {
    const COUNT: usize = 6_000;
    let program = Program::with_stream("s", 2).await;
    let dynamodb = program.local.serve_dynamodb("127.0.0.1:0").await.unwrap();
    let stream = program.local.stream::<Bytes>("s", 2).await.unwrap();
    let record = |number: usize| Bytes::from(format!("{number:08} {}", "x".repeat(number % 90)));
    assert!(stream.put_all((0..COUNT).map(record)).await.is_ok());
    let dir = file("dynamodb", "").with_extension("d");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    let begin = || {
        let folder = dir.display();
        let line = format!(
            "deliver -s s --to {folder} --leases dynamodb --app objects --buffer 16KiB,5s -q"
        );
        let mut command = program.command(&line);
        command.env("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint_url());
        command.spawn().unwrap()
    };
    let mut child = begin();
    for _ in 0..300 {
        if records(&objects(&dir)) > 0 {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    child.kill().await.unwrap();
    let before = objects(&dir);
    let mut child = begin();
    let found = wait_for(&dir, COUNT).await;
    child.kill().await.unwrap();
    assert_eq!(records(&found), COUNT, "each once");
    assert!(
        before
            .iter()
            .all(|(name, bytes)| found.get(name) == Some(bytes))
    );
    let client = aws_sdk_dynamodb::Client::new(&dynamodb.sdk_config());
    let leases = DynamoDbLeases::with_client(client).list("objects").await;
    assert_eq!(leases.unwrap().len(), 2, "a lease for each shard");
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settings_file_of_kcl_names_the_stream_of_a_delivery() {
    let program = Program::with_stream("s", 1).await;
    program.run("put -s s", "one\ntwo\n").await;
    let text = "streamName = s\napplicationName = objects\ninitialPositionInStream = TRIM_HORIZON\n\
                executableName = x.py\n";
    let path = file("deliver.properties", text);
    let dir = path.with_extension("d");
    let line = format!(
        "deliver --properties {} --leases memory --to {} --buffer 1MiB,1s",
        path.display(),
        dir.display()
    );
    let child = program.command(&line).spawn().unwrap();
    wait_for(&dir, 2).await;
    signal(&child, "-TERM");
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let ended = ended.expect("the program ends").unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{err}");
    assert!(err.contains("executableName"), "{err}");
    let none = program.run("deliver --to /nowhere", "").await;
    assert_eq!(none.status, Some(2), "{}", none.err);
    std::fs::remove_dir_all(dir).unwrap();
    std::fs::remove_file(path).unwrap();
}
