use std::collections::HashSet;

use super::{ErrorClass, Kinesis, ListShards, ServiceError, StreamId};
use crate::shard::Shard;

/// The most pages that one listing reads: ten million shards at the service's page size.
const PAGES_MAX: usize = 10_000;

/// Lists all shards of a stream that are retained, open and closed, sorted by id, which is by age.
///
/// Tolerates servers whose paging is broken: a token that comes twice ends the listing, and a shard that comes twice
/// counts once, as closed if it is closed on one of the pages: it was closed while the pages were read.
///
/// # Errors
/// The first error of a page.
pub(crate) async fn list_all(
    service: &dyn Kinesis,
    stream: &StreamId,
) -> Result<Vec<Shard>, ServiceError> {
    let mut shards = Vec::new();
    let mut tokens = HashSet::new();
    let mut call = ListShards::new(stream.clone());
    for _ in 0..PAGES_MAX {
        let page = service.list_shards(call).await?;
        shards.extend(page.shards);
        match page.next_token {
            Some(token) if tokens.insert(token.clone()) => {
                call = ListShards::new(stream.clone()).next_token(token);
            }
            _ => return Ok(sorted(shards)),
        }
    }
    Err(ServiceError::unanswered(
        "ListShards",
        service.endpoint(),
        ErrorClass::Other,
        format!("the listing of {stream} has more than {PAGES_MAX} pages"),
    ))
}

fn sorted(mut shards: Vec<Shard>) -> Vec<Shard> {
    shards.sort_by(|a, b| a.id.cmp(&b.id).then(a.is_open().cmp(&b.is_open())));
    shards.dedup_by(|a, b| a.id == b.id);
    shards
}
