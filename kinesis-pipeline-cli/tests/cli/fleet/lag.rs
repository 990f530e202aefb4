//! `lag`: shard by shard, and the alert.

use bytes::Bytes;
use serde_json::json;

use super::{Fleet, id, row};

#[tokio::test(flavor = "multi_thread")]
async fn lag_is_told_for_each_shard_and_raises_an_alert_with_a_status_of_its_own() {
    let fleet = Fleet::with_stream(3).await;
    let stream = fleet.program.local.stream::<Bytes>("s", 3).await.unwrap();
    let receipts = stream
        .put_all((0..60).map(|n| Bytes::from(format!("{n}"))))
        .await;
    let receipts: Vec<_> = receipts.into_iter().map(Result::unwrap).collect();
    let of_first = receipts.iter().filter(|r| r.shard_id.as_str() == id(0));
    let last = of_first.map(|r| &r.sequence_number).max().unwrap();
    let rows = [
        row(0, last.as_str(), Some("w1")),
        row(1, "TRIM_HORIZON", None),
    ];
    fleet.table("app", "leaseKey", rows).await;
    let before = fleet.all().await;
    let lag = fleet.run("lag -s s --app app -o json").await;
    assert_eq!(lag.status, Some(0), "{}", lag.err);
    let json = lag.json();
    assert_eq!(json.len(), 3);
    assert_eq!(
        (&json[0]["behind_ms"], &json[0]["has_records"]),
        (&json!(0), &json!(false))
    );
    assert_eq!(json[0]["owner"], "w1");
    assert!(
        json[1]["behind_ms"].is_u64() && json[1]["has_records"] == true,
        "{}",
        lag.out
    );
    assert_eq!(
        (&json[2]["behind_ms"], &json[2]["unknown"]),
        (&json!(null), &json!("there is no lease"))
    );
    assert!(
        lag.err.starts_with("3 shards: at most ") && lag.err.ends_with("1 unknown\n"),
        "{}",
        lag.err
    );

    let alert = fleet.run("lag -s s --app app --max 1h").await;
    assert_eq!(alert.status, Some(3));
    assert!(
        alert.out.contains("unknown: there is no lease"),
        "{}",
        alert.out
    );
    let words = format!(
        "error: shard {} has no known lag: there is no lease\n",
        id(2)
    );
    assert!(alert.err.ends_with(&words), "{}", alert.err);
    let finished = row(2, "SHARD_END", None);
    let put = fleet.client.put_item().table_name("app");
    put.set_item(Some(finished)).send().await.unwrap();
    assert_eq!(
        fleet.run("lag -s s --app app --max 1h").await.status,
        Some(0)
    );
    let alert = fleet.run("lag -s s --app app --max 0s -q").await;
    assert_eq!(alert.status, Some(3), "{}", alert.err);
    assert!(
        alert
            .err
            .starts_with(&format!("error: shard {} is ", id(1))),
        "{}",
        alert.err
    );
    assert_eq!(
        fleet.all().await.len(),
        before.len() + 1,
        "nothing but our own row"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_the_shard_does_not_know_is_unknown_and_not_the_end_of_the_rest() {
    let fleet = Fleet::with_stream(2).await;
    let rows = [
        row(0, "1", Some("w")),
        row(1, "TRIM_HORIZON", None),
        row(9, "1", None),
    ];
    fleet.table("app", "leaseKey", rows).await;
    let lag = fleet.run("lag -s s --app app -o json").await;
    assert_eq!(lag.status, Some(0), "{}", lag.err);
    let unknown: Vec<_> = lag
        .json()
        .iter()
        .map(|row| row["unknown"].clone())
        .collect();
    let expected = [
        json!("the shard does not know its checkpoint"),
        json!(null),
        json!("the stream has no such shard"),
    ];
    assert_eq!(unknown, expected);
}
