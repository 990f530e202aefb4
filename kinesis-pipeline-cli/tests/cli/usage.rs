//! What is wrong is told in one line, with its status.

use crate::{Program, bare_command, end_of, file};

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
        let hints = done.err.lines().filter(|line| line.starts_with("hint: "));
        let is_one_line = done.err.lines().count() - hints.count() == 1;
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
async fn an_absent_stream_is_hinted_at_with_the_names_near_it() {
    let program = Program::with_stream("readings", 1).await;
    let letter = r#"{"stream":"readngs","shard_id":"shardId-000000000000","sequence_number":"7",
        "sub_sequence_number":0,"partition_key":"k","arrived_at_millis":5,"error":"bad","attempts":3,"data_base64":"AAE="}"#
        .replace('\n', "");
    let names = file("absent.csv", "a\n1\n");
    let load = format!("load -s readngs {}", names.display());
    let folder = names.with_extension("absent.d");
    let deliver = format!("deliver -s readngs --once --to {}", folder.display());
    let commands = [
        "get -s readngs",
        "put -s readngs",
        "put -s readngs --aggregate",
        "shards -s readngs",
        "describe -s readngs",
        "delete -s readngs --yes",
        "split -s readngs 0",
        "merge -s readngs 0 1",
        "scale -s readngs --to 2",
        "retention -s readngs --to 48h",
        "mode -s readngs --to on-demand",
        "tags -s readngs",
        "consumers -s readngs",
        "redrive -s readngs",
        &load,
        &deliver,
    ];
    let hint = "hint: did you mean `readings`? `kinesis-pipeline streams` lists all 1";
    for command in commands {
        let done = program.run(command, &letter).await;
        assert_eq!(done.status, Some(1), "{command}: {}", done.err);
        assert_eq!(
            done.err.lines().last(),
            Some(hint),
            "{command}: {}",
            done.err
        );
        let quiet = program.run(&format!("{command} -q"), &letter).await;
        assert!(!quiet.err.contains("hint: "), "{command}: {}", quiet.err);
    }
    let other = program.run("shards -s elsewhere", "").await;
    let hint = "hint: `kinesis-pipeline streams` lists all 1\n";
    assert!(other.err.ends_with(hint), "{}", other.err);
    // It is the consumer that is absent.
    let consumer = program.run("consumers -s readings --remove x", "").await;
    assert_eq!(consumer.err.lines().count(), 1, "{}", consumer.err);
    let empty = Program::start().await.run("get -s readings", "").await;
    assert!(
        empty
            .err
            .contains("hint: there are no streams here: --region"),
        "{}",
        empty.err
    );
    std::fs::remove_file(names).unwrap();
    let _ = std::fs::remove_dir_all(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_does_not_answer_is_hinted_at_with_the_options_that_name_it() {
    let program = Program::with_stream("s", 1).await;
    for command in [
        "get -s s",
        "put -s s",
        "streams",
        "describe -s s",
        "tags -s s",
        "consumers -s s",
    ] {
        let line = format!("--endpoint-url http://127.0.0.1:1 {command}");
        let done = program.run(&line, "one\n").await;
        assert_eq!(done.status, Some(1), "{command}: {}", done.err);
        let hint = done.err.lines().last().unwrap();
        assert!(
            hint.starts_with("hint: is --endpoint-url right"),
            "{command}: {}",
            done.err
        );
        assert!(
            hint.contains("`kinesis-pipeline local`"),
            "{command}: {}",
            done.err
        );
    }
    for command in ["leases --app app", "lag -s s --app app"] {
        let mut command = program.command(command);
        command.env("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1");
        let done = end_of(command, "").await;
        assert_eq!(done.status, Some(1), "{}", done.err);
        assert!(
            done.err
                .starts_with("error: DescribeTable failed: DynamoDB cannot be reached"),
            "{}",
            done.err
        );
        let hint = done.err.lines().last().unwrap();
        assert!(
            hint.starts_with("hint: is AWS_ENDPOINT_URL_DYNAMODB right?"),
            "{}",
            done.err
        );
    }
}
