//! The listing of a stream's shards, page by page.

use std::{collections::HashSet, time::Duration};

use super::{ErrorClass, Kinesis, ListShards, ServiceError, ShardFilter, StreamId};
use crate::shard::Shard;

/// The largest number of pages of one listing: a million shards at the service's page size.
const PAGES_MAX: usize = 1_000;
/// The time limit of one page, if the caller has no limit of its own.
const PAGE_TIMEOUT_MAX: Duration = Duration::from_secs(30);

/// The scope of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// The shards that are open.
    Open,
    /// All retained shards, open and closed: a shard that stored a record may have been closed since.
    All,
}

/// Lists all shards of a stream that are retained, open and closed, as [`list`] does.
///
/// # Errors
/// As those of [`list`].
pub(crate) async fn list_all(
    service: &dyn Kinesis,
    stream: &StreamId,
) -> Result<Vec<Shard>, ServiceError> {
    list(service, stream, Listed::All, PAGE_TIMEOUT_MAX).await
}

/// Lists shards of a stream, sorted by id, which is by age.
///
/// It tolerates servers whose paging is broken. A token that comes twice ends the listing. A shard that comes twice
/// counts once, and as closed if it is closed on one of the pages: it was closed while the pages were read.
///
/// # Errors
/// The first error of a page; a page that takes longer than `page_timeout`; a listing of more than `PAGES_MAX` pages.
pub(crate) async fn list(
    service: &dyn Kinesis,
    stream: &StreamId,
    listed: Listed,
    page_timeout: Duration,
) -> Result<Vec<Shard>, ServiceError> {
    let unanswered = |class, message: String| {
        ServiceError::unanswered("ListShards", service.endpoint(), class, message)
    };
    let mut first = ListShards::new(stream.clone());
    if listed == Listed::Open {
        first = first.filter(ShardFilter::AtLatest);
    }
    let (mut shards, mut tokens) = (Vec::new(), HashSet::new());
    let mut call = first.clone();
    for _ in 0..PAGES_MAX {
        let page = tokio::time::timeout(page_timeout, service.list_shards(call)).await;
        let page =
            page.map_err(|_| unanswered(ErrorClass::Transient, too_late(page_timeout)))??;
        shards.extend(page.shards);
        match page.next_token {
            Some(token) if tokens.insert(token.clone()) => call = first.clone().next_token(token),
            _ => return Ok(sorted(shards)),
        }
    }
    let endless = format!("the listing of {stream} has more than {PAGES_MAX} pages");
    Err(unanswered(ErrorClass::Other, endless))
}

fn too_late(timeout: Duration) -> String {
    format!("no answer came within {timeout:?}")
}

fn sorted(mut shards: Vec<Shard>) -> Vec<Shard> {
    shards.sort_by(|a, b| a.id.cmp(&b.id).then(a.is_open().cmp(&b.is_open())));
    shards.dedup_by(|a, b| a.id == b.id);
    shards
}
