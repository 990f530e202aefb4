//! Tests of a worker in a fleet with a KCL 3 leader, in both layouts of its tables.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndexUpdate,
    KeySchemaElement, KeyType, Projection, ProjectionType, ScalarAttributeType,
};

use super::{database::Database, vectors};
use crate::{
    Clock, DynamoDbLeases, FleetLead, Lease, LeaseChange, LeaseCheckpoint, LeaseStore, LeaseWrite,
    LeaseWritten, WorkerId,
    clock::epoch_millis,
    fleet::row::{Item, count, number, text},
};

const MOMENT: &str = "3x_04_with_foreign_worker";
const COORDINATOR: &str = "app-CoordinatorState";
const METRICS: &str = "app-WorkerMetricStats";

/// The tables of a fleet of KCL 3.1.3, as it wrote them.
pub(super) struct KclFleet {
    pub(super) database: Database,
    store: DynamoDbLeases,
}

fn now() -> u64 {
    epoch_millis(Clock::system().now()) / 1_000
}

impl KclFleet {
    /// Starts a database with three tables and all their rows.
    pub(super) async fn start() -> Self {
        let fleet = Self::with_leases_alone().await;
        let (coordinator, metrics) = vectors::coordinator(MOMENT);
        fleet.create_table(COORDINATOR, "key").await;
        fleet.create_table(METRICS, "wid").await;
        for row in coordinator {
            fleet.database.put(COORDINATOR, row).await;
        }
        for row in metrics {
            fleet.database.put(METRICS, row).await;
        }
        fleet
    }

    /// Starts a database with the lease table only, with KCL's index.
    async fn with_leases_alone() -> Self {
        let mut tables = vectors::tables().into_iter();
        let (_, leases) = tables.find(|(name, _)| name == MOMENT).unwrap();
        let database = Database::with_leases("app", leases).await;
        let store = DynamoDbLeases::with_client(database.client.clone());
        let fleet = Self { database, store };
        fleet.create_index().await;
        fleet
    }

    /// Starts a database with one table that has all rows, as in KCL 3.5.
    async fn in_one_table() -> Self {
        let fleet = Self::with_leases_alone().await;
        let (coordinator, _) = vectors::coordinator(MOMENT);
        for mut row in coordinator {
            let key = row.remove("key").unwrap();
            let is_leader = key == text("Leader");
            let entity = if is_leader {
                "LEADER"
            } else {
                "CLIENT_VERSION_MIGRATION"
            };
            row.insert("leaseKey".to_owned(), key);
            row.insert("entityType".to_owned(), text(entity));
            fleet.database.put("app", row).await;
        }
        fleet
    }

    async fn create_table(&self, name: &str, key: &str) {
        let create = self.database.client.create_table().table_name(name);
        create
            .key_schema(part(key, KeyType::Hash))
            .attribute_definitions(definition(key))
            .billing_mode(BillingMode::PayPerRequest)
            .send()
            .await
            .unwrap();
    }

    async fn create_index(&self) {
        let index = CreateGlobalSecondaryIndexAction::builder()
            .index_name("LeaseOwnerToLeaseKeyIndex")
            .key_schema(part("leaseOwner", KeyType::Hash))
            .key_schema(part("leaseKey", KeyType::Range))
            .projection(
                Projection::builder()
                    .projection_type(ProjectionType::KeysOnly)
                    .build(),
            );
        let update = self.database.client.update_table().table_name("app");
        update
            .attribute_definitions(definition("leaseOwner"))
            .attribute_definitions(definition("leaseKey"))
            .global_secondary_index_updates(
                GlobalSecondaryIndexUpdate::builder()
                    .create(index.build().unwrap())
                    .build(),
            )
            .send()
            .await
            .unwrap();
    }

    async fn report(&self, worker: &str) -> FleetLead {
        self.store.report("app", &worker.into()).await.unwrap()
    }

    async fn metrics(&self, worker: &str) -> Option<Item> {
        let get = self.database.client.get_item().table_name(METRICS);
        let got = get.key("wid", text(worker)).send().await.unwrap();
        got.item
    }

    async fn set_status(&self, status: &str) {
        let row = [("key", "TableMigration3.5"), ("tm", status)];
        let row = row.map(|(name, value)| (name.to_owned(), text(value)));
        self.database.put(COORDINATOR, row.into()).await;
    }

    async fn set_version(&self, version: &str) {
        let row = [("key", "Migration3.0"), ("cv", version)];
        let row = row.map(|(name, value)| (name.to_owned(), text(value)));
        self.database.put(COORDINATOR, row.into()).await;
    }

    async fn assigned(&self, worker: &str) -> Vec<String> {
        let found = self.store.assigned("app", &worker.into()).await.unwrap();
        let mut found: Vec<_> = found
            .into_iter()
            .map(|lease| lease.shard_id.to_string())
            .collect();
        found.sort();
        found
    }
}

fn part(name: &str, kind: KeyType) -> KeySchemaElement {
    let part = KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind);
    part.build().unwrap()
}

fn definition(name: &str) -> AttributeDefinition {
    let definition = AttributeDefinition::builder().attribute_name(name);
    definition
        .attribute_type(ScalarAttributeType::S)
        .build()
        .unwrap()
}

fn is_fresh(row: &Item) -> bool {
    [count(row, "lut"), count(row, "slu")]
        .into_iter()
        .all(|time| time.is_some_and(|time| now().abs_diff(time) < 60))
}

#[tokio::test]
async fn in_three_tables_a_worker_writes_its_metrics_into_their_own() {
    let fleet = KclFleet::start().await;
    assert_eq!(fleet.report("rust-2").await, FleetLead::Leader);
    let row = fleet.metrics("rust-2").await.unwrap();
    assert!(is_fresh(&row), "{row:?}");
    assert_eq!(row["sup"], number(1));
    assert_eq!(row.get("entityType"), None);
    assert_eq!(fleet.database.item("app", "rust-2").await, None);
}

#[tokio::test]
async fn in_one_table_a_worker_writes_its_metrics_beside_the_leases() {
    let fleet = KclFleet::in_one_table().await;
    assert_eq!(fleet.report("rust-2").await, FleetLead::Leader);
    let row = fleet.database.item("app", "rust-2").await.unwrap();
    assert!(is_fresh(&row), "{row:?}");
    assert_eq!(row["entityType"], text("WORKER_METRIC_STATS"));
    let leases = fleet.store.list("app").await.unwrap();
    assert_eq!(leases.len(), 4, "the other rows are no leases");
}

#[tokio::test]
async fn a_worker_follows_the_move_to_one_table_at_each_report() {
    let fleet = KclFleet::start().await;
    for status in ["INIT", "DEPLOYED"] {
        fleet
            .set_status(&format!("TABLE_MIGRATION_STATUS_{status}"))
            .await;
        assert_eq!(fleet.report("rust-2").await, FleetLead::Leader);
        assert!(fleet.metrics("rust-2").await.is_some(), "{status}");
    }
    for status in ["PENDING", "COMPLETE"] {
        fleet
            .set_status(&format!("TABLE_MIGRATION_STATUS_{status}"))
            .await;
        assert_eq!(fleet.report("rust-2").await, FleetLead::Leader);
        assert_eq!(
            fleet.metrics("rust-2").await,
            None,
            "the old table must become empty"
        );
        let row = fleet.database.item("app", "rust-2").await.unwrap();
        assert!(is_fresh(&row), "{status}");
    }
    assert!(fleet.metrics("k1").await.is_some(), "rows of others stay");
}

#[tokio::test]
async fn a_fleet_in_the_mode_of_kcl_2_is_shown_nothing() {
    let fleet = KclFleet::start().await;
    fleet.set_version("CLIENT_VERSION_2X").await;
    assert_eq!(fleet.report("rust-2").await, FleetLead::Workers);
    assert_eq!(fleet.metrics("rust-2").await, None);
    fleet.set_version("CLIENT_VERSION_UPGRADE_FROM_2X").await;
    assert_eq!(fleet.report("rust-2").await, FleetLead::Workers);
    assert!(
        fleet.metrics("rust-2").await.is_some(),
        "it would not upgrade otherwise"
    );
}

#[tokio::test]
async fn a_fleet_without_a_coordinator_shares_its_leases_out_itself_and_no_row_is_written() {
    let fleet = KclFleet::with_leases_alone().await;
    assert_eq!(fleet.report("rust-2").await, FleetLead::Workers);
    assert_eq!(fleet.database.item("app", "rust-2").await, None);
    let tables = fleet.database.client.list_tables().send().await.unwrap();
    assert_eq!(tables.table_names(), ["app"], "no table is made for it");
}

#[tokio::test]
async fn without_a_leaders_row_live_java_workers_are_waited_for() {
    let fleet = KclFleet::start().await;
    let delete = fleet.database.client.delete_item().table_name(COORDINATOR);
    delete.key("key", text("Leader")).send().await.unwrap();
    assert_eq!(
        fleet.report("rust-2").await,
        FleetLead::Workers,
        "all metrics are old"
    );
    let mut java = vectors::coordinator(MOMENT).1.remove(1);
    java.insert("lut".to_owned(), number(now()));
    fleet.database.put(METRICS, java).await;
    assert_eq!(fleet.report("rust-2").await, FleetLead::Vacant);
}

#[tokio::test]
async fn the_leases_of_a_worker_are_found_by_kcls_index_and_without_it() {
    let fleet = KclFleet::start().await;
    let shards = [0, 1, 2].map(|number| format!("shardId-{number:012}"));
    assert_eq!(fleet.assigned("rust-1").await, shards);
    assert_eq!(fleet.assigned("k2").await, ["shardId-000000000003"]);
    assert!(fleet.assigned("k1").await.is_empty());
    let leases = vectors::tables()
        .into_iter()
        .find(|(name, _)| name == MOMENT);
    let database = Database::with_leases("app", leases.unwrap().1).await;
    let store = DynamoDbLeases::with_client(database.client.clone());
    let found = store.assigned("app", &"rust-1".into()).await.unwrap();
    assert_eq!(found.len(), 3, "by a scan");
}

fn lease_of(leases: &[Lease], shard: &str) -> Lease {
    let mut leases = leases.iter();
    leases
        .find(|lease| lease.shard_id.as_str() == shard)
        .unwrap()
        .clone()
}

/// The hand-over from `k1` to `k2` was recorded from KCL. This worker takes the part of the old owner.
#[tokio::test]
async fn a_hand_over_that_kcls_leader_asks_for_is_seen_checkpointed_and_finished() {
    const SHARD: &str = "shardId-000000000002";
    let fleet = KclFleet::start().await;
    let (store, me) = (&fleet.store, WorkerId::from("k1"));
    let seen = lease_of(&store.list("app").await.unwrap(), SHARD);
    let write = async |write: LeaseWrite| store.write("app", write).await.unwrap();
    let LeaseWritten::Done(held) = write(LeaseWrite::take(seen, me.clone())).await else {
        panic!("it was free to take");
    };
    fleet
        .database
        .kcl_updates("app", SHARD, "hand_over", held.counter)
        .await;
    let renewed = write(LeaseWrite::new(held, LeaseChange::Renew)).await;
    let LeaseWritten::Refused(Some(asked)) = renewed else {
        panic!("{renewed:?}");
    };
    assert_eq!(asked.checkpoint_owner, Some(me));
    assert_eq!(asked.owner, Some("k2".into()));
    let LeaseWritten::Done(renewed) = write(LeaseWrite::new(asked, LeaseChange::Renew)).await
    else {
        panic!("its old owner renews it meanwhile");
    };
    let end = LeaseCheckpoint::ShardEnd;
    let LeaseWritten::Done(checkpointed) = write(LeaseWrite::checkpoint(renewed, end)).await else {
        panic!("its old owner may checkpoint");
    };
    let finish = LeaseWrite::new(checkpointed, LeaseChange::FinishHandOver);
    let LeaseWritten::Done(finished) = write(finish).await else {
        panic!("its old owner finishes it");
    };
    assert_eq!(
        (finished.checkpoint_owner, finished.owner),
        (None, Some("k2".into()))
    );
}

#[tokio::test]
async fn a_hand_over_that_the_new_owner_of_kcl_ends_by_force_is_lost_for_the_old_one() {
    const SHARD: &str = "shardId-000000000002";
    let fleet = KclFleet::start().await;
    let store = &fleet.store;
    let seen = lease_of(&store.list("app").await.unwrap(), SHARD);
    let write = async |write: LeaseWrite| store.write("app", write).await.unwrap();
    let LeaseWritten::Done(held) = write(LeaseWrite::take(seen, "k1".into())).await else {
        panic!("it was free to take");
    };
    let counter = held.counter;
    for request in ["hand_over", "finish_hand_over"] {
        fleet
            .database
            .kcl_updates("app", SHARD, request, counter)
            .await;
    }
    let late = write(LeaseWrite::checkpoint(held, LeaseCheckpoint::ShardEnd)).await;
    let LeaseWritten::Refused(Some(found)) = late else {
        panic!("{late:?}");
    };
    assert_eq!(
        (found.holder(), found.counter),
        (Some(&"k2".into()), counter + 1)
    );
}

#[tokio::test]
async fn renewals_and_checkpoints_write_the_throughput_in_kcls_unit() {
    let fleet = KclFleet::start().await;
    let mut lease = fleet.store.list("app").await.unwrap().remove(0);
    let to = LeaseCheckpoint::ShardEnd;
    let children = Vec::new();
    for (change, bytes, expected) in [
        (LeaseChange::Renew, 1_536, "1.5"),
        (LeaseChange::Renew, 1, "0"),
        (LeaseChange::Checkpoint { to, children }, 2_048_000, "2000"),
    ] {
        let write = LeaseWrite::new(lease, change).with_bytes_per_second(Some(bytes));
        let written = fleet.store.write("app", write).await.unwrap();
        let LeaseWritten::Done(done) = written else {
            panic!("{written:?}");
        };
        let row = fleet
            .database
            .item("app", done.shard_id.as_str())
            .await
            .unwrap();
        let kilobytes: f64 = row["throughputKBps"].as_n().unwrap().parse().unwrap();
        assert!(
            (kilobytes - expected.parse::<f64>().unwrap()).abs() < 0.001,
            "{kilobytes}"
        );
        lease = done;
    }
    // A write without a throughput leaves the attribute as it is.
    let key = lease.shard_id.to_string();
    let write = LeaseWrite::new(lease, LeaseChange::Renew);
    fleet.store.write("app", write).await.unwrap();
    let row = fleet.database.item("app", &key).await.unwrap();
    assert!(row.contains_key("throughputKBps"));
}
