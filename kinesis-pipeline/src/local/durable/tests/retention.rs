//! Expired and deleted records leave the disk.

use serde_json::json;

use super::{
    super::{
        directory::Directory,
        store::{Key, Store},
    },
    *,
};
use crate::local::operations::{delete_stream::DeleteStream, put_record::PutRecord};

fn keys(path: &Path) -> Vec<Key> {
    let directory = Directory::take(path.to_owned()).unwrap();
    let store = Store::open(&directory).unwrap();
    store.entries().map(|entry| entry.unwrap().0).collect()
}

fn chunks(path: &Path) -> Vec<u64> {
    let chunk = |key| match key {
        Key::Records(_, _, counter) => Some(counter),
        _ => None,
    };
    keys(path).into_iter().filter_map(chunk).collect()
}

async fn put(kinesis: &LocalKinesis) {
    let request = json!({ "StreamName": STREAM, "PartitionKey": "k", "Data": "aGk=" });
    call::<PutRecord>(kinesis, request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn expired_records_leave_the_disk_while_the_stream_is_in_use() {
    let (scratch, clock) = (Scratch::new(), clock());
    let kinesis = start(&scratch.0, &clock).await.unwrap();
    kinesis.stream::<Bytes>(STREAM, 1).await.unwrap();
    for _ in 0..5 {
        put(&kinesis).await;
    }
    tokio::time::advance(Duration::from_hours(23)).await;
    put(&kinesis).await;
    tokio::time::advance(Duration::from_hours(2)).await;
    put(&kinesis).await;
    drop(kinesis);
    assert_eq!(chunks(&scratch.0), [6, 7]);
    let kinesis = start(&scratch.0, &clock).await.unwrap();
    tokio::time::advance(Duration::from_hours(25)).await;
    assert!(everything(&kinesis).streams[0].1[&0].3.is_empty());
    drop(kinesis);
    assert!(chunks(&scratch.0).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_stream_leaves_the_disk_although_it_was_due_while_nothing_ran() {
    let (scratch, clock) = (Scratch::new(), clock());
    let kinesis = start(&scratch.0, &clock).await.unwrap();
    kinesis.stream::<Bytes>(STREAM, 1).await.unwrap();
    put(&kinesis).await;
    let deleted = call::<DeleteStream>(&kinesis, json!({ "StreamName": STREAM })).await;
    deleted.unwrap();
    drop(kinesis);
    assert_eq!(keys(&scratch.0).len(), 3);
    tokio::time::advance(Duration::from_secs(1)).await;
    drop(start(&scratch.0, &clock).await.unwrap());
    assert_eq!(keys(&scratch.0), [Key::Account]);
}
