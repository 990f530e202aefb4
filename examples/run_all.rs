//! Runs every example and checks what it prints.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use kinesis_pipeline::LocalKinesis;
use serde_json::Value;

/// The example's binary: `cargo test` builds it next to this test.
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
fn stream_processor_works_as_its_properties_say() {
    let mut command = example("stream_processor");
    for variable in ["AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KINESIS"] {
        command.env_remove(variable);
    }
    let output = succeeds(command);
    assert!(output.contains("of testdrive-stream"), "{output}");
    assert_eq!(output.matches(r#""temperature":42.42"#).count(), 10, "{output}");
    assert!(output.contains("begins at TrimHorizon"), "{output}");
    assert_eq!(output.matches(": left").count(), 4, "{output}");
    assert!(output.contains("4 shards were saved and given back"), "{output}");
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
