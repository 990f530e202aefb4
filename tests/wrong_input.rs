//! Tests of errors outside the service's answers. Each gives one clear line within seconds, and never a hang.

use std::{error::Error, time::Duration};

use kinesis_pipeline::{KinesisRecord, KinesisStream, StartAt};
use kinesis_pipeline_tests::{Server, client_of};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, KinesisRecord)]
struct Reading {
    #[kinesis(partition_key)]
    device: Option<String>,
    values: Values,
}

/// A map with keys that are not texts, which JSON does not have.
type Values = std::collections::BTreeMap<Vec<u8>, u32>;

fn reading(device: Option<&str>) -> Reading {
    Reading {
        device: device.map(str::to_owned),
        values: Values::new(),
    }
}

/// Returns the error and its causes in one line, as the program prints them.
fn line(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| {
        (*error).source()
    });
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(15), what)
        .await
        .expect("an answer within seconds")
}

#[tokio::test]
async fn a_port_where_nothing_listens_is_named() {
    // Port 1 of the loopback address is reserved, and closed on every machine that runs tests.
    let stream = KinesisStream::<Reading>::with_client(client_of("http://127.0.0.1:1"), "readings");

    let put = soon(stream.put(&reading(Some("attic"))))
        .await
        .expect_err("nothing listens");
    let text = line(&put);
    assert!(
        text.contains("http://127.0.0.1:1") && text.contains("readings"),
        "{text}"
    );
    assert!(!text.contains('\n'), "{text}");
    assert!(put.is_retryable() && !put.may_have_been_stored(), "{put:?}");

    let get = soon(stream.iter_from_latest())
        .await
        .expect_err("nothing listens");
    let text = line(&get);
    assert!(
        text.contains("http://127.0.0.1:1") && text.contains("readings"),
        "{text}"
    );
}

#[tokio::test]
async fn a_record_that_cannot_be_encoded_leaves_the_others_alone() {
    let server = Server::embedded().await;
    let stream = server.stream::<Reading>("readings", 1).await;
    let mut unwritable = reading(Some("attic"));
    unwritable.values.insert(vec![1], 1);
    let sent = [
        reading(Some("attic")),
        unwritable,
        reading(None),
        reading(Some("roof")),
    ];

    let results = stream.put_all(sent).await;
    assert!(results[0].is_ok() && results[3].is_ok());
    let unwritable = results[1].as_ref().expect_err("JSON has no such keys");
    assert!(
        line(&unwritable.error).contains("json"),
        "{}",
        line(&unwritable.error)
    );
    let keyless = results[2].as_ref().expect_err("no key");
    assert!(
        line(&keyless.error).contains("`device`"),
        "{}",
        line(&keyless.error)
    );
}

#[tokio::test]
async fn a_position_that_is_not_in_the_stream_is_an_error() {
    let server = Server::embedded().await;
    let stream = server.stream::<Reading>("readings", 1).await;
    let number = "1".parse().expect("digits");
    let start = StartAt::AfterSequenceNumber("shardId-000000000007".into(), number);
    let error = soon(stream.reader().start(start).open())
        .await
        .expect_err("no such shard");
    assert!(
        line(&error).contains("shardId-000000000007"),
        "{}",
        line(&error)
    );
}
