//! The commands that show and change what a stream is.

use serde_json::json;

use crate::{Program, lines_of, ready};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_described_scaled_kept_longer_and_changed_in_mode() {
    let program = Program::with_stream("s", 1).await;
    let described = program.run("describe -s s -o json", "").await;
    let stream = &described.json()[0];
    assert_eq!(stream["open_shard_count"], 1, "{}", described.err);
    assert_eq!(stream["mode"], "provisioned");
    let text = program.run("describe -s s", "").await.out;
    assert!(text.contains("retention       24 h\n"), "{text}");

    let scaled = program.run("scale -s s --to 5 -o json", "").await;
    assert_eq!(scaled.json().len(), 5, "{}", scaled.err);
    assert!(scaled.json().iter().all(|shard| shard["is_open"] == true));

    for (command, key, value) in [
        (
            "retention -s s --to 7d -o json",
            "retention_hours",
            json!(168),
        ),
        (
            "retention -s s --to 24h -o json",
            "retention_hours",
            json!(24),
        ),
        (
            "retention -s s --to 24h -o json",
            "retention_hours",
            json!(24),
        ),
        (
            "mode -s s --to on-demand -o json",
            "mode",
            json!("on-demand"),
        ),
        (
            "mode -s s --to provisioned -o json",
            "mode",
            json!("provisioned"),
        ),
    ] {
        let changed = program.run(command, "").await;
        assert_eq!(changed.status, Some(0), "{command}: {}", changed.err);
        assert_eq!(changed.json()[0][key], value, "{command}");
    }

    let refused = program.run("retention -s s --to 2h", "").await;
    assert_eq!(refused.status, Some(1));
    assert_eq!(refused.err.lines().count(), 1, "{}", refused.err);
    let words = "DecreaseStreamRetentionPeriod of stream `s` at http://";
    assert!(refused.err.contains(words), "{}", refused.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_set_listed_and_removed() {
    let program = Program::with_stream("s", 1).await;
    let set = program
        .run("tags -s s --set team=data --set empty=", "")
        .await;
    assert_eq!(set.out, "KEY    VALUE\nempty\nteam   data\n", "{}", set.err);
    let removed = program.run("tags -s s --remove empty -o json", "").await;
    assert_eq!(removed.json(), [json!({"key": "team", "value": "data"})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_get_registers_is_gone_at_its_end_unless_it_is_kept() {
    let program = Program::with_stream("s", 1).await;
    let listed = async || program.run("consumers -s s -o json", "").await.json();
    for (options, left) in [("", 0), ("--keep-consumer", 1), ("", 1)] {
        let line = format!("get -s s --fan-out mine -n 1 {options}");
        let mut reader = ready(program.command(&line)).await;
        assert_eq!(listed().await.len(), 1);
        assert_eq!(program.run("put -s s", "text").await.status, Some(0));
        assert_eq!(lines_of(&mut reader, 1).await, ["text"]);
        assert!(reader.wait().await.unwrap().success());
        // The third run found the consumer there: it is not its to remove.
        let mut consumers = listed().await;
        consumers.retain(|consumer| consumer["status"] != "DELETING");
        assert_eq!(consumers.len(), left, "{options}");
    }
    let removed = program.run("consumers -s s --remove mine", "").await;
    assert_eq!(
        (removed.status, removed.out.as_str()),
        (Some(0), ""),
        "{}",
        removed.err
    );
    let again = program.run("consumers -s s --remove other", "").await;
    assert_eq!(again.status, Some(1));
    assert!(again.err.contains("no consumer `other`"), "{}", again.err);
}
