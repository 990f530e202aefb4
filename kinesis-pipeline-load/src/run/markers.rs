//! Markers, the records before and after a snapshot, by which readers tell loaded records from live ones.

use std::time::SystemTime;

use bytes::Bytes;
use kinesis_pipeline::{
    EncodedRecord, KeyError, KinesisStream, PartitionKey, PutError, record::row::UtcTime,
};
use serde::Serialize;

use super::{batch::Mark, shards::OpenShards};
use crate::LoadError;

/// The partition key of markers. Their hash key places them: one goes to each shard.
const KEY: &str = "snapshot";

/// The kind of a marker: the begin or the end of a snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edge<'a> {
    Begin,
    /// The end, with the counts of the whole load.
    End(&'a Mark),
}

#[derive(Serialize)]
struct Marker<'a> {
    #[serde(rename = "_meta")]
    meta: Meta,
    snapshot: Snapshot<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    event_type: &'static str,
    timestamp: UtcTime,
    produced_by: &'static str,
}

#[derive(Serialize)]
struct Snapshot<'a> {
    id: &'a str,
    tables: &'a [String],
    /// The number of shards that get this marker.
    shards: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
}

#[derive(Serialize)]
struct Counts {
    rows: u64,
    records: u64,
    dropped: u64,
    rejected: u64,
}

/// Puts a marker to each open shard, and waits until all are stored.
pub(crate) async fn put(
    stream: &KinesisStream<EncodedRecord>,
    id: &str,
    tables: &[String],
    edge: Edge<'_>,
) -> Result<(), LoadError> {
    let shards = OpenShards::list(&**stream.service(), stream.id()).await?;
    let now = stream.clock().now();
    let data = data(id, tables, shards.all().len(), edge, now);
    let key = PartitionKey::new(KEY).map_err(|source| no_key(stream, source))?;
    let markers = shards.all().iter().map(|shard| {
        let mut marker = EncodedRecord::new(key.clone(), data.clone());
        marker.explicit_hash_key = Some(shard.hash_key_range.start);
        marker
    });
    let producer = stream.producer().build()?;
    let mut pending = Vec::new();
    for marker in markers {
        pending.push(producer.put(&marker).await.map_err(LoadError::Marker)?);
    }
    for receipt in pending {
        receipt.await.map_err(LoadError::Marker)?;
    }
    Ok(())
}

fn no_key(stream: &KinesisStream<EncodedRecord>, source: KeyError) -> LoadError {
    let stream = stream.id().clone();
    LoadError::Marker(PutError::of_key(stream, source))
}

fn data(id: &str, tables: &[String], shards: usize, edge: Edge<'_>, now: SystemTime) -> Bytes {
    let (event_type, counts) = match edge {
        Edge::Begin => ("snapshot.begin", None),
        Edge::End(mark) => {
            let counts = Counts {
                rows: mark.rows,
                records: mark.tables.iter().map(|table| table.records_out).sum(),
                dropped: mark.dropped,
                rejected: mark.rejected,
            };
            ("snapshot.end", Some(counts))
        }
    };
    let marker = Marker {
        meta: Meta {
            event_type,
            timestamp: UtcTime(now),
            produced_by: "kinesis-pipeline-load",
        },
        snapshot: Snapshot {
            id,
            tables,
            shards,
            counts,
        },
    };
    // This never fails: the marker has only texts, numbers and the present time.
    Bytes::from(serde_json::to_vec(&marker).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_carries_the_counts_of_the_whole_load() {
        let mark = Mark {
            rows: 3,
            rejected: 1,
            ..Mark::default()
        };
        let tables = ["t".to_owned()];
        let now = SystemTime::UNIX_EPOCH;
        let text = |edge| String::from_utf8(data("s1", &tables, 2, edge, now).to_vec()).unwrap();
        assert_eq!(
            text(Edge::Begin),
            r#"{"_meta":{"eventType":"snapshot.begin","timestamp":"1970-01-01T00:00:00Z","producedBy":"kinesis-pipeline-load"},"snapshot":{"id":"s1","tables":["t"],"shards":2}}"#
        );
        let end = text(Edge::End(&mark));
        assert!(
            end.contains(r#""counts":{"rows":3,"records":0,"dropped":0,"rejected":1}"#),
            "{end}"
        );
    }
}
