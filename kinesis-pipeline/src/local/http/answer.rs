//! Answers: their status, headers and bodies.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::{HeaderMap, Response, StatusCode, header::HeaderValue};
use uuid::Uuid;

use super::{cors, events::EventBody};
use crate::local::{api_error::ApiError, protocol::Format};

/// A whole body, or events as they come.
pub(super) type Body = Either<Full<Bytes>, EventBody>;

/// The media type of a stream of events.
const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";
/// The body of the answer to a method other than `POST`, in the service's words.
const FORBIDDEN: &[u8] = b"<AccessDeniedException>\n  \
    <Message>Unable to determine service/operation name to be authorized</Message>\n\
    </AccessDeniedException>\n";
/// The number of random bytes in the second request id.
const EXTENDED_ID_BYTES: usize = 72;

/// The code for a request that is too long as a whole.
pub(super) const TOO_LONG: &str = "RequestEntityTooLargeException";

/// Returns the answer of a call that was carried out.
pub(super) fn success(format: Format, body: Bytes) -> Response<Body> {
    answer(
        StatusCode::OK,
        format,
        format.content_type(),
        Either::Left(Full::new(body)),
    )
}

/// Returns the answer of a subscription.
pub(super) fn events(format: Format, body: EventBody) -> Response<Body> {
    answer(StatusCode::OK, format, EVENT_STREAM, Either::Right(body))
}

/// Returns the answer of a call that failed.
pub(super) fn failure(format: Format, error: &ApiError) -> Response<Body> {
    let body = Full::new(format.write_error(error).into());
    let content_type = format.content_type();
    let mut response = answer(status(error), format, content_type, Either::Left(body));
    response
        .headers_mut()
        .insert("x-amzn-errortype", HeaderValue::from_static(error.code));
    response
}

/// Returns the answer to a browser that asks whether it may send a request.
pub(super) fn permission(asked: &HeaderMap) -> Response<Body> {
    let mut response = bare(StatusCode::OK, Bytes::new());
    cors::permit(asked, &mut response);
    response
}

/// Returns the answer to a method other than `POST`, which the service takes for a request to nothing.
pub(super) fn forbidden() -> Response<Body> {
    let mut response = bare(StatusCode::FORBIDDEN, Bytes::from_static(FORBIDDEN));
    let content_type = HeaderValue::from_static("text/xml");
    response.headers_mut().insert("content-type", content_type);
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
    let mut response = identified(status, body);
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static(content_type));
    if format == Format::RpcCbor {
        headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    }
    response
}

/// Returns an answer in no format of the API.
fn bare(status: StatusCode, body: Bytes) -> Response<Body> {
    identified(status, Either::Left(Full::new(body)))
}

/// Returns an answer with its two ids.
fn identified(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("x-amzn-requestid", header_value(Uuid::new_v4().to_string()));
    headers.insert("x-amz-id-2", header_value(extended_id()));
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
