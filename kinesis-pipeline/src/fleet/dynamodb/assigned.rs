//! Lookup of one worker's leases through KCL's index of owners.

use aws_sdk_dynamodb::{error::ProvideErrorMetadata as _, types::KeysAndAttributes};

use crate::fleet::{
    LeaseError,
    lease::{Lease, WorkerId},
    row::{Item, LEASE_KEY, LEASE_OWNER, decode, owned, text},
    table::LeaseTable,
};

const OWNER_INDEX: &str = "LeaseOwnerToLeaseKeyIndex";
/// The limit of pages that are read of the index. A page has up to 1 MiB of keys.
const PAGES_MAX: usize = 100;
/// The limit of keys in one `BatchGetItem`, by DynamoDB.
const BATCH_MAX: usize = 100;
/// The limit of requests for keys that DynamoDB returned as unprocessed. The next lookup finds the others.
const BATCH_TRIES_MAX: usize = 5;

/// Finds the leases of a worker through KCL's index. Returns `None` if the table has no such index.
pub(super) async fn find_assigned(
    table: &LeaseTable<'_>,
    worker: &WorkerId,
) -> Result<Option<Vec<Lease>>, LeaseError> {
    let Some(keys) = find_keys(table, worker).await? else {
        return Ok(None);
    };
    let mut leases = Vec::new();
    for keys in keys.chunks(BATCH_MAX) {
        for item in get_all(table, LEASE_KEY, keys).await? {
            leases.extend(decode(&item)?);
        }
    }
    // The index may lag behind the table.
    leases.retain(|lease: &Lease| lease.owner.as_ref() == Some(worker));
    Ok(Some(leases))
}

async fn find_keys(
    table: &LeaseTable<'_>,
    worker: &WorkerId,
) -> Result<Option<Vec<String>>, LeaseError> {
    let mut keys = Vec::new();
    let mut next = None;
    for _ in 0..PAGES_MAX {
        let query = table.client.query().table_name(table.name);
        let page = query
            .index_name(OWNER_INDEX)
            .key_condition_expression(format!("{LEASE_OWNER} = :worker"))
            .expression_attribute_values(":worker", text(worker.as_str()))
            .set_exclusive_start_key(next)
            .send()
            .await;
        let page = match page {
            Ok(page) => page,
            // The index does not exist, or is being created.
            Err(error) if error.code() == Some("ValidationException") => return Ok(None),
            Err(error) => return Err(LeaseError::of_call("Query", error)),
        };
        let items = page.items.unwrap_or_default();
        keys.extend(items.iter().filter_map(|item| owned(item, LEASE_KEY)));
        next = page.last_evaluated_key;
        if next.is_none() {
            break;
        }
    }
    Ok(Some(keys))
}

/// Reads the rows with these keys, with consistent reads.
pub(super) async fn get_all<K: AsRef<str>>(
    table: &LeaseTable<'_>,
    key: &str,
    values: &[K],
) -> Result<Vec<Item>, LeaseError> {
    let item = |value: &K| Item::from([(key.to_owned(), text(value.as_ref()))]);
    let keys = KeysAndAttributes::builder().consistent_read(true);
    let keys = keys.set_keys(Some(values.iter().map(item).collect()));
    let mut wanted = Some(keys.build().expect("keys are set"));
    let mut found = Vec::new();
    for _ in 0..BATCH_TRIES_MAX {
        let Some(keys) = wanted.take() else { break };
        let get = table.client.batch_get_item();
        let answer = get.request_items(table.name, keys).send().await;
        let answer = answer.map_err(|error| LeaseError::of_call("BatchGetItem", error))?;
        let rows = answer
            .responses
            .and_then(|mut tables| tables.remove(table.name));
        found.extend(rows.unwrap_or_default());
        let left = answer.unprocessed_keys;
        wanted = left.and_then(|mut tables| tables.remove(table.name));
    }
    Ok(found)
}
