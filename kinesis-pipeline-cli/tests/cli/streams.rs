//! The commands that manage streams, and streams by their configured names.

use serde_json::json;

use crate::{Program, end_of, file};

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
