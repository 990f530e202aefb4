//! The program as its users run it: processes, pipes, exit statuses, against an embedded Kinesis over HTTP.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io,
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use bytes::Bytes;
use kinesis_pipeline::{
    EncodedRecord, KinesisStream, LocalKinesis, PartitionKey,
    local::{LocalKinesisBuilder, LocalServer},
    service::PutRecords,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// A program that has not ended by then hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program, with an environment that reaches a Kinesis of this test alone.
struct Program {
    server: LocalServer,
    local: LocalKinesis,
}

impl Program {
    async fn start() -> Self {
        let local = LocalKinesisBuilder::default().start().await.unwrap();
        let server = local.serve("127.0.0.1:0").await.unwrap();
        Self { server, local }
    }

    async fn with_stream(name: &str, shards: u32) -> Self {
        let program = Self::start().await;
        program.local.stream::<Bytes>(name, shards).await.unwrap();
        program
    }

    fn command(&self, line: &str) -> Command {
        let mut command = bare_command(line);
        command
            .env("AWS_ENDPOINT_URL_KINESIS", self.server.endpoint_url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local");
        command
    }

    /// Runs a command to its end, `input` on its standard input.
    async fn run(&self, line: &str, input: &str) -> Done {
        end_of(self.command(line), input).await
    }
}

/// The program in an environment without anything of AWS. Words are separated by spaces.
fn bare_command(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinesis-pipeline"));
    command
        .args(line.split_whitespace())
        .env_clear()
        .env("HOME", "/nowhere")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

struct Done {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Done {
    /// Each line of the output as JSON.
    fn json(&self) -> Vec<Value> {
        let lines = self.out.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

async fn end_of(mut command: Command, input: &str) -> Done {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that has failed reads no more: that is not what is tested.
    let _: io::Result<()> = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let Output {
        status,
        stdout,
        stderr,
    } = timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("the program ends")
        .unwrap();
    Done {
        status: status.code(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// A reader that is ready: what is put from now on, it prints.
async fn ready(mut command: Command) -> Child {
    let mut child = command.spawn().unwrap();
    let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
    let note = timeout(PATIENCE, notes.next_line())
        .await
        .expect("a note")
        .unwrap();
    assert!(note.is_some_and(|note| note.starts_with("reading ")));
    child
}

async fn lines_of(child: &mut Child, count: usize) -> Vec<String> {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut read = Vec::new();
    while read.len() < count {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("a line");
        read.push(line.unwrap().expect("the program goes on"));
    }
    read
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let id = child.id().expect("it runs").to_string();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status();
    assert!(sent.unwrap().success());
}

fn file(name: &str, text: &str) -> PathBuf {
    let name = format!("kinesis-pipeline-{}-{name}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn tritons_demo_works_in_two_processes() {
    let program = Program::with_stream("test_stream", 2).await;
    let mut reader = ready(program.command("get -s test_stream -n 1")).await;
    let put = program.run("put -s test_stream", "hi\n").await;
    assert_eq!(
        (put.status, put.out.as_str(), put.err.as_str()),
        (Some(0), "", "")
    );

    let lines = lines_of(&mut reader, 2).await;
    let head = lines[0]
        .strip_prefix("<Record shardId-00000000000")
        .unwrap();
    let number = head[1..].trim().strip_suffix('>').unwrap();
    assert!(number.bytes().all(|byte| byte.is_ascii_digit()), "{number}");
    assert_eq!(lines[1], "hi");
    let status = timeout(PATIENCE, reader.wait())
        .await
        .expect("it ends after 1 record");
    assert!(status.unwrap().success());
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_a_reader_with_success() {
    let program = Program::with_stream("s", 1).await;
    let mut reader = ready(program.command("get -s s")).await;
    assert_eq!(program.run("put -s s", "one\ntwo\n").await.status, Some(0));
    let mut out = reader.stdout.take().unwrap();
    let mut first = [0; 8];
    timeout(PATIENCE, out.read_exact(&mut first))
        .await
        .expect("a record")
        .unwrap();
    assert_eq!(&first, b"<Record ");
    interrupt(&reader);
    let status = timeout(PATIENCE, reader.wait())
        .await
        .expect("it ends")
        .unwrap();
    assert!(status.success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).await.unwrap();
    assert!(
        rest.ends_with("two\n"),
        "what was fetched is printed: {rest}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_where_get_finds_the_records() {
    let program = Program::with_stream("s", 3).await;
    let input = (0..1_000).map(|i| format!("{{\"id\":{i}}}\n"));
    let input = input.collect::<Vec<_>>().concat();
    let put = program
        .run("put -s s --format json --key id --receipts", &input)
        .await;
    assert_eq!(put.status, Some(0), "{}", put.err);
    let receipts = put.json();
    assert_eq!(receipts.len(), 1_000);

    let got = program
        .run("get -s s --from all --until tip -o json -q", "")
        .await;
    assert_eq!((got.status, got.err.as_str()), (Some(0), ""));
    let records = got.json();
    assert_eq!(records.len(), 1_000);
    for record in records {
        let id = usize::try_from(record["data"]["id"].as_u64().unwrap()).unwrap();
        assert_eq!(receipts[id]["line"], id + 1);
        for place in ["shard_id", "sequence_number", "sub_sequence_number"] {
            assert_eq!(receipts[id][place], record[place]);
        }
        assert_eq!(record["partition_key"], id.to_string());
        assert!(record["arrived_at"].as_str().unwrap().ends_with('Z'));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_comes_back() {
    let program = Program::with_stream("s", 1).await;
    let puts = [
        ("put -s s --key-value k", "text\n"),
        ("put -s s --format msgpack", "{\"value\":5}\n"),
        ("put -s s --format triton", "hi\n"),
    ];
    for (line, input) in puts {
        assert_eq!(program.run(line, input).await.status, Some(0), "{line}");
    }
    let got = program
        .run("get -s s --from -15m --until tip -o json -q", "")
        .await;
    let records = got.json();
    assert_eq!(records[0]["partition_key"], "k");
    assert_eq!(records[0]["data"], "text");
    assert_eq!(records[1]["data"], json!({"value": 5}));
    assert_eq!(records[2]["data"]["msg"], "hi\n");
    assert!(records[2]["data"]["ts"].is_f64());

    let after = records[0]["sequence_number"].as_str().unwrap();
    let rest = program
        .run(
            &format!("get -s s --after 0:{after} --until tip -o json -q"),
            "",
        )
        .await;
    assert_eq!(rest.json(), records[1..]);
    let raw = program.run("get -s s --from all -n 1 -o raw -q", "").await;
    assert_eq!(raw.out, "text");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_pushed_to_a_named_consumer() {
    let program = Program::with_stream("s", 2).await;
    let mut reader = ready(program.command("get -s s --fan-out mine -n 1")).await;
    let put = program.run("put -s s", "text").await;
    assert_eq!(put.status, Some(0), "{}", put.err);
    assert_eq!(lines_of(&mut reader, 2).await[1], "text");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_no_record_is_reported_by_number_and_the_others_are_stored() {
    let program = Program::with_stream("s", 1).await;
    let input = "{\"k\":\"a\"}\nnope\n\n{}\n{\"k\":\"b\"}";
    let put = program.run("put -s s --format json --key k", input).await;
    assert_eq!(put.status, Some(1));
    let errors: Vec<_> = put.err.lines().collect();
    assert_eq!(errors.len(), 2, "{}", put.err);
    assert!(
        errors[0].starts_with("error: line 2: not JSON: "),
        "{}",
        errors[0]
    );
    assert!(errors[1].starts_with("error: line 4: "), "{}", errors[1]);
    assert!(errors[1].contains("field `k`"), "{}", errors[1]);
    let got = program
        .run("get -s s --from all --until tip -o json -q", "")
        .await;
    assert_eq!(got.json().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_closes_the_pipe_ends_the_program_quietly() {
    let program = Program::with_stream("s", 1).await;
    let input = "x".repeat(100) + "\n";
    assert_eq!(
        program.run("put -s s", &input.repeat(3_000)).await.status,
        Some(0)
    );
    let mut reader = program.command("get -s s --from all -q").spawn().unwrap();
    assert_eq!(lines_of(&mut reader, 1).await.len(), 1);
    let done = timeout(PATIENCE, reader.wait_with_output())
        .await
        .expect("it ends")
        .unwrap();
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(String::from_utf8(done.stderr).unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_of_receipts_does_not_keep_records_from_being_put() {
    let program = Program::with_stream("s", 1).await;
    let lines = file("lines.txt", &"x\n".repeat(3_000));
    let line = format!("put -s s --receipts {}", lines.display());
    let mut put = program.command(&line).spawn().unwrap();
    assert_eq!(lines_of(&mut put, 1).await.len(), 1);
    let status = timeout(PATIENCE, put.wait()).await.expect("it ends");
    assert!(status.unwrap().success());
    std::fs::remove_file(lines).unwrap();
    let got = program
        .run("get -s s --from all --until tip -o raw -q", "")
        .await;
    assert_eq!(got.out.len(), 3_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_created_split_merged_and_deleted() {
    let program = Program::start().await;
    let created = program.run("create -s s -n 2 -o json", "").await;
    assert_eq!(created.json()[0]["open_shard_count"], 2, "{}", created.err);
    assert_eq!(program.run("streams", "").await.out, "s\n");

    let children = program.run("split -s s 0 -o json", "").await.json();
    assert_eq!(children.len(), 2);
    assert_eq!(children[0]["parents"], json!(["shardId-000000000000"]));
    let ids: Vec<_> = children
        .iter()
        .map(|child| child["shard_id"].as_str().unwrap())
        .collect();
    let merged = program
        .run(&format!("merge -s s {} {} -o json", ids[1], ids[0]), "")
        .await;
    assert_eq!(merged.json()[0]["parents"], json!(ids), "{}", merged.err);

    let shards = program.run("shards -s s", "").await.out;
    assert_eq!(shards.lines().count(), 1 + 5, "{shards}");
    assert_eq!(shards.matches(" open ").count(), 2, "{shards}");

    assert_eq!(program.run("delete -s s", "").await.out, "s is deleted\n");
    assert_eq!(program.run("streams -o json", "").await.out, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_name_reaches_its_stream_with_its_key_field() {
    let program = Program::with_stream("real", 1).await;
    let text = format!(
        "mine:\n  name: real\n  partition_key: user\n  endpoint_url: {}\n",
        program.server.endpoint_url()
    );
    let config = file("good.yaml", &text);
    let option = format!("--config {}", config.display());
    let put = program
        .run(
            &format!("{option} put -s mine --format json"),
            "{\"user\":7}\n",
        )
        .await;
    assert_eq!(put.status, Some(0), "{}", put.err);

    let mut by_variable = program.command("get -s mine --from all --until tip -o json -q");
    by_variable.env("TRITON_CONFIG", &config);
    let got = end_of(by_variable, "").await;
    assert_eq!(got.json()[0]["partition_key"], "7", "{}", got.err);
    std::fs::remove_file(config).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_input_is_one_clear_line_and_its_status() {
    let program = Program::with_stream("s", 2).await;
    let nameless = file("nameless.yaml", "my_stream:\n  partition_key: value\n");
    let nameless = nameless.display();
    let config = format!("--config {nameless} get -s my_stream");
    let table = [
        (
            "get -s s -d 99",
            1,
            "no shard number 99: it has 2 shards, numbers 0 to 1",
        ),
        ("get -s absent", 1, "absent"),
        (
            "put -s absent",
            1,
            "line 1: stream `absent` at http://127.0.0.1:",
        ),
        ("shards -s absent", 1, "ResourceNotFoundException"),
        ("split -s s 7", 1, "no shard number 7"),
        ("create -s s", 1, "ResourceInUseException"),
        (
            "put -s s /nowhere/lines",
            1,
            "/nowhere/lines cannot be read: ",
        ),
        ("--config /nowhere/x.yaml get -s s", 1, "/nowhere/x.yaml: "),
        (&config, 1, "stream `my_stream` has no `name`"),
        (
            "--endpoint-url http://127.0.0.1:1 streams",
            1,
            "http://127.0.0.1:1",
        ),
        (
            "--endpoint-url http://127.0.0.1:1 get -s s",
            1,
            "http://127.0.0.1:1",
        ),
        (
            "--endpoint-url http://127.0.0.1:1 put -s s",
            1,
            "http://127.0.0.1:1",
        ),
        (
            "--endpoint-url 127.0.0.1:1 streams",
            1,
            "`127.0.0.1:1` is not an endpoint",
        ),
        ("local --listen nowhere", 1, "nowhere"),
        ("put -s s --key x", 2, "--format"),
        ("get -s s --from yesterday", 2, "`yesterday`"),
        ("get -s s --until 30", 2, "`30`"),
        ("get -s s --after 1", 2, "SHARD:SEQUENCE"),
        ("get -s s -d first", 2, "`first`"),
        ("put -s s --key-value", 2, "--key-value"),
        ("get", 2, "--stream"),
        ("unknown", 2, "unknown"),
    ];
    let runs = table.map(|(line, _, _)| program.run(line, "one\n"));
    let done = futures_util::future::join_all(runs).await;
    for ((line, status, words), done) in table.iter().zip(done) {
        assert_eq!(done.status, Some(*status), "{line}: {}", done.err);
        assert_eq!(done.out, "", "{line}");
        assert!(done.err.contains(words), "{line}: {}", done.err);
        assert!(done.err.starts_with("error: "), "{line}: {}", done.err);
        let is_one_line = done.err.lines().count() == 1;
        assert!(*status == 2 || is_one_line, "{line}: {}", done.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_region_or_credentials_it_says_what_to_set() {
    let table = [
        ("streams", "error: no AWS region: set AWS_REGION"),
        (
            "streams --region eu-west-1",
            "error: no AWS credentials: set AWS_ACCESS_KEY_ID",
        ),
        (
            "put -s arn:aws:kinesis:eu-west-1:000000000000:stream/s",
            "error: no AWS credentials: set AWS_ACCESS_KEY_ID",
        ),
        (
            "get -s arn:aws:sqs:x",
            "error: `arn:aws:sqs:x` is not the ARN of a stream",
        ),
    ];
    for (line, words) in table {
        let done = end_of(bare_command(line), "one\n").await;
        assert_eq!(done.status, Some(1), "{line}");
        assert!(done.err.starts_with(words), "{line}: {}", done.err);
        assert_eq!(done.err.lines().count(), 1, "{line}: {}", done.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_does_not_swallow_the_whole_input() {
    let program = Program::start().await;
    let input = "line\n".repeat(50_000);
    let put = program
        .run("--endpoint-url http://127.0.0.1:1 put -s s", &input)
        .await;
    assert_eq!(put.status, Some(1));
    let errors: Vec<_> = put.err.lines().collect();
    assert!(errors.len() <= 3, "{}", put.err);
    assert!(errors[0].starts_with("error: line "), "{}", errors[0]);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn local_prints_what_to_set_and_serves_until_it_is_interrupted() {
    let mut local = bare_command("local --listen 127.0.0.1:0 --stream readings=2 -q")
        .spawn()
        .unwrap();
    let lines = lines_of(&mut local, 4).await;
    let mut streams = bare_command("streams");
    for line in &lines {
        let variable = line.strip_prefix("export ").unwrap();
        let (name, value) = variable.split_once('=').unwrap();
        streams.env(name, value);
    }
    let done = end_of(streams, "").await;
    assert_eq!(
        (done.status, done.out.as_str()),
        (Some(0), "readings\n"),
        "{}",
        done.err
    );
    interrupt(&local);
    let status = timeout(PATIENCE, local.wait())
        .await
        .expect("it ends")
        .unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn local_throttles_as_the_service_does_when_asked() {
    for (line, is_throttled) in [
        ("local --listen 127.0.0.1:0 --stream one=1 -q", false),
        (
            "local --listen 127.0.0.1:0 --stream one=1 -q --enforce-limits",
            true,
        ),
    ] {
        let mut local = bare_command(line).spawn().unwrap();
        let lines = lines_of(&mut local, 4).await;
        let url = lines[0].split_once('=').unwrap().1;
        let stream = KinesisStream::<EncodedRecord>::with_client(client(url), "one");
        // 4 MiB at once: a shard takes 1 MiB a second.
        let record = EncodedRecord::new(PartitionKey::random(), vec![b'x'; 512 * 1024].into());
        let call = PutRecords::new(stream.id().clone(), vec![record; 8]);
        let results = stream.service().put_records(call).await.unwrap().results;
        let throttled = results.iter().filter_map(|result| result.as_ref().err());
        assert_eq!(throttled.count() > 0, is_throttled, "{line}: {results:?}");
        local.kill().await.unwrap();
    }
}

fn client(url: &str) -> aws_sdk_kinesis::Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::latest())
        .region(aws_sdk_kinesis::config::Region::from_static("us-east-1"))
        .credentials_provider(aws_sdk_kinesis::config::Credentials::new(
            "t", "t", None, None, "t",
        ))
        .endpoint_url(url)
        .build();
    aws_sdk_kinesis::Client::from_conf(config)
}
