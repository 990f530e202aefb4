//! `SubscribeToShard`: pushes a shard's records to a registered consumer for 5 minutes.
//!
//! As on the service, a second subscription of the same consumer and shard is refused for 5 seconds and then
//! takes the place of the first; an event comes at least every 5 seconds, with or without records; at the end of
//! a closed shard the last event names the children and no continuation.

mod events;

use std::sync::Arc;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{
    consumer, named_shard,
    position::{POSITION_KINDS, Position},
    shapes::{ChildShard, Record},
};
use crate::local::{
    api_error::{ApiError, CallFailure},
    core::Core,
    protocol::values::{Timestamp, read_from_maps},
    state::{shard::shard_index, stream::Stream},
    validate::{CONSUMER_ARN, Checks, NAME as SHARD_ID, SEQUENCE_NUMBER},
};

pub(in crate::local) use events::Subscription;

/// The API's name.
pub(in crate::local) const NAME: &str = "SubscribeToShard";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(rename = "ConsumerARN")]
    pub(in crate::local) consumer_arn: Option<String>,
    pub(in crate::local) shard_id: Option<String>,
    pub(in crate::local) starting_position: Option<StartingPosition>,
    pub(in crate::local) dry_run: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", remote = "Self")]
pub(in crate::local) struct StartingPosition {
    #[serde(rename = "Type")]
    pub(in crate::local) kind: Option<String>,
    pub(in crate::local) sequence_number: Option<String>,
    pub(in crate::local) timestamp: Option<Timestamp>,
}

read_from_maps!(StartingPosition);

/// One event of a subscription: `SubscribeToShardEvent`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Event {
    pub(in crate::local) records: Vec<Record>,
    /// The number to go on from if the subscription breaks; absent at the end of a closed shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) continuation_sequence_number: Option<ByteString>,
    pub(in crate::local) millis_behind_latest: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) child_shards: Option<Vec<ChildShard>>,
}

/// A subscription that was accepted.
#[derive(Debug)]
struct Accepted {
    stream: Arc<Stream>,
    consumer_name: String,
    shard_index: u32,
    /// The counter of the first record to push.
    counter: u64,
    /// The number of this subscription among the consumer's to this shard.
    count: u64,
}

/// Opens a subscription. The HTTP face sends an `initial-response` frame, then one frame per event.
pub(in crate::local) async fn open(
    core: &Core,
    request: Request,
) -> Result<Subscription, CallFailure> {
    let mut lost = false;
    if core.faults.may_strike() {
        let shards = named_shard(request.shard_id.as_deref());
        let plan = core.faults.plan(NAME, &shards, 0);
        super::wait(plan.delay).await;
        if let Some(error) = plan.refused {
            return Err(error.into());
        }
        lost = plan.lost;
    }
    let accepted = accept(core, &request)?;
    core.kept().await?;
    if lost {
        return Err(CallFailure::ResponseLost);
    }
    Ok(Subscription::new(core, accepted))
}

fn accept(core: &Core, request: &Request) -> Result<Accepted, ApiError> {
    let position = request.starting_position.as_ref();
    let kind = position.and_then(|position| position.kind.as_deref());
    let number = position.and_then(|position| position.sequence_number.as_deref());
    let mut checks = Checks::new();
    let arn = checks.required_text("consumerARN", request.consumer_arn.as_deref(), CONSUMER_ARN);
    let shard_id = checks.required_text("shardId", request.shard_id.as_deref(), SHARD_ID);
    checks.one_of("startingPosition.type", kind, POSITION_KINDS);
    let kind = checks.required("startingPosition.type", kind);
    checks.text("startingPosition.sequenceNumber", number, SEQUENCE_NUMBER);
    checks.finish()?;
    let position = Position {
        kind,
        sequence_number: number,
        timestamp: position.and_then(|position| position.timestamp),
        operation: NAME,
    };

    let now_millis = core.now_millis();
    let (stream, consumer_name) = core.consumer(arn, now_millis)?;
    let state = stream.read(now_millis);
    if !state.is_usable() {
        return Err(stream.not_found());
    }
    let consumer = state
        .consumers(now_millis)
        .find(|consumer| consumer.arn == arn)
        .ok_or_else(|| consumer::not_found(&consumer_name, &stream))?;
    if consumer.status(now_millis) != "ACTIVE" {
        return Err(consumer::not_active(consumer, &stream));
    }
    let index = shard_index(shard_id).ok_or_else(|| stream.shard_not_found(shard_id))?;
    let shard = state
        .shard(index, now_millis)
        .ok_or_else(|| stream.shard_missing(shard_id))?;
    let counter = position.counter(&stream, &state, shard, now_millis)?;
    if request.dry_run == Some(true) {
        return Err(ApiError::dry_run_passed());
    }
    let count = consumer
        .subscribe(index, now_millis)
        .ok_or_else(|| consumer::subscribed_already(consumer, &stream, shard))?;
    drop(state);
    Ok(Accepted {
        stream,
        consumer_name,
        shard_index: index,
        counter,
        count,
    })
}
