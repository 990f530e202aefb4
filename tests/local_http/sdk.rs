//! Tests of the official SDK against the HTTP server: usual calls, and their typed errors.

use std::{collections::BTreeSet, time::Duration};

use aws_sdk_kinesis::{
    Client,
    error::ProvideErrorMetadata,
    operation::get_records::GetRecordsOutput,
    primitives::Blob,
    types::{PutRecordsRequestEntry, ScalingType, Shard, ShardIteratorType},
};
use kinesis_pipeline::local::{LocalKinesis, LocalServer};

pub(crate) const STREAM: &str = "readings";
/// The limit of calls in a page loop of these tests.
const CALLS_MAX: usize = 100;

pub(crate) async fn served(shards: i32) -> (LocalServer, Client) {
    // Streams change state at once, so that these tests need not wait.
    let local = LocalKinesis::builder().transition(Duration::ZERO);
    let local = local.start().await.unwrap();
    let server = local.serve("127.0.0.1:0").await.unwrap();
    let client = server.kinesis_client();
    client
        .create_stream()
        .stream_name(STREAM)
        .shard_count(shards)
        .send()
        .await
        .unwrap();
    (server, client)
}

pub(crate) async fn shards(client: &Client) -> Vec<Shard> {
    client
        .list_shards()
        .stream_name(STREAM)
        .send()
        .await
        .unwrap()
        .shards
        .unwrap()
}

pub(crate) async fn put(client: &Client, key: &str, data: &str) -> (String, String) {
    let call = client.put_record().stream_name(STREAM).partition_key(key);
    let stored = call.data(Blob::new(data)).send().await.unwrap();
    (stored.shard_id, stored.sequence_number)
}

pub(crate) async fn iterator(
    client: &Client,
    shard: &str,
    kind: ShardIteratorType,
    after: Option<&str>,
) -> String {
    let call = client
        .get_shard_iterator()
        .stream_name(STREAM)
        .shard_id(shard);
    let call = call
        .shard_iterator_type(kind)
        .set_starting_sequence_number(after.map(Into::into));
    call.send().await.unwrap().shard_iterator.unwrap()
}

pub(crate) async fn page(client: &Client, iterator: String) -> GetRecordsOutput {
    client
        .get_records()
        .shard_iterator(iterator)
        .send()
        .await
        .unwrap()
}

pub(crate) fn texts(page: &GetRecordsOutput) -> Vec<String> {
    let data = page.records.iter().map(|record| record.data.as_ref());
    data.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
        .collect()
}

#[tokio::test]
async fn a_stream_is_created_listed_described_and_deleted() {
    let (_server, client) = served(3).await;
    let listed = client.list_streams().send().await.unwrap();
    assert_eq!(listed.stream_names, [STREAM]);
    let described = client
        .describe_stream()
        .stream_name(STREAM)
        .send()
        .await
        .unwrap();
    let described = described.stream_description.unwrap();
    assert_eq!(
        (described.shards.len(), described.retention_period_hours),
        (3, 24)
    );
    assert!(described.stream_arn.ends_with(":stream/readings"));
    let summary = client
        .describe_stream_summary()
        .stream_arn(described.stream_arn)
        .send()
        .await
        .unwrap();
    assert_eq!(
        summary.stream_description_summary.unwrap().open_shard_count,
        3
    );
    client
        .delete_stream()
        .stream_name(STREAM)
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn every_kind_of_iterator_begins_where_it_says() {
    use ShardIteratorType::{AfterSequenceNumber, AtSequenceNumber, Latest, TrimHorizon};
    let (_server, client) = served(1).await;
    let mut stored = Vec::new();
    for text in ["one", "two", "three"] {
        stored.push(put(&client, "key", text).await);
    }
    let (shard, second) = stored[1].clone();
    let latest = iterator(&client, &shard, Latest, None).await;
    put(&client, "key", "four").await;
    for (kind, after, expected) in [
        (TrimHorizon, None, &["one", "two", "three", "four"][..]),
        (AtSequenceNumber, Some(&*second), &["two", "three", "four"]),
        (AfterSequenceNumber, Some(&*second), &["three", "four"]),
    ] {
        let place = iterator(&client, &shard, kind, after).await;
        assert_eq!(texts(&page(&client, place).await), expected);
    }
    assert_eq!(texts(&page(&client, latest).await), ["four"]);
}

#[tokio::test]
async fn a_time_stamp_of_a_record_begins_at_that_record() {
    let (_server, client) = served(1).await;
    let (shard, _) = put(&client, "key", "one").await;
    let horizon = iterator(&client, &shard, ShardIteratorType::TrimHorizon, None).await;
    let arrived = page(&client, horizon).await.records[0]
        .approximate_arrival_timestamp
        .unwrap();
    let call = client
        .get_shard_iterator()
        .stream_name(STREAM)
        .shard_id(&shard);
    let call = call
        .shard_iterator_type(ShardIteratorType::AtTimestamp)
        .timestamp(arrived);
    let place = call.send().await.unwrap().shard_iterator.unwrap();
    assert_eq!(texts(&page(&client, place).await), ["one"]);
}

#[tokio::test]
async fn five_hundred_records_are_put_at_once_and_read_back_byte_by_byte() {
    let (_server, client) = served(4).await;
    let entry = |number: u32| {
        let data: Vec<u8> = (0..=255).cycle().take(number as usize).collect();
        PutRecordsRequestEntry::builder()
            .partition_key(number.to_string())
            .data(Blob::new(data))
            .build()
            .unwrap()
    };
    let call = client
        .put_records()
        .stream_name(STREAM)
        .set_records(Some((0..500).map(entry).collect()));
    let answer = call.send().await.unwrap();
    assert_eq!(
        (answer.failed_record_count, answer.records.len()),
        (Some(0), 500)
    );
    let mut lengths = BTreeSet::new();
    for shard in shards(&client).await {
        let place = iterator(
            &client,
            &shard.shard_id,
            ShardIteratorType::TrimHorizon,
            None,
        )
        .await;
        for record in page(&client, place).await.records {
            let data = record.data.into_inner();
            assert_eq!(record.partition_key, Some(data.len().to_string()));
            assert!(
                data.iter()
                    .zip((0..=255).cycle())
                    .all(|(byte, expected)| *byte == expected)
            );
            assert!(lengths.insert(data.len()), "a record came twice");
        }
    }
    assert_eq!(lengths.len(), 500);
}

#[tokio::test]
async fn a_split_and_a_merge_leave_parents_that_end_and_name_their_children() {
    let (_server, client) = served(1).await;
    put(&client, "key", "before").await;
    let parent = shards(&client).await.remove(0);
    let half = (u128::MAX / 2 + 1).to_string();
    let split = client
        .split_shard()
        .stream_name(STREAM)
        .shard_to_split(&parent.shard_id);
    split.new_starting_hash_key(half).send().await.unwrap();
    let after_split = shards(&client).await;
    let children: Vec<_> = after_split
        .iter()
        .filter(|shard| shard.parent_shard_id.is_some())
        .collect();
    assert_eq!(children.len(), 2);
    let place = iterator(
        &client,
        &parent.shard_id,
        ShardIteratorType::TrimHorizon,
        None,
    )
    .await;
    let last_page = to_the_end(&client, place).await;
    let named: BTreeSet<_> = last_page
        .child_shards
        .unwrap()
        .into_iter()
        .map(|child| child.shard_id)
        .collect();
    assert_eq!(
        named,
        children
            .iter()
            .map(|child| child.shard_id.clone())
            .collect()
    );

    let merge = client
        .merge_shards()
        .stream_name(STREAM)
        .shard_to_merge(&children[0].shard_id);
    merge
        .adjacent_shard_to_merge(&children[1].shard_id)
        .send()
        .await
        .unwrap();
    let merged = shards(&client)
        .await
        .into_iter()
        .find(|shard| shard.adjacent_parent_shard_id.is_some());
    assert_eq!(merged.unwrap().hash_key_range, parent.hash_key_range);
}

/// Reads a closed shard to its end. Returns the last page.
async fn to_the_end(client: &Client, mut place: String) -> GetRecordsOutput {
    for _ in 0..CALLS_MAX {
        let page = page(client, place).await;
        match page.next_shard_iterator.clone() {
            Some(next) => place = next,
            None => return page,
        }
    }
    panic!("the shard does not end");
}

#[tokio::test]
async fn errors_are_the_typed_errors_of_the_sdk() {
    let (_server, client) = served(1).await;
    let unknown = client
        .put_record()
        .stream_name("nothing")
        .partition_key("k")
        .data(Blob::new("x"));
    let error = unknown.send().await.unwrap_err().into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
    assert!(
        error
            .message()
            .is_some_and(|message| message.contains("nothing")),
        "{error:?}"
    );
    assert!(error.meta().extra("aws_request_id").is_some(), "{error:?}");

    let twice = client
        .create_stream()
        .stream_name(STREAM)
        .shard_count(1)
        .send()
        .await;
    assert!(
        twice
            .unwrap_err()
            .into_service_error()
            .is_resource_in_use_exception()
    );

    let forged = client.get_records().shard_iterator("AAAA").send().await;
    assert!(
        forged
            .unwrap_err()
            .into_service_error()
            .is_invalid_argument_exception()
    );

    let no_key = client
        .put_record()
        .stream_name(STREAM)
        .partition_key("")
        .data(Blob::new("x"));
    let error = no_key.send().await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("ValidationException"));
}

#[tokio::test]
async fn an_on_demand_stream_has_four_shards() {
    let (_server, client) = served(1).await;
    let mode = aws_sdk_kinesis::types::StreamModeDetails::builder()
        .stream_mode(aws_sdk_kinesis::types::StreamMode::OnDemand)
        .build()
        .unwrap();
    client
        .create_stream()
        .stream_name("wide")
        .stream_mode_details(mode)
        .send()
        .await
        .unwrap();
    let shards = client
        .list_shards()
        .stream_name("wide")
        .send()
        .await
        .unwrap()
        .shards
        .unwrap();
    assert_eq!(shards.len(), 4);
}
#[tokio::test]
async fn the_shard_count_is_scaled() {
    let (_server, client) = served(2).await;
    let call = client
        .update_shard_count()
        .stream_name(STREAM)
        .target_shard_count(4);
    let answer = call
        .scaling_type(ScalingType::UniformScaling)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.target_shard_count, Some(4));
    let open = shards(&client).await.into_iter().filter(|shard| {
        shard
            .sequence_number_range
            .as_ref()
            .is_some_and(|range| range.ending_sequence_number.is_none())
    });
    assert_eq!(open.count(), 4);
}
