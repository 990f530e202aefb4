//! Answers: their status, headers and bodies.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::{Response, StatusCode, header::HeaderValue};
use uuid::Uuid;

use super::events::EventBody;
use crate::local::{api_error::ApiError, protocol::Format};

/// A whole body, or events as they come.
pub(super) type Body = Either<Full<Bytes>, EventBody>;

/// The media type of a stream of events.
const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";
/// How many random bytes the second request id has.
const EXTENDED_ID_BYTES: usize = 54;

/// The code for a request that is too long as a whole.
pub(super) const TOO_LONG: &str = "RequestEntityTooLargeException";

/// The answer of a call that was carried out.
pub(super) fn success(format: Format, body: Bytes) -> Response<Body> {
    answer(
        StatusCode::OK,
        format,
        format.content_type(),
        Either::Left(Full::new(body)),
    )
}

/// The answer of a subscription.
pub(super) fn events(format: Format, body: EventBody) -> Response<Body> {
    answer(StatusCode::OK, format, EVENT_STREAM, Either::Right(body))
}

/// The answer of a call that failed.
pub(super) fn failure(format: Format, error: &ApiError) -> Response<Body> {
    let body = Full::new(format.write_error(error).into());
    let content_type = format.content_type();
    let mut response = answer(status(error), format, content_type, Either::Left(body));
    response
        .headers_mut()
        .insert("x-amzn-errortype", HeaderValue::from_static(error.code));
    response
}

fn status(error: &ApiError) -> StatusCode {
    if error.code == TOO_LONG {
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn answer(
    status: StatusCode,
    format: Format,
    content_type: &'static str,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static(content_type));
    headers.insert("x-amzn-requestid", header_value(Uuid::new_v4().to_string()));
    headers.insert("x-amz-id-2", header_value(extended_id()));
    if format == Format::RpcCbor {
        headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    }
    response
}

fn extended_id() -> String {
    let mut bytes = [0; EXTENDED_ID_BYTES];
    fastrand::fill(&mut bytes);
    STANDARD.encode(bytes)
}

fn header_value(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text))
        .expect("ids are ASCII without control characters")
}
