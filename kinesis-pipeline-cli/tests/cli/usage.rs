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
