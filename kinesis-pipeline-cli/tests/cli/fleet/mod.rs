//! The commands about a fleet, on lease tables as KCL writes them.

mod lag;
mod leases;
#[cfg(target_os = "linux")]
mod stopped;

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
        ScalarAttributeType,
    },
};
use kinesis_pipeline::local::LocalDynamoDb;
use tokio::process::Command;

use crate::{Done, Program, end_of};

type Item = HashMap<String, AttributeValue>;

/// The program beside a DynamoDB of this test alone.
struct Fleet {
    program: Program,
    dynamodb: LocalDynamoDb,
    client: Client,
}

impl Fleet {
    async fn with_stream(shards: u32) -> Self {
        let program = Program::with_stream("s", shards).await;
        let dynamodb = program.local.serve_dynamodb("127.0.0.1:0").await.unwrap();
        let client = Client::new(&dynamodb.sdk_config());
        Self {
            program,
            dynamodb,
            client,
        }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.program.command(line);
        command.env("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb.endpoint_url());
        command
    }

    async fn run(&self, line: &str) -> Done {
        end_of(self.command(line), "").await
    }

    async fn table(&self, name: &str, key: &str, items: impl IntoIterator<Item = Item>) {
        let part = KeySchemaElement::builder().attribute_name(key);
        let definition = AttributeDefinition::builder().attribute_name(key);
        let created = self
            .client
            .create_table()
            .table_name(name)
            .key_schema(part.key_type(KeyType::Hash).build().unwrap())
            .attribute_definitions(
                definition
                    .attribute_type(ScalarAttributeType::S)
                    .build()
                    .unwrap(),
            )
            .billing_mode(BillingMode::PayPerRequest)
            .send()
            .await;
        created.unwrap();
        for item in items {
            let put = self.client.put_item().table_name(name);
            put.set_item(Some(item)).send().await.unwrap();
        }
    }

    /// All that DynamoDB holds: tables with their items, in an order.
    async fn all(&self) -> Vec<String> {
        let tables = self.client.list_tables().send().await.unwrap();
        let mut all = Vec::new();
        for table in tables.table_names.unwrap() {
            let scan = self.client.scan().table_name(&table).send().await.unwrap();
            for item in scan.items.unwrap() {
                let mut item: Vec<_> = item.into_iter().map(|pair| format!("{pair:?}")).collect();
                item.sort();
                all.push(format!("{table} {item:?}"));
            }
            all.push(table);
        }
        all.sort();
        all
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A row as KCL 2 writes it.
fn row(shard: u32, checkpoint: &str, owner: Option<&str>) -> Item {
    let mut item = Item::from([
        ("leaseKey".to_owned(), text(&id(shard))),
        ("leaseCounter".to_owned(), number(7)),
        ("checkpoint".to_owned(), text(checkpoint)),
        ("checkpointSubSequenceNumber".to_owned(), number(0)),
        ("ownerSwitchesSinceCheckpoint".to_owned(), number(1)),
    ]);
    item.extend(owner.map(|owner| ("leaseOwner".to_owned(), text(owner))));
    item
}

fn id(shard: u32) -> String {
    format!("shardId-{shard:012}")
}

fn with(mut item: Item, name: &str, value: AttributeValue) -> Item {
    item.insert(name.to_owned(), value);
    item
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_absent_or_another_kind_is_one_clear_line() {
    let fleet = Fleet::with_stream(1).await;
    fleet
        .table("other", "id", [Item::from([("id".to_owned(), text("1"))])])
        .await;
    fleet.table("empty", "leaseKey", []).await;
    let table = [
        (
            "leases --app absent",
            1,
            "there is no lease table `absent` in DynamoDB",
        ),
        (
            "leases --app other",
            1,
            "`other` in DynamoDB: the table is no lease table: its key is `id` (S)",
        ),
        ("lag -s s --app other", 1, "the table is no lease table"),
        (
            "lag -s s --app absent",
            1,
            "there is no lease table `absent`",
        ),
        (
            "leases --app ab",
            2,
            "--app: `ab` cannot be the name of a DynamoDB table: 3 to 255 letters",
        ),
        (
            "lag -s s --app app --table a/b",
            2,
            "--table: `a/b` cannot be the name",
        ),
        (
            "leases --app app --lease-file /nowhere/x",
            1,
            "the leases in /nowhere/x cannot be read: ",
        ),
        ("leases", 2, "--app"),
        ("lag --app app", 2, "--stream"),
    ];
    for (line, status, words) in table {
        let done = fleet.run(line).await;
        assert_eq!(done.status, Some(status), "{line}: {}", done.err);
        assert_eq!(done.out, "", "{line}");
        assert!(done.err.starts_with("error: "), "{line}: {}", done.err);
        assert!(done.err.contains(words), "{line}: {}", done.err);
        assert!(
            done.err.lines().next().unwrap().len() < 250,
            "{line}: {}",
            done.err
        );
    }
    let empty = fleet.run("leases --app empty").await;
    assert_eq!((empty.status, empty.out.as_str()), (Some(0), ""));
    assert_eq!(
        empty.err,
        "the table `empty` has no leases of the application\n"
    );
}
