//! `ListShards`: a stream's shards by id, filtered, in pages.

use serde::{Deserialize, Serialize};

use super::{Operation, shapes::ShardShape};
use crate::local::{
    api_error::ApiError,
    core::Core,
    protocol::values::{Timestamp, read_from_maps},
    state::{
        page_token::PageToken,
        shard::{Shard, shard_index},
        stream::{Stream, StreamState},
    },
    stream_ref::StreamRef,
    validate::{NAME, NEXT_TOKEN},
};

const LIMIT_MAX: i64 = 10_000;
const LIMIT_DEFAULT: i64 = 1_000;

pub(in crate::local) struct ListShards;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
    pub(in crate::local) next_token: Option<String>,
    pub(in crate::local) exclusive_start_shard_id: Option<String>,
    pub(in crate::local) max_results: Option<i64>,
    pub(in crate::local) stream_creation_timestamp: Option<Timestamp>,
    pub(in crate::local) shard_filter: Option<Filter>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", remote = "Self")]
pub(in crate::local) struct Filter {
    #[serde(rename = "Type")]
    pub(in crate::local) kind: Option<String>,
    pub(in crate::local) shard_id: Option<String>,
    pub(in crate::local) timestamp: Option<Timestamp>,
}

read_from_maps!(Filter);

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    pub(in crate::local) shards: Vec<ShardShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) next_token: Option<String>,
}

const FILTERS: &[&str] = &[
    "AFTER_SHARD_ID",
    "AT_TRIM_HORIZON",
    "FROM_TRIM_HORIZON",
    "AT_LATEST",
    "AT_TIMESTAMP",
    "FROM_TIMESTAMP",
];

/// A filter of shards, with every member resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Open,
    /// Open at this time, in milliseconds.
    At(u64),
    /// Open at this time or later.
    From(u64),
}

/// The position of a listing, as its token carries it.
#[derive(Clone, Copy, Debug)]
struct Place {
    after: Option<u32>,
    wanted: Wanted,
}

impl Operation for ListShards {
    const NAME: &'static str = "ListShards";
    const CALLS_PER_SECOND: Option<u32> = Some(1_000);
    type Request = Request;
    type Response = Response;

    fn rated_stream(request: &Request) -> Option<&str> {
        request.stream.any_name()
    }

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        check(&request)?;
        let limit = request
            .max_results
            .unwrap_or(LIMIT_DEFAULT)
            .min(LIMIT_DEFAULT);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let now_millis = core.now_millis();
        if let Some(text) = &request.next_token {
            let (name, place) = place_of_token(text, &request, now_millis)?;
            let stream = core.stream(Some(&name), None, now_millis)?;
            return page(&stream, place, limit, now_millis);
        }
        if request.stream.is_empty() {
            return Err(ApiError::invalid_argument(
                "Either NextToken or StreamName should be provided.",
            ));
        }
        let (stream, now_millis) = core.named(&request.stream)?;
        if let Some(created) = request.stream_creation_timestamp
            && created.millis() / 1000 != stream.created_millis / 1000
        {
            return Err(stream.not_found());
        }
        let place = {
            let state = stream.read(now_millis);
            place_of_request(&request, &stream, &state, now_millis)?
        };
        page(&stream, place, limit, now_millis)
    }
}

fn check(request: &Request) -> Result<(), ApiError> {
    let mut checks = request.stream.checks();
    let filter = request.shard_filter.as_ref();
    checks.text("nextToken", request.next_token.as_deref(), NEXT_TOKEN);
    let start = request.exclusive_start_shard_id.as_deref();
    checks.text("exclusiveStartShardId", start, NAME);
    checks.number("maxResults", request.max_results, 1, LIMIT_MAX);
    if let Some(filter) = filter {
        checks.required("shardFilter.type", filter.kind.as_deref());
        checks.one_of("shardFilter.type", filter.kind.as_deref(), FILTERS);
        checks.text("shardFilter.shardId", filter.shard_id.as_deref(), NAME);
    }
    checks.finish()
}

fn place_of_token(
    text: &str,
    request: &Request,
    now_millis: u64,
) -> Result<(String, Place), ApiError> {
    if request.stream.arn().is_some() {
        return Err(ApiError::invalid_argument(
            "NextToken and StreamARN cannot be provided together.",
        ));
    }
    let other = request.stream.name().is_some()
        || request.exclusive_start_shard_id.is_some()
        || request.stream_creation_timestamp.is_some()
        || request.shard_filter.is_some();
    if other {
        return Err(ApiError::invalid_argument(
            "NextToken and StreamName cannot be provided together.",
        ));
    }
    let token = PageToken::read(text, now_millis)?;
    let [after, kind, millis] = token.parts[..] else {
        return Err(PageToken::invalid());
    };
    let wanted = match kind {
        0 => Wanted::All,
        1 => Wanted::Open,
        2 => Wanted::At(millis),
        _ => Wanted::From(millis),
    };
    let after = u32::try_from(after).map_err(|_| PageToken::invalid())?;
    let place = Place {
        after: Some(after),
        wanted,
    };
    Ok((token.name, place))
}

fn place_of_request(
    request: &Request,
    stream: &Stream,
    state: &StreamState,
    now_millis: u64,
) -> Result<Place, ApiError> {
    let start = request.exclusive_start_shard_id.as_deref();
    let mut after = start.map(index_of).transpose()?;
    let horizon = state.horizon_millis(now_millis).max(stream.created_millis);
    let Some(filter) = &request.shard_filter else {
        return Ok(Place {
            after,
            wanted: Wanted::All,
        });
    };
    check_members(filter)?;
    let millis = filter.timestamp.map_or(0, Timestamp::millis);
    let wanted = match filter.kind.as_deref() {
        Some("AFTER_SHARD_ID") => {
            let filtered = filter.shard_id.as_deref().map(index_of).transpose()?;
            after = after.max(filtered);
            Wanted::All
        }
        Some("AT_TRIM_HORIZON") => Wanted::At(horizon),
        Some("AT_LATEST") => Wanted::Open,
        Some("AT_TIMESTAMP") => Wanted::At(not_in_the_future(millis, now_millis)?.max(horizon)),
        Some("FROM_TIMESTAMP") => Wanted::From(not_in_the_future(millis, now_millis)?.max(horizon)),
        _ => Wanted::From(horizon),
    };
    Ok(Place { after, wanted })
}

fn check_members(filter: &Filter) -> Result<(), ApiError> {
    let kind = filter.kind.as_deref().unwrap_or_default();
    let needs_shard = kind == "AFTER_SHARD_ID";
    let needs_time = kind.ends_with("_TIMESTAMP");
    let wrong = |member: &str, needed: bool| {
        let must = if needed { "must" } else { "must not" };
        let words = format!("{member} {must} be given with a ShardFilter of type {kind}.");
        Err(ApiError::invalid_argument(words))
    };
    if filter.shard_id.is_some() != needs_shard {
        return wrong("ShardId", needs_shard);
    }
    if filter.timestamp.is_some() != needs_time {
        return wrong("Timestamp", needs_time);
    }
    Ok(())
}

fn not_in_the_future(millis: u64, now_millis: u64) -> Result<u64, ApiError> {
    if millis <= now_millis {
        return Ok(millis);
    }
    Err(ApiError::invalid_argument(format!(
        "The timestamp of a ShardFilter cannot be greater than the current time. \
         timestampInMillis: {millis}, currentTimestampInMillis: {now_millis}"
    )))
}

fn index_of(shard_id: &str) -> Result<u32, ApiError> {
    shard_index(shard_id)
        .ok_or_else(|| ApiError::invalid_argument(format!("{shard_id} is not the id of a shard.")))
}

fn page(
    stream: &Stream,
    place: Place,
    limit: usize,
    now_millis: u64,
) -> Result<Response, ApiError> {
    let state = stream.read(now_millis);
    if state.status == crate::service::StreamStatus::Creating {
        return Err(stream.not_active(state.status));
    }
    let mut shards = state
        .shards(now_millis)
        .filter(|shard| place.after.is_none_or(|after| shard.index > after))
        .filter(|shard| place.wanted.has(shard));
    let page: Vec<&Shard> = shards.by_ref().take(limit).collect();
    let has_more = shards.next().is_some();
    let last = page.last().filter(|_| has_more);
    let next_token = last.map(|last| {
        let (kind, millis) = place.wanted.code();
        PageToken::new(&stream.name, vec![last.index.into(), kind, millis]).text(now_millis)
    });
    Ok(Response {
        shards: page.into_iter().map(ShardShape::from).collect(),
        next_token,
    })
}

impl Wanted {
    fn code(self) -> (u64, u64) {
        match self {
            Self::All => (0, 0),
            Self::Open => (1, 0),
            Self::At(millis) => (2, millis),
            Self::From(millis) => (3, millis),
        }
    }

    /// Whether the shard is asked for.
    fn has(self, shard: &Shard) -> bool {
        let closed = shard.closed.as_ref().map(|closed| closed.at_millis);
        match self {
            Self::All => true,
            Self::Open => closed.is_none(),
            Self::At(millis) => {
                shard.created_millis <= millis && closed.is_none_or(|closed| closed >= millis)
            }
            Self::From(millis) => closed.is_none_or(|closed| closed >= millis),
        }
    }
}
