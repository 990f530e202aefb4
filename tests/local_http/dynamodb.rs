//! Tests of the embedded DynamoDB, request by request. The leases of fleets need its conditional writes.

use kinesis_pipeline::local::{LocalDynamoDb, LocalKinesis};
use serde_json::{Value, json};

use crate::wire::{Answer, SIGNED, send_to};

#[tokio::test]
async fn a_lease_is_taken_once() {
    let local = LocalKinesis::start().await.unwrap();
    let database = local.serve_dynamodb("127.0.0.1:0").await.unwrap();
    let call = async |operation: &str, members: Value| {
        let headers = format!(
            "{SIGNED}Content-Type: application/x-amz-json-1.0\r\n\
             X-Amz-Target: DynamoDB_20120810.{operation}\r\n"
        );
        let body = members.to_string();
        send_to(database.address(), "/", &headers, body.as_bytes()).await
    };
    let table = json!({
        "TableName": "leases",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "leaseKey", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "leaseKey", "AttributeType": "S"}],
    });
    assert_eq!(call("CreateTable", table).await.status, 200);
    let lease = json!({
        "TableName": "leases",
        "Item": {"leaseKey": {"S": "shardId-000000000000"}},
        "ConditionExpression": "attribute_not_exists(leaseKey)",
    });
    assert_eq!(call("PutItem", lease.clone()).await.status, 200);
    let second = call("PutItem", lease).await;
    assert_eq!(second.status, 400);
    let code = second.json()["__type"].as_str().unwrap().to_owned();
    assert!(code.ends_with("ConditionalCheckFailedException"), "{code}");
    database.stop().await;
}

/// A database with its own region, and a method to call it.
struct Tables {
    database: LocalDynamoDb,
}

const TABLE_ARN: &str = "arn:aws:dynamodb:eu-central-1:000000000000:table/leases";

impl Tables {
    async fn start() -> Self {
        let local = LocalKinesis::builder()
            .region("eu-central-1")
            .start()
            .await
            .unwrap();
        let database = local.serve_dynamodb("127.0.0.1:0").await.unwrap();
        let tables = Self { database };
        let created = tables
            .call(
                "CreateTable",
                json!({
                    "TableName": "leases",
                    "BillingMode": "PAY_PER_REQUEST",
                    "KeySchema": [{"AttributeName": "leaseKey", "KeyType": "HASH"}],
                    "AttributeDefinitions": [{"AttributeName": "leaseKey", "AttributeType": "S"}],
                }),
            )
            .await;
        assert_eq!(created["TableDescription"]["TableArn"], TABLE_ARN);
        tables
    }

    async fn answer(&self, operation: &str, members: Value) -> Answer {
        let headers = format!(
            "{SIGNED}Content-Type: application/x-amz-json-1.0\r\n\
             X-Amz-Target: DynamoDB_20120810.{operation}\r\n"
        );
        let body = members.to_string();
        send_to(self.database.address(), "/", &headers, body.as_bytes()).await
    }

    async fn call(&self, operation: &str, members: Value) -> Value {
        let answer = self.answer(operation, members).await;
        let checksum = crc32fast::hash(&answer.body).to_string();
        assert_eq!(answer.header("x-amz-crc32"), Some(&*checksum));
        answer.json()
    }

    async fn refusal(&self, operation: &str, members: Value) -> (String, String) {
        let answer = self.answer(operation, members).await;
        assert_eq!(answer.status, 400, "{operation}");
        let error = answer.json();
        let code = error["__type"].as_str().unwrap();
        let code = code.rsplit('#').next().unwrap().to_owned();
        (code, error["message"].as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn a_table_is_described_with_our_region_and_all_its_members() {
    let tables = Tables::start().await;
    let table = tables
        .call("DescribeTable", json!({"TableName": "leases"}))
        .await;
    let table = &table["Table"];
    assert_eq!(table["TableArn"], TABLE_ARN);
    assert_eq!(table["DeletionProtectionEnabled"], false);
    assert_eq!(table["WarmThroughput"]["Status"], "ACTIVE");
    let billing = &table["BillingModeSummary"];
    assert!(billing["LastUpdateToPayPerRequestDateTime"].is_number());
}

#[tokio::test]
async fn a_table_may_be_named_by_its_arn() {
    let tables = Tables::start().await;
    let key = json!({"leaseKey": {"S": TABLE_ARN}});
    let put = json!({"TableName": TABLE_ARN, "Item": key});
    assert_eq!(tables.call("PutItem", put).await, json!({}));
    let get = json!({"TableName": TABLE_ARN, "Key": key});
    assert_eq!(tables.call("GetItem", get).await["Item"], key);
    let batch = json!({"RequestItems": {TABLE_ARN: {"Keys": [key]}}});
    let batch = tables.call("BatchGetItem", batch).await;
    assert_eq!(batch["Responses"]["leases"], json!([key]));
    let tags = json!({"ResourceArn": TABLE_ARN, "Tags": [{"Key": "a", "Value": "b"}]});
    assert_eq!(tables.answer("TagResource", tags).await.status, 200);
    let tags = tables
        .call("ListTagsOfResource", json!({"ResourceArn": TABLE_ARN}))
        .await;
    assert_eq!(tags["Tags"], json!([{"Key": "a", "Value": "b"}]));
}

#[tokio::test]
async fn point_in_time_recovery_is_switched_and_described() {
    let tables = Tables::start().await;
    let named = json!({"TableName": "leases"});
    let status = |answer: &Value| {
        answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
            ["PointInTimeRecoveryStatus"]
            .clone()
    };
    let described = tables
        .call("DescribeContinuousBackups", named.clone())
        .await;
    assert_eq!(status(&described), "DISABLED");
    let on = json!({"TableName": TABLE_ARN,
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}});
    let updated = tables.call("UpdateContinuousBackups", on).await;
    assert_eq!(status(&updated), "ENABLED");
    let described = tables.call("DescribeContinuousBackups", named).await;
    assert_eq!(status(&described), "ENABLED");
    let missing = json!({"TableName": "missing"});
    let (code, words) = tables.refusal("DescribeContinuousBackups", missing).await;
    assert_eq!(code, "TableNotFoundException");
    assert_eq!(words, "Table not found: missing");
}

#[tokio::test]
async fn ttl_that_is_on_cannot_be_switched_on_again() {
    let tables = Tables::start().await;
    let switch = |enabled: bool| {
        json!({"TableName": "leases",
            "TimeToLiveSpecification": {"Enabled": enabled, "AttributeName": "ttl"}})
    };
    tables.call("UpdateTimeToLive", switch(true)).await;
    let (code, words) = tables.refusal("UpdateTimeToLive", switch(true)).await;
    assert_eq!(code, "ValidationException");
    assert_eq!(words, "TimeToLive is already enabled");
    tables.call("UpdateTimeToLive", switch(false)).await;
    let (_, words) = tables.refusal("UpdateTimeToLive", switch(false)).await;
    assert_eq!(words, "TimeToLive is already disabled");
}
