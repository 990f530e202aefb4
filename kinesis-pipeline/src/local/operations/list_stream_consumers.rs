//! `ListStreamConsumers`: a stream's consumers by name, in pages.

use serde::{Deserialize, Serialize};

use super::{Operation, consumer::ConsumerShape};
use crate::local::{
    api_error::ApiError,
    core::Core,
    protocol::values::Timestamp,
    state::page_token::PageToken,
    validate::{Checks, NEXT_TOKEN, STREAM_ARN, stream_name_of_arn},
};

const LIMIT_MAX: i64 = 10_000;
const LIMIT_DEFAULT: i64 = 100;

pub(in crate::local) struct ListStreamConsumers;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(rename = "StreamARN")]
    pub(in crate::local) stream_arn: Option<String>,
    pub(in crate::local) next_token: Option<String>,
    pub(in crate::local) max_results: Option<i64>,
    pub(in crate::local) stream_creation_timestamp: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    pub(in crate::local) consumers: Vec<ConsumerShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) next_token: Option<String>,
}

impl Operation for ListStreamConsumers {
    const NAME: &'static str = "ListStreamConsumers";
    type Request = Request;
    type Response = Response;

    fn rated_stream(request: &Request) -> Option<&str> {
        request.stream_arn.as_deref().and_then(stream_name_of_arn)
    }

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let arn = request.stream_arn.as_deref();
        let mut checks = Checks::new();
        checks.required_text("streamARN", arn, STREAM_ARN);
        checks.text("nextToken", request.next_token.as_deref(), NEXT_TOKEN);
        checks.number("maxResults", request.max_results, 1, LIMIT_MAX);
        checks.finish()?;
        if request.next_token.is_some() && request.stream_creation_timestamp.is_some() {
            return Err(ApiError::invalid_argument(
                "NextToken and StreamCreationTimestamp cannot be provided together.",
            ));
        }
        let limit = request
            .max_results
            .unwrap_or(LIMIT_DEFAULT)
            .min(LIMIT_DEFAULT);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let now_millis = core.now_millis();
        let stream = core.stream(None, arn, now_millis)?;
        if let Some(created) = request.stream_creation_timestamp
            && created.millis() / 1000 != stream.created_millis / 1000
        {
            return Err(stream.not_found());
        }
        let token = request
            .next_token
            .as_deref()
            .map(|text| PageToken::read(text, now_millis));
        let after = token
            .transpose()?
            .map_or_else(String::new, |token| token.name);
        let state = stream.read(now_millis);
        let mut later = state
            .consumers(now_millis)
            .filter(|consumer| consumer.name > after);
        let consumers: Vec<_> = later
            .by_ref()
            .take(limit)
            .map(|consumer| ConsumerShape::new(consumer, now_millis))
            .collect();
        let last = consumers.last().filter(|_| later.next().is_some());
        let next_token = last.map(|last| PageToken::new(&last.name, Vec::new()).text(now_millis));
        Ok(Response {
            consumers,
            next_token,
        })
    }
}
