//! The stream's shards, read page by page.

use std::{collections::HashSet, sync::Arc, time::Duration};

use crate::{
    put::admission::shared::Shared,
    service::{ErrorClass, ListShards, ServiceError, ShardFilter},
    shard::Shard,
};

/// No stream has more pages of 1,000 shards.
const PAGES_MAX: usize = 1_000;
/// The answer to a page is waited for at most this long: records wait for it.
const PAGE_TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// The scope of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::put) enum Listed {
    /// Those that are open.
    Open,
    /// All that are retained: a shard that stored a record may have been closed since.
    All,
}

/// Lists the shards of the stream. A shard that comes twice counts once, and a token that comes twice ends the listing:
/// some servers repeat it for ever.
///
/// # Errors
/// The first error of a page, or that the listing does not end.
pub(in crate::put) async fn list(
    shared: Arc<Shared>,
    listed: Listed,
) -> Result<Vec<Shard>, Box<ServiceError>> {
    let service = &shared.target.service;
    let time = shared.options.request_timeout.min(PAGE_TIMEOUT_MAX);
    let mut first = ListShards::new(shared.target.stream.clone());
    if listed == Listed::Open {
        first = first.filter(ShardFilter::AtLatest);
    }
    let (mut shards, mut tokens) = (Vec::new(), HashSet::new());
    let mut call = first.clone();
    for _ in 0..PAGES_MAX {
        let page = tokio::time::timeout(time, service.list_shards(call)).await;
        let page = page.map_err(|_| unanswered(&shared, ErrorClass::Transient, TOO_LATE))??;
        shards.extend(page.shards);
        match page.next_token {
            Some(token) if tokens.insert(token.clone()) => call = first.clone().next_token(token),
            _ => return Ok(distinct(shards)),
        }
    }
    Err(unanswered(&shared, ErrorClass::Other, TOO_LONG).into())
}

const TOO_LATE: &str = "no answer came in time";
const TOO_LONG: &str = "the listing has more than 1,000 pages";

fn unanswered(shared: &Shared, class: ErrorClass, message: &str) -> ServiceError {
    let endpoint = shared.endpoint.as_ref();
    ServiceError::unanswered("ListShards", endpoint, class, message)
}

fn distinct(mut shards: Vec<Shard>) -> Vec<Shard> {
    shards.sort_by(|a, b| a.id.cmp(&b.id));
    shards.dedup_by(|a, b| a.id == b.id);
    shards
}
