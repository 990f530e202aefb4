//! `redrive`: dead letters back into their stream.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::json;

use crate::{Program, file};

/// An envelope as a worker writes it.
pub(crate) fn letter(stream: &str, key: &str, number: usize, redrives: u32) -> String {
    json!({
        "stream": stream, "shard_id": "shardId-000000000000", "sequence_number": "7", "sub_sequence_number": 0, "partition_key": key,
        "arrived_at_millis": 5, "error": "bad", "attempts": 3, "redrives": redrives,
        "data_base64": base64_of(&format!("{number}")),
    })
    .to_string()
        + "\n"
}

pub(crate) fn base64_of(text: &str) -> String {
    STANDARD.encode(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_a_file_go_back_under_their_keys_and_not_for_ever() {
    let program = Program::with_stream("s", 2).await;
    let letters = [
        letter("s", "a", 1, 0),
        letter("other", "a", 2, 0),
        letter("s", "b", 3, 2),
        letter("s", "b", 4, 3),
        letter("s", "a", 5, 0),
    ];
    let path = file("letters.jsonl", &letters.concat());
    let spent = path.with_extension("spent");
    let _ = std::fs::remove_file(&spent);
    let line = format!(
        "redrive -s s --spent {} {}",
        spent.display(),
        path.display()
    );
    let done = program.run(&line, "").await;
    assert_eq!(done.status, Some(0), "{}", done.err);
    let last = "3 put back, 1 put back too often before, 1 of other streams\n";
    assert!(done.err.ends_with(last), "{}", done.err);
    let got = program
        .run("get -s s --from all --until tip -o json -q", "")
        .await
        .json();
    let of = |key: &str| -> Vec<_> {
        let got = got.iter().filter(|record| record["partition_key"] == key);
        got.map(|record| record["data"].clone()).collect()
    };
    assert_eq!(of("a"), [json!(1), json!(5)]);
    assert_eq!(of("b"), [json!(3)]);
    assert_eq!(std::fs::read_to_string(&spent).unwrap().lines().count(), 1);

    let same = program
        .run(&format!("redrive -s s --spent {0} {0}", path.display()), "")
        .await;
    assert_eq!(same.status, Some(2), "{}", same.err);
    let rest = program
        .run("redrive -s s --skip 4 --any-stream", &letters.concat())
        .await;
    assert!(
        rest.err
            .ends_with("1 put back, 0 put back too often before, 0 of other streams\n"),
        "{}",
        rest.err
    );
    std::fs::remove_file(path).unwrap();
    std::fs::remove_file(spent).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_a_stream_go_back_and_wrong_ones_are_named_by_their_number() {
    let program = Program::with_stream("s", 1).await;
    program.local.stream::<Bytes>("letters", 1).await.unwrap();
    let put = program.run("put -s letters", &letter("s", "a", 1, 0)).await;
    assert_eq!(put.status, Some(0), "{}", put.err);
    let done = program
        .run("redrive -s s --from-stream letters -q", "")
        .await;
    assert_eq!((done.status, done.err.as_str()), (Some(0), ""));
    let got = program.run("get -s s --from all --until tip -q", "").await;
    assert_eq!(got.out, "1\n");

    let input = format!("{}\nnonsense\n", letter("s", "a", 2, 0));
    let table = [
        (
            "redrive -s s",
            1,
            "dead letter 2 is not in the form of an envelope",
        ),
        ("redrive -s s /nowhere/letters", 1, "/nowhere/letters"),
        (
            "redrive -s s --from-stream s",
            1,
            "cannot be put back into the same stream",
        ),
        (
            "redrive -s s --from-stream letters /nowhere/x",
            2,
            "--from-stream",
        ),
        ("redrive -s s --redrives-max x", 2, "--redrives-max"),
    ];
    for (line, status, words) in table {
        let done = program.run(line, &input).await;
        assert_eq!(done.status, Some(status), "{line}: {}", done.err);
        assert!(
            done.err.starts_with("error: ") && done.err.contains(words),
            "{line}: {}",
            done.err
        );
    }
}
