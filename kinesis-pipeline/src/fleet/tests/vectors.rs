//! Recordings of rows and requests of the Java KCL.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use base64::Engine;
use serde_json::Value;

use crate::{
    Checkpoint, CheckpointPlace,
    fleet::{
        extension::{EXTENSION, Extension},
        identity::Identity,
        lease::Lease,
        place,
        row::{Item, LeaseRow, words},
    },
};

/// Returns all recorded tables: the name of the moment, and the rows.
pub(super) fn tables() -> Vec<(String, Vec<Item>)> {
    let tables: Vec<Value> = serde_json::from_str(include_str!("../vectors/tables.json")).unwrap();
    let table = |table: &Value| {
        let rows = table["rows"].as_array().unwrap().iter().map(item);
        (table["moment"].as_str().unwrap().to_owned(), rows.collect())
    };
    tables.iter().map(table).collect()
}

/// Returns the recorded moments at which a fleet of KCL 3 had a leader: the name, the coordinator's rows, and the
/// workers' metrics.
pub(in crate::fleet) fn coordinators() -> Vec<(String, Vec<Item>, Vec<Item>)> {
    let json = include_str!("../vectors/coordinators.json");
    let moments: Vec<Value> = serde_json::from_str(json).unwrap();
    let rows = |rows: &Value| rows.as_array().unwrap().iter().map(item).collect();
    let moment = |moment: &Value| {
        let name = moment["moment"].as_str().unwrap().to_owned();
        (name, rows(&moment["coordinator"]), rows(&moment["metrics"]))
    };
    moments.iter().map(moment).collect()
}

/// Returns the coordinator's rows and the workers' metrics at this moment.
pub(in crate::fleet) fn coordinator(moment: &str) -> (Vec<Item>, Vec<Item>) {
    let mut moments = coordinators().into_iter();
    let found = moments.find(|(name, ..)| name == moment).unwrap();
    (found.1, found.2)
}

/// Returns a recorded request by its name.
pub(super) fn request(name: &str) -> Value {
    let requests: Value = serde_json::from_str(include_str!("../vectors/requests.json")).unwrap();
    requests[name].clone()
}

/// Reads an item in DynamoDB's JSON form.
pub(super) fn item(json: &Value) -> Item {
    let members = json.as_object().unwrap().iter();
    members
        .map(|(name, typed)| (name.clone(), value(typed)))
        .collect()
}

pub(super) fn value(typed: &Value) -> AttributeValue {
    let (kind, value) = typed.as_object().unwrap().iter().next().unwrap();
    let text = || value.as_str().unwrap().to_owned();
    match kind.as_str() {
        "S" => AttributeValue::S(text()),
        "N" => AttributeValue::N(text()),
        "SS" => AttributeValue::Ss(serde_json::from_value(value.clone()).unwrap()),
        "M" => AttributeValue::M(item(value)),
        "L" => {
            let members = value.as_array().unwrap().iter();
            AttributeValue::L(members.map(self::value).collect())
        }
        "B" => AttributeValue::B(Blob::new(
            base64::prelude::BASE64_STANDARD.decode(text()).unwrap(),
        )),
        other => panic!("KCL wrote an attribute of type {other}"),
    }
}

/// Returns the names of an item's attributes with their types.
pub(super) fn types(item: &Item) -> BTreeMap<String, &'static str> {
    let kind = |value: &AttributeValue| match value {
        AttributeValue::S(_) => "S",
        AttributeValue::N(_) => "N",
        AttributeValue::Ss(_) => "SS",
        AttributeValue::M(_) => "M",
        other => panic!("no row has a {other:?}"),
    };
    item.iter()
        .map(|(name, value)| (name.clone(), kind(value)))
        .collect()
}

#[test]
fn every_row_of_kcl_is_read() {
    let (mut count, mut ends, mut in_aggregates) = (0, 0, 0);
    for (moment, rows) in tables() {
        for item in rows {
            let row = LeaseRow::decode(&item).unwrap().unwrap();
            let checkpoint =
                place::decode(row.lease.shard_id.as_str(), &row.lease.checkpoint, None).unwrap();
            assert_eq!(
                Some(&value_of(&item, "leaseKey")),
                Some(&row.lease.shard_id.to_string()),
                "{moment}"
            );
            assert_eq!(
                row.lease.counter.to_string(),
                value_of(&item, "leaseCounter")
            );
            let (text, sub_sequence_number) = words(&row.lease.checkpoint);
            assert_eq!(text, value_of(&item, "checkpoint"));
            let sub_sequence_number = sub_sequence_number.to_string();
            assert_eq!(
                sub_sequence_number,
                value_of(&item, "checkpointSubSequenceNumber")
            );
            assert_eq!(row.lease.owner.is_some(), item.contains_key("leaseOwner"));
            count += 1;
            ends += usize::from(checkpoint.place == CheckpointPlace::ShardEnd);
            in_aggregates += usize::from(sub_sequence_number == "5");
        }
    }
    assert_eq!((count, ends, in_aggregates), COUNTS);
}

/// The number of rows, of rows of finished shards, and of rows whose checkpoint is inside an aggregate.
const COUNTS: (usize, usize, usize) = (71, 8, 6);

fn value_of(item: &Item, name: &str) -> String {
    match &item[name] {
        AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn a_new_row_has_kcls_attributes_and_types_but_for_the_hash_keys_and_the_mark() {
    let theirs = item(&request("create_row")["Item"]);
    let checkpoint = Checkpoint::new("shardId-000000000000".into(), CheckpointPlace::TrimHorizon);
    let (place, times) = place::encode(&checkpoint);
    let extension = Extension {
        identity: Identity::new("app", "stream"),
        writer: "me".to_owned(),
        counter: 0,
        times,
    };
    let row = LeaseRow {
        lease: Lease::new("shardId-000000000000".into(), place),
        extension: Some(extension),
    };
    let ours = row.encode();
    let mut expected = types(&theirs);
    expected.remove("startingHashKey").unwrap();
    expected.remove("endingHashKey").unwrap();
    expected.insert(EXTENSION.to_owned(), "M");
    assert_eq!(types(&ours), expected);
    for (name, value) in &theirs {
        if let Some(our_value) = ours.get(name) {
            assert_eq!(our_value, value, "{name}");
        }
    }
}
