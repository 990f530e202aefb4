//! The stream's open shards, read page by page.

use std::sync::Arc;

use crate::{
    put::admission::shared::Settings,
    service::{ErrorClass, ListShards, ServiceError, ShardFilter},
    shard::Shard,
};

/// No stream has more pages of 1,000 shards.
const PAGES_MAX: usize = 1_000;

/// Lists the shards that are open.
pub(crate) async fn open_shards(settings: Arc<Settings>) -> Result<Vec<Shard>, Box<ServiceError>> {
    let service = &settings.target.service;
    let first = ListShards::new(settings.target.stream.clone()).filter(ShardFilter::AtLatest);
    let mut shards = Vec::new();
    let mut call = first.clone();
    for _ in 0..PAGES_MAX {
        let time = settings.options.request_timeout;
        let page = tokio::time::timeout(time, service.list_shards(call)).await;
        let page = page.map_err(|_| timed_out(&settings))??;
        shards.extend(page.shards);
        match page.next_token {
            Some(token) => call = first.clone().next_token(token),
            None => break,
        }
    }
    Ok(shards)
}

fn timed_out(settings: &Settings) -> ServiceError {
    let endpoint = settings.endpoint.as_ref();
    let message = "no answer came in time";
    ServiceError::unanswered("ListShards", endpoint, ErrorClass::Transient, message)
}
