//! `RegisterStreamConsumer`: registers a consumer for enhanced fan-out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Operation, consumer::ConsumerShape, tags};
use crate::local::{
    api_error::ApiError,
    core::Core,
    state::{
        consumer::Consumer,
        stream::{Stream, StreamState},
    },
    validate::{Checks, NAME, STREAM_ARN},
};

/// The most consumers a stream has, and how many of them can be in `CREATING` at once.
const CONSUMERS_MAX: usize = 20;
const CREATING_MAX: usize = 5;

pub(in crate::local) struct RegisterStreamConsumer;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(rename = "StreamARN")]
    pub(in crate::local) stream_arn: Option<String>,
    pub(in crate::local) consumer_name: Option<String>,
    pub(in crate::local) tags: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    pub(in crate::local) consumer: ConsumerShape,
}

impl Operation for RegisterStreamConsumer {
    const NAME: &'static str = "RegisterStreamConsumer";
    type Request = Request;
    type Response = Response;

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let arn = request.stream_arn.as_deref();
        let mut checks = Checks::new();
        checks.required_text("streamARN", arn, STREAM_ARN);
        let name = checks.required_text("consumerName", request.consumer_name.as_deref(), NAME);
        if let Some(tags) = &request.tags {
            tags::check(&mut checks, tags);
        }
        checks.finish()?;
        let now_millis = core.now_millis();
        let stream = core.stream(None, arn, now_millis)?;
        let mut state = stream.write(now_millis);
        stream.check_usable(&state)?;
        check_room(&stream, &state, name, now_millis)?;
        let active_millis = core.due_millis(now_millis);
        let mut consumer = Consumer::new(name, &stream.arn, now_millis, active_millis);
        tags::add(&mut consumer.tags, request.tags.unwrap_or_default())?;
        let shape = ConsumerShape::new(&consumer, now_millis);
        state.consumers.insert(name.to_owned(), consumer);
        Ok(Response { consumer: shape })
    }
}

fn check_room(
    stream: &Stream,
    state: &StreamState,
    name: &str,
    now_millis: u64,
) -> Result<(), ApiError> {
    let (mut all, mut creating) = (0, 0);
    for consumer in state.consumers(now_millis) {
        if consumer.name == name {
            return Err(ApiError::in_use(format!(
                "Consumer {name} of stream {} under account {} already exists.",
                stream.name, stream.account_id
            )));
        }
        all += 1;
        creating += usize::from(consumer.status(now_millis) == "CREATING");
    }
    if all < CONSUMERS_MAX && creating < CREATING_MAX {
        return Ok(());
    }
    Err(ApiError::limit_exceeded(format!(
        "Stream {} under account {} has {all} consumers, {creating} of them in CREATING: \
         it can have {CONSUMERS_MAX}, and {CREATING_MAX} in CREATING.",
        stream.name, stream.account_id
    )))
}
