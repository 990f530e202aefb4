//! `DescribeStreamConsumer`: a registered consumer.

use serde::{Deserialize, Serialize};

use super::{
    Operation,
    consumer::{self, ConsumerShape},
};
use crate::local::{
    api_error::ApiError,
    core::Core,
    validate::{Checks, stream_name_of_arn},
};

pub(in crate::local) struct DescribeStreamConsumer;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(rename = "StreamARN")]
    pub(in crate::local) stream_arn: Option<String>,
    pub(in crate::local) consumer_name: Option<String>,
    #[serde(rename = "ConsumerARN")]
    pub(in crate::local) consumer_arn: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    pub(in crate::local) consumer_description: ConsumerShape,
}

impl Operation for DescribeStreamConsumer {
    const NAME: &'static str = "DescribeStreamConsumer";
    const CALLS_PER_SECOND: Option<u32> = Some(20);
    type Request = Request;
    type Response = Response;

    fn rated_stream(request: &Request) -> Option<&str> {
        let arn = request
            .consumer_arn
            .as_deref()
            .or(request.stream_arn.as_deref());
        arn.and_then(stream_name_of_arn)
    }

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
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
        let state = stream.read(now_millis);
        let found = state
            .consumers(now_millis)
            .find(|consumer| consumer.name == name);
        let found = found.ok_or_else(|| consumer::not_found(&name, &stream))?;
        let mut shape = ConsumerShape::new(found, now_millis);
        shape.stream_arn = Some(stream.arn.clone());
        Ok(Response {
            consumer_description: shape,
        })
    }
}
