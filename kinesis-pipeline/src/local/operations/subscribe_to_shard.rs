//! `SubscribeToShard`: pushes a shard's records to a registered consumer for 5 minutes.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytestring::ByteString;
use futures_core::Stream;
use serde::{Deserialize, Serialize};

use crate::local::{
    api_error::{ApiError, CallFailure},
    core::Core,
    protocol::values::Timestamp,
};

use super::shapes::{ChildShard, Record};

/// The API's name.
pub(crate) const NAME: &str = "SubscribeToShard";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    #[serde(rename = "ConsumerARN")]
    pub(crate) consumer_arn: Option<String>,
    pub(crate) shard_id: Option<String>,
    pub(crate) starting_position: Option<StartingPosition>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StartingPosition {
    #[serde(rename = "Type")]
    pub(crate) kind: Option<String>,
    pub(crate) sequence_number: Option<String>,
    pub(crate) timestamp: Option<Timestamp>,
}

/// One event of a subscription: `SubscribeToShardEvent`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Event {
    pub(crate) records: Vec<Record>,
    pub(crate) continuation_sequence_number: ByteString,
    pub(crate) millis_behind_latest: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) child_shards: Option<Vec<ChildShard>>,
}

/// Events until the subscription ends; an error event is the last one.
pub(crate) struct Subscription {}

impl Stream for Subscription {
    type Item = Result<Event, ApiError>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}

/// Opens a subscription. The HTTP face sends an `initial-response` frame, then one frame per event.
pub(crate) async fn open(core: &Core, request: Request) -> Result<Subscription, CallFailure> {
    let _ = (core, request);
    std::future::ready(()).await;
    Err(ApiError::unknown_operation("SubscribeToShard is not there yet").into())
}
