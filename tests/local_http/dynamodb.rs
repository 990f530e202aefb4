//! The embedded DynamoDB, request by request: the leases of fleets need conditional writes.

use kinesis_pipeline::local::LocalKinesis;
use serde_json::{Value, json};

use crate::wire::{SIGNED, send_to};

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
