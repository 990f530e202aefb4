//! Runs every example and checks its output.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use kinesis_pipeline::LocalKinesis;
use serde_json::Value;

/// Returns the command of an example. `cargo test` builds its binary beside this test.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("the test has a path");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("target/<profile>/deps/<test>");
    let binary: PathBuf = profile.join("examples").join(name);
    assert!(
        binary.exists(),
        "{} is not built: run `cargo test` without `--test`",
        binary.display()
    );
    Command::new(binary)
}

fn succeeds(mut command: Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the example starts");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    assert!(status.success(), "{status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

#[test]
fn quickstart_reads_back_every_earthquake() {
    let output = succeeds(example("quickstart"));
    assert!(
        output.contains("all 1707 came back once, in order for each of the 12 networks"),
        "{output}"
    );
    let shards = output
        .lines()
        .filter(|line| line.starts_with("shardId-"))
        .count();
    assert!(shards >= 3, "{output}");
    assert!(output.contains("strongest:\n  6.4"), "{output}");
}

#[test]
fn put_one_and_many_tells_what_became_of_each() {
    let output = succeeds(example("put_one_and_many"));
    assert_eq!(output.matches("stored in shardId-").count(), 4, "{output}");
    assert!(output.contains("18.5 was not stored: "), "{output}");
    assert!(output.contains("`device`"), "{output}");
}

#[cfg(unix)]
#[test]
fn shutdown_stores_all_that_it_accepted() {
    let mut command = example("shutdown");
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = lines.next().expect("a line").expect("text");
    assert_eq!(first, "putting");
    let kill = Command::new("kill").arg(child.id().to_string()).status();
    assert!(kill.expect("there is a kill").success());
    let last = lines.next().expect("a line").expect("text");
    let status = child.wait().expect("it ends");
    let (stored, rest) = last.split_once(" of ").expect("two numbers");
    assert!(status.success(), "{status}: {last}");
    assert_eq!(rest, format!("{stored} readings are stored"));
}

#[test]
fn tail_stops_after_what_was_fetched() {
    let output = succeeds(example("tail"));
    let received = output
        .lines()
        .filter(|line| line.contains("Reading {"))
        .count();
    assert!(received >= 5, "{output}");
    assert!(
        output.contains(&format!("stopped after {received} records")),
        "{output}"
    );
}

#[test]
fn fleet_takes_over_and_follows_a_split() {
    let output = succeeds(example("fleet"));
    assert!(output.contains("600 of 600 readings processed"), "{output}");
    let (_, after) = output.split_once("anna was killed").expect("the table");
    assert!(!after.contains("anna   "), "{output}");
    assert_eq!(after.matches("ShardEnd").count(), 1, "{output}");
}

#[test]
fn consumer_goes_on_behind_what_is_billed_and_sets_aside_what_cannot_be() {
    let output = succeeds(example("consumer"));
    assert!(
        output.contains("300 orders billed, 0 of them twice"),
        "{output}"
    );
    assert!(output.contains("up to 4 shards at a time"), "{output}");
    assert_eq!(output.matches("4 shards given back").count(), 2, "{output}");
    let aside: Vec<_> = output
        .lines()
        .filter(|line| line.starts_with("set aside after "))
        .collect();
    assert_eq!(aside.len(), 3, "{output}");
    for text in [
        "3 attempts: order 1001 is of -5 euros",
        "3 attempts: order 1002 is of -7 euros",
        "0 attempts: ",
    ] {
        assert!(aside.iter().any(|line| line.contains(text)), "{output}");
    }
}

/// Posts JSON to an HTTP server. Returns the first and the last line of the answer.
#[cfg(feature = "web")]
fn post(address: &str, path: &str, json: &str) -> (String, String) {
    use std::{
        io::{Read as _, Write as _},
        net::TcpStream,
    };

    let mut socket = TcpStream::connect(address).expect("it listens");
    let length = json.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    let head = format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    socket
        .write_all(format!("{head}{json}").as_bytes())
        .expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("text");
    let line = |line: Option<&str>| line.unwrap_or_default().to_owned();
    (line(answer.lines().next()), line(answer.lines().last()))
}

#[cfg(all(feature = "web", unix))]
#[tokio::test(flavor = "multi_thread")]
async fn web_service_refuses_what_it_cannot_hold_and_stores_what_it_accepted() {
    use std::time::Duration;

    use kinesis_pipeline::{StartAt, Until, local::Fault};

    let local = LocalKinesis::start().await.expect("it starts");
    let server = local.serve("127.0.0.1:0").await.expect("a free port");
    let stream = local
        .stream::<Value>("events", 2)
        .await
        .expect("a new stream");
    let mut command = example("web_service");
    command
        .args(["events", "10"])
        .env("LISTEN", "127.0.0.1:0")
        .env("AWS_ENDPOINT_URL_KINESIS", server.endpoint_url())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    let slow = move || {
        local
            .faults()
            .add(
                Fault::delay(Duration::from_secs(4))
                    .on("PutRecords")
                    .always(),
            )
            .expect("a fault");
    };
    let run = move || {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut line = || lines.next().expect("a line").expect("text");
        let first = line();
        let address = first.strip_prefix("listening on http://").expect("where");

        let (status, place) = post(address, "/orders", r#"{"id": 1, "euros": 10}"#);
        assert_eq!(status, "HTTP/1.1 201 Created");
        assert!(place.starts_with("shardId-"), "{place}");
        let (status, _) = post(address, "/clicks", r#"{"user": 7}"#);
        assert_eq!(status, "HTTP/1.1 422 Unprocessable Entity");

        slow();
        let click = || post(address, "/clicks", r#"{"user": 7, "page": "/home"}"#).0;
        let answers: Vec<_> = (0..12).map(|_| click()).collect();
        assert_eq!(answers[..10], ["HTTP/1.1 202 Accepted"; 10]);
        assert_eq!(answers[10..], ["HTTP/1.1 503 Service Unavailable"; 2]);

        // The ten clicks are still being stored.
        let kill = Command::new("kill").arg(child.id().to_string()).status();
        assert!(kill.expect("there is a kill").success());
        assert_eq!(line(), "11 of 11 events are stored");
        assert!(child.wait().expect("it ends").success());
    };
    tokio::task::spawn_blocking(run).await.expect("it is so");

    let reader = stream.reader().start(StartAt::TrimHorizon);
    let mut records = reader.until(Until::Tip).open().await.expect("a reader");
    let mut clicks = 0;
    while let Some(record) = records.next().await {
        clicks += usize::from(record.expect("JSON").data["type"] == "click");
    }
    assert_eq!(clicks, 10);
}

#[test]
fn stream_processor_works_as_its_properties_say() {
    let mut command = example("stream_processor");
    for variable in ["AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KINESIS"] {
        command.env_remove(variable);
    }
    let output = succeeds(command);
    assert!(output.contains("of testdrive-stream"), "{output}");
    assert_eq!(
        output.matches(r#""temperature":42.42"#).count(),
        10,
        "{output}"
    );
    assert!(output.contains("begins at TrimHorizon"), "{output}");
    assert_eq!(output.matches(": left").count(), 4, "{output}");
    assert!(
        output.contains("4 shards were saved and given back"),
        "{output}"
    );
}

#[test]
fn replay_reads_from_a_receipt_and_from_a_time() {
    let output = succeeds(example("replay"));
    assert!(
        output.contains("at the receipt: Order { id: 4, euros: 20 }"),
        "{output}"
    );
    assert!(output.contains("40 euros since then"), "{output}");
}

#[test]
fn own_codec_reads_what_it_wrote() {
    let output = succeeds(example("own_codec"));
    assert!(
        output.contains(r#"Measurement { name: "depth", value: -40 } under the key depth"#),
        "{output}"
    );
    assert!(output.contains("refused: "), "{output}");
}

#[test]
fn generate_puts_as_many_as_asked() {
    let mut command = example("generate");
    command.args(["20", "1000"]);
    let output = succeeds(command);
    assert_eq!(output.matches(" in shardId-").count(), 20, "{output}");
    assert!(output.contains("put 20 records"), "{output}");
}

#[test]
fn publish_puts_the_same_reading_as_often_as_asked() {
    let mut command = example("publish");
    command.args(["20", "1000"]);
    let output = succeeds(command);
    let reading = r#"{"device":"foo","temperature":42.42,"humidity":84.84} in shardId-"#;
    assert_eq!(output.matches(reading).count(), 20, "{output}");
    assert!(output.contains("put 20 records"), "{output}");
}

#[test]
fn firehose_transform_answers_every_record() {
    let event = r#"{"records":[{"recordId":"1","data":"eyJkZXZpY2UiOiJhdHRpYyIsInRlbXBlcmF0dXJlIjoyMS41fQ=="},
        {"recordId":"2","data":"eyJkZXZpY2UiOiJjZWxsYXIiLCJ0ZW1wZXJhdHVyZSI6OH0="},
        {"recordId":"3","data":"?"}]}"#;
    let file = std::env::temp_dir().join(format!("firehose-{}.json", std::process::id()));
    std::fs::write(&file, event).expect("a temporary file");
    let mut command = example("firehose_transform");
    command.arg(&file);
    let output = succeeds(command);
    std::fs::remove_file(&file).expect("it is there");
    let response: Value = serde_json::from_str(&output).expect("JSON");
    let results: Vec<_> = [0, 1, 2]
        .map(|index| {
            response["records"][index]["result"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .into();
    assert_eq!(results, ["Ok", "Dropped", "ProcessingFailed"]);
}

#[test]
fn config_file_finds_the_stream_behind_a_name() {
    let mut command = example("config_file");
    command
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    let output = succeeds(command);
    assert!(output.contains("under the key hi mom"), "{output}");
    assert!(
        output.contains("error: ") && output.contains("my_stream"),
        "{output}"
    );
}

#[cfg(feature = "metrics")]
#[test]
fn metrics_exports_to_prometheus_and_to_opentelemetry() {
    let output = succeeds(example("metrics"));
    let (prometheus, open_telemetry) = output
        .split_once("OpenTelemetry")
        .expect("both exports are printed");
    for line in [
        "# TYPE kinesis_pipeline_user_records_put_total counter",
        r#"kinesis_pipeline_user_records_put_total{stream="readings"} 1000"#,
        r#"kinesis_pipeline_records_processed_total{stream="readings"} 1000"#,
        r#"kinesis_pipeline_request_time_seconds_bucket{stream="readings",le="+Inf"}"#,
    ] {
        assert!(prometheus.contains(line), "{line}: {output}");
    }
    for text in [
        "kinesis_pipeline_user_records_put_total",
        "1000",
        "readings",
    ] {
        assert!(open_telemetry.contains(text), "{text}: {output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_aws_talks_to_whatever_the_environment_names() {
    let local = LocalKinesis::start()
        .await
        .expect("the embedded Kinesis starts");
    let server = local.serve("127.0.0.1:0").await.expect("a free port");
    local
        .stream::<Value>("greetings", 2)
        .await
        .expect("a new stream");

    let mut command = example("on_aws");
    command
        .arg("greetings")
        .env("AWS_ENDPOINT_URL_KINESIS", server.endpoint_url())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    let output = tokio::task::spawn_blocking(move || succeeds(command))
        .await
        .expect("the example ends");
    assert!(
        output.contains(r#"read back Greeting { from: "on_aws", text: "hi mom" }"#),
        "{output}"
    );
}
