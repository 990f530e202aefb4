//! `ListStreams`: the account's streams by name, in pages.

use serde::{Deserialize, Serialize};

use super::{Operation, shapes::StreamModeDetails};
use crate::local::{
    api_error::ApiError,
    core::Core,
    protocol::values::Timestamp,
    state::{page_token::PageToken, stream::Stream},
    validate::{Checks, NAME, NEXT_TOKEN},
};

const LIMIT_MAX: i64 = 10_000;
const LIMIT_DEFAULT: i64 = 100;

pub(in crate::local) struct ListStreams;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    pub(in crate::local) exclusive_start_stream_name: Option<String>,
    pub(in crate::local) limit: Option<i64>,
    pub(in crate::local) next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    pub(in crate::local) stream_names: Vec<String>,
    pub(in crate::local) has_more_streams: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) next_token: Option<String>,
    pub(super) stream_summaries: Vec<Summary>,
}

#[derive(Debug, Serialize)]
pub(in crate::local) struct Summary {
    #[serde(rename = "StreamName")]
    name: String,
    #[serde(rename = "StreamARN")]
    arn: String,
    #[serde(rename = "StreamStatus")]
    status: String,
    #[serde(rename = "StreamModeDetails")]
    mode: StreamModeDetails,
    #[serde(rename = "StreamCreationTimestamp")]
    created_at: Timestamp,
}

impl Operation for ListStreams {
    const NAME: &'static str = "ListStreams";
    type Request = Request;
    type Response = Response;

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let Request {
            exclusive_start_stream_name: start,
            limit,
            next_token,
        } = request;
        let mut checks = Checks::new();
        checks.text("exclusiveStartStreamName", start.as_deref(), NAME);
        checks.number("limit", limit, 1, LIMIT_MAX);
        checks.text("nextToken", next_token.as_deref(), NEXT_TOKEN);
        checks.finish()?;
        let limit = usize::try_from(limit.unwrap_or(LIMIT_DEFAULT)).unwrap_or(usize::MAX);

        let now_millis = core.now_millis();
        let token = next_token.map(|text| PageToken::read(&text, now_millis));
        let after = match token.transpose()? {
            Some(token) => token.name,
            None => start.unwrap_or_default(),
        };
        let mut streams = core.streams(now_millis);
        streams.retain(|stream| stream.name > after);
        let has_more_streams = streams.len() > limit;
        streams.truncate(limit);
        let last = streams.last().filter(|_| has_more_streams);
        let next_token = last.map(|last| PageToken::new(&last.name, Vec::new()).text(now_millis));
        let stream_names: Vec<_> = streams.iter().map(|stream| stream.name.clone()).collect();
        Ok(Response {
            stream_names,
            has_more_streams,
            next_token,
            stream_summaries: streams
                .iter()
                .map(|stream| summary(stream, now_millis))
                .collect(),
        })
    }
}

fn summary(stream: &Stream, now_millis: u64) -> Summary {
    let state = stream.read(now_millis);
    Summary {
        name: stream.name.clone(),
        arn: stream.arn.clone(),
        status: state.status.to_string(),
        mode: StreamModeDetails::of(state.is_on_demand),
        created_at: Timestamp::from_millis(stream.created_millis),
    }
}
