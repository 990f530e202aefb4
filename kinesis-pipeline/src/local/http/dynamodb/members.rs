//! Members that dynoxide leaves out of the descriptions of tables.

use bytes::Bytes;
use serde_json::{Map, Value, json};

/// The reads and writes a second that a new table on demand is ready for.
const ON_DEMAND_READS: u64 = 12_000;
const ON_DEMAND_WRITES: u64 = 4_000;

/// Whether the operation answers with the description of a table.
pub(super) fn describes_a_table(operation: &str) -> bool {
    matches!(
        operation,
        "CreateTable" | "DeleteTable" | "DescribeTable" | "UpdateTable"
    )
}

/// Returns the answer with the members that the service always gives.
pub(super) fn complete(body: Bytes) -> Bytes {
    let Ok(Value::Object(mut answer)) = serde_json::from_slice(&body) else {
        return body;
    };
    for name in ["Table", "TableDescription"] {
        if let Some(Value::Object(table)) = answer.get_mut(name) {
            complete_table(table);
        }
    }
    serde_json::to_vec(&answer).map_or(body, Bytes::from)
}

fn complete_table(table: &mut Map<String, Value>) {
    let created_at = table.get("CreationDateTime").cloned();
    let billing = table.get_mut("BillingModeSummary");
    let is_on_demand = billing
        .as_ref()
        .is_some_and(|billing| billing["BillingMode"] == "PAY_PER_REQUEST");
    if let (true, Some(Value::Object(billing)), Some(created_at)) =
        (is_on_demand, billing, created_at)
    {
        let member = billing.entry("LastUpdateToPayPerRequestDateTime");
        member.or_insert(created_at);
    }
    let protection = table.entry("DeletionProtectionEnabled");
    protection.or_insert(json!(false));
    add_warm_throughput(table, is_on_demand);
    if let Some(Value::Array(indexes)) = table.get_mut("GlobalSecondaryIndexes") {
        for index in indexes {
            if let Value::Object(index) = index {
                add_warm_throughput(index, is_on_demand);
            }
        }
    }
}

fn add_warm_throughput(table: &mut Map<String, Value>, is_on_demand: bool) {
    let units = |name: &str| {
        let throughput = table.get("ProvisionedThroughput");
        throughput.and_then(|throughput| throughput[name].as_u64())
    };
    let (reads, writes) = if is_on_demand {
        (ON_DEMAND_READS, ON_DEMAND_WRITES)
    } else {
        let (reads, writes) = (units("ReadCapacityUnits"), units("WriteCapacityUnits"));
        (reads.unwrap_or(0), writes.unwrap_or(0))
    };
    let warm = json!({"ReadUnitsPerSecond": reads, "WriteUnitsPerSecond": writes,
        "Status": "ACTIVE"});
    table.entry("WarmThroughput").or_insert(warm);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(table: &Value) -> Value {
        let body = json!({"Table": table}).to_string();
        serde_json::from_slice::<Value>(&complete(body.into())).unwrap()["Table"].clone()
    }

    #[test]
    fn a_table_on_demand_has_protection_warm_throughput_and_a_billing_date() {
        let table = completed(&json!({"CreationDateTime": 1.5,
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}}));
        assert_eq!(table["DeletionProtectionEnabled"], false);
        assert_eq!(table["WarmThroughput"]["ReadUnitsPerSecond"], 12_000);
        let billing = &table["BillingModeSummary"];
        assert_eq!(billing["LastUpdateToPayPerRequestDateTime"], 1.5);
    }

    #[test]
    fn a_provisioned_table_is_as_warm_as_its_capacity_and_keeps_what_it_says() {
        let table = completed(&json!({"DeletionProtectionEnabled": true,
            "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 2},
            "GlobalSecondaryIndexes": [{"ProvisionedThroughput": {"ReadCapacityUnits": 7,
                "WriteCapacityUnits": 3}}]}));
        assert_eq!(table["DeletionProtectionEnabled"], true);
        assert_eq!(table["WarmThroughput"]["WriteUnitsPerSecond"], 2);
        let index = &table["GlobalSecondaryIndexes"][0];
        assert_eq!(index["WarmThroughput"]["ReadUnitsPerSecond"], 7);
        assert_eq!(table.get("BillingModeSummary"), None);
    }

    #[test]
    fn a_body_that_is_no_answer_stays() {
        assert_eq!(complete(Bytes::from_static(b"[1]")), "[1]");
    }
}
