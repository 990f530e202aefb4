//! `DeregisterStreamConsumer`: removes a consumer; its subscriptions end.

use serde::Deserialize;

use super::{Nothing, Operation, consumer};
use crate::local::{
    api_error::ApiError,
    core::Core,
    validate::{Checks, stream_name_of_arn},
};

pub(in crate::local) struct DeregisterStreamConsumer;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(rename = "StreamARN")]
    pub(in crate::local) stream_arn: Option<String>,
    pub(in crate::local) consumer_name: Option<String>,
    #[serde(rename = "ConsumerARN")]
    pub(in crate::local) consumer_arn: Option<String>,
}

impl Operation for DeregisterStreamConsumer {
    const NAME: &'static str = "DeregisterStreamConsumer";
    type Request = Request;
    type Response = Nothing;

    fn rated_stream(request: &Request) -> Option<&str> {
        let arn = request
            .consumer_arn
            .as_deref()
            .or(request.stream_arn.as_deref());
        arn.and_then(stream_name_of_arn)
    }

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let (stream_arn, name) = (
            request.stream_arn.as_deref(),
            request.consumer_name.as_deref(),
        );
        let consumer_arn = request.consumer_arn.as_deref();
        let mut checks = Checks::new();
        consumer::check(&mut checks, stream_arn, name, consumer_arn);
        checks.finish()?;
        let now_millis = core.now_millis();
        let (stream, name) = consumer::find(core, stream_arn, name, consumer_arn, now_millis)?;
        let mut state = stream.write(now_millis);
        let due_millis = core.due_millis(now_millis);
        state
            .consumers
            .retain(|_, consumer| !consumer.is_gone(now_millis));
        match state.consumers.get_mut(&name) {
            None => return Err(consumer::not_found(&name, &stream)),
            Some(consumer) if consumer.gone_millis.is_some() => {
                return Err(consumer::not_active(consumer, &stream));
            }
            Some(consumer) => consumer.gone_millis = Some(due_millis),
        }
        state.topology.wake();
        Ok(Nothing {})
    }
}
