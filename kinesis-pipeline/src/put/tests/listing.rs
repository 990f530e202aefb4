//! The listing of shards that the producer makes.

use std::{sync::Arc, time::Duration};

use super::network::{Faults, Network};
use crate::{
    Shard,
    service::{
        ServiceError,
        list_all::{self, Listed},
    },
};

async fn list(network: &Arc<Network>, listed: Listed) -> Result<Vec<Shard>, ServiceError> {
    let target = network.stream().target.clone();
    let page_timeout = Duration::from_secs(10);
    list_all::list(&*target.service, &target.stream, listed, page_timeout).await
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_again_ends_the_listing_and_no_shard_counts_twice() {
    let network = Network::new(3, 1).await;
    network.set_faults(Faults {
        repeated_tokens: 1.0,
        ..Faults::default()
    });
    let shards = list(&network, Listed::Open).await.unwrap();
    assert_eq!(shards.len(), 3);
    assert_eq!(network.lists(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_listing_without_end_is_an_error() {
    let network = Network::new(3, 1).await;
    network.set_faults(Faults {
        endless_tokens: true,
        ..Faults::default()
    });
    let error = list(&network, Listed::Open).await.unwrap_err();
    assert!(error.to_string().contains("1000 pages"), "{error}");
    assert_eq!(network.lists(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn closed_shards_are_listed_only_if_they_are_asked_for() {
    let network = Network::new(1, 1).await;
    network.split(0).await;
    let listed = async |which| list(&network, which).await.unwrap().len();
    assert_eq!(listed(Listed::Open).await, 2);
    assert_eq!(listed(Listed::All).await, 3);
}
