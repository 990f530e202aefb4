//! A comparison of resharding with kinesis-mock (npm `kinesis-local`), which must be running already.

use aws_sdk_kinesis::types::ScalingType;
use kinesis_pipeline_tests::{Server, wait_until_active};

use crate::{
    call::{Call, Filter, Mix, calls},
    compare, compare_cases,
    world::{Compared, World, code, range},
};

const SEEDS: std::ops::Range<u64> = 100..112;
const MIX: Mix = Mix {
    calls: 40,
    reshard_percent: 25,
    has_filters: true,
};
const COMPARED: Compared = Compared {
    behind: true,
    children: true,
};

/// The answers of kinesis-mock that differ from the service's.
const KNOWN_FAULTS: &[(&str, &str)] = &[
    ("no shards", "InvalidArgumentException"),
    // It answers with status 500 and no body.
    ("a split at a key that is no number", "no answer"),
    ("a list page of no shards", "no answer"),
    // It takes 1 for half of 3.
    ("less than half", "taken"),
];

#[tokio::test(flavor = "multi_thread")]
async fn any_sequence_with_splits_and_merges_is_answered_as_kinesis_mock_answers_it() {
    let Some(mock) = Server::kinesis_mock("sequences") else {
        return;
    };
    for seed in SEEDS {
        let (server, name) = (Server::embedded().await, mock.name_of("sequence"));
        // Known fault: the even ranges of 2 or 4 shards end a key too early.
        let shards = if seed % 2 == 0 { 1 } else { 3 };
        let mut ours = World::start(server.client(), &name, shards, COMPARED).await;
        let mut theirs = World::start(mock.client(), &name, shards, COMPARED).await;
        compare(&mut ours, &mut theirs, seed, calls(seed, MIX)).await;
        let lists = [Filter::None, Filter::AtLatest, Filter::FromTrimHorizon];
        let lists = lists.map(|filter| Call::ListShards { filter });
        compare(&mut ours, &mut theirs, seed, lists.into_iter()).await;
        theirs
            .client
            .delete_stream()
            .stream_name(&name)
            .send()
            .await
            .expect("it is deleted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_reshards_are_refused_as_kinesis_mock_refuses_them() {
    let Some(mock) = Server::kinesis_mock("invalid reshards") else {
        return;
    };
    let (server, name) = (Server::embedded().await, mock.name_of("invalid"));
    let ours = World::start(server.client(), &name, 3, COMPARED).await;
    let theirs = World::start(mock.client(), &name, 3, COMPARED).await;
    let mut answers = Vec::new();
    for world in [ours, theirs] {
        let mut cases = splits(&world).await;
        cases.extend(merges(&world).await);
        cases.extend(counts_and_lists(&world).await);
        answers.push(cases);
    }
    let [ours, theirs] = answers.try_into().expect("two servers");
    compare_cases(ours, theirs, KNOWN_FAULTS);
}

const SHARDS: [&str; 3] = [
    "shardId-000000000000",
    "shardId-000000000001",
    "shardId-000000000002",
];
const NO_SHARD: &str = "shardId-000000000009";

async fn splits(world: &World) -> Vec<(&'static str, String)> {
    let call = || world.client.split_shard().stream_name(&world.stream);
    let split = async |shard: &str, key: &str| {
        code(
            call()
                .shard_to_split(shard)
                .new_starting_hash_key(key)
                .send()
                .await,
        )
    };
    let absent = call().stream_name("absent").shard_to_split(SHARDS[0]);
    let absent = absent.new_starting_hash_key("5");
    let outside = u128::MAX.to_string();
    vec![
        (
            "a split outside the range",
            split(SHARDS[0], &outside).await,
        ),
        (
            "a split at a key that is no number",
            split(SHARDS[0], "x").await,
        ),
        ("a split of an unknown shard", split(NO_SHARD, "5").await),
        ("a split of an unknown stream", code(absent.send().await)),
    ]
}

async fn merges(world: &World) -> Vec<(&'static str, String)> {
    let merge = async |one: &str, other: &str| {
        let call = world.client.merge_shards().stream_name(&world.stream);
        code(
            call.shard_to_merge(one)
                .adjacent_shard_to_merge(other)
                .send()
                .await,
        )
    };
    let [first, second, third] = SHARDS;
    vec![
        (
            "a merge of shards that do not touch",
            merge(first, third).await,
        ),
        (
            "a merge with the upper shard first",
            merge(second, first).await,
        ),
        (
            "a merge of a shard with itself",
            merge(second, second).await,
        ),
        (
            "a merge with an unknown shard",
            merge(first, NO_SHARD).await,
        ),
    ]
}

async fn counts_and_lists(world: &World) -> Vec<(&'static str, String)> {
    let scale = async |count: i32| {
        let call = world.client.update_shard_count().stream_name(&world.stream);
        let call = call.scaling_type(ScalingType::UniformScaling);
        code(call.target_shard_count(count).send().await)
    };
    let list = world.client.list_shards();
    let no_shards = list.clone().stream_name(&world.stream).max_results(0);
    vec![
        ("no shards", scale(0).await),
        ("more than double", scale(7).await),
        ("a list page of no shards", code(no_shards.send().await)),
        (
            "a list with a made-up token",
            code(list.next_token("x").send().await),
        ),
        // This case is the last one, as kinesis-mock accepts it and changes the stream.
        ("less than half", scale(1).await),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_even_spread_has_the_ranges_and_the_parents_of_kinesis_mock() {
    let Some(mock) = Server::kinesis_mock("UpdateShardCount") else {
        return;
    };
    for (from, to) in [(2, 4), (4, 2), (1, 2), (3, 6), (6, 3)] {
        let (server, name) = (Server::embedded().await, mock.name_of("spread"));
        let ours = World::start(server.client(), &name, from, COMPARED).await;
        let theirs = World::start(mock.client(), &name, from, COMPARED).await;
        let (our_lines, their_lines) = (spread(&ours, to).await, spread(&theirs, to).await);
        assert_eq!(our_lines, their_lines, "{from} to {to}");
    }
}

/// Returns the open shards after an update: their ranges, and the ranges of their parents.
///
/// Ids are not compared: a server may make the shards of an update in any order.
async fn spread(world: &World, shards: i32) -> Vec<String> {
    let call = world.client.update_shard_count().stream_name(&world.stream);
    let call = call
        .target_shard_count(shards)
        .scaling_type(ScalingType::UniformScaling);
    call.send().await.expect("the update begins");
    wait_until_active(&world.client, &world.stream).await;
    let all = world.list(Filter::None).await;
    let range_of = |id: &str| {
        let shard = all.iter().find(|shard| shard.shard_id == id);
        nearly(range(
            shard.expect("parents are listed").hash_key_range.as_ref(),
        ))
    };
    let mut lines = Vec::new();
    for shard in world.list(Filter::AtLatest).await {
        let parents = shard
            .parent_shard_id
            .iter()
            .chain(&shard.adjacent_parent_shard_id);
        let mut parents: Vec<_> = parents.map(|id| range_of(id)).collect();
        parents.sort_unstable();
        lines.push(format!(
            "{:?} of {parents:?}",
            nearly(range(shard.hash_key_range.as_ref()))
        ));
    }
    lines.sort();
    lines
}

/// Rounds a range, as a known fault of kinesis-mock ends some even ranges a key too early.
fn nearly((start, end): (u128, u128)) -> (u128, u128) {
    const KEYS: u128 = 1 << 64;
    ((start + 1000) / KEYS, end.saturating_add(1000) / KEYS)
}
