//! One request to one answer.

use std::fmt;

use bytes::Bytes;
use hyper::{Method, Request, Response, body::Incoming, header::HeaderValue};
use tokio::sync::watch;

use super::{
    answer::{self, Body},
    cors, events,
    request::{self, ReadError},
};
use crate::{
    local::{
        LocalKinesis,
        api_error::{ApiError, CallFailure},
        operations::{self, subscribe_to_shard},
        protocol::Message,
    },
    service::LIMITS_HEADER,
};

/// The state that all connections of a server share.
#[derive(Clone, Debug)]
pub(super) struct Face {
    pub(super) local: LocalKinesis,
    /// True once the server stops: subscriptions end then.
    pub(super) stopping: watch::Receiver<bool>,
}

/// The connection closes instead of answering.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// A fault swallows the answer of a call that was carried out.
    Lost,
    /// The request never came in whole.
    Broken(hyper::Error),
    /// The database behind the face cannot be reached.
    Unreachable(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "the answer is lost, as the test asked",
            Self::Broken(_) => "the request broke off",
            Self::Unreachable(_) => "the embedded DynamoDB cannot be reached",
        })
    }
}

impl std::error::Error for NoAnswer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Lost => None,
            Self::Broken(error) => Some(error),
            Self::Unreachable(error) => Some(&**error),
        }
    }
}

/// The result of a call.
enum Outcome {
    Answer(Bytes),
    Events(subscribe_to_shard::Subscription),
}

/// Answers one request, of a program or of a browser.
pub(super) async fn respond(
    face: Face,
    request: Request<Incoming>,
) -> Result<Response<Body>, NoAnswer> {
    let enforces_limits = face.local.core.settings.enforce_limits;
    let mut response = answer_program_or_browser(face, request).await?;
    if !enforces_limits {
        let (name, none) = LIMITS_HEADER;
        let none = HeaderValue::from_static(none);
        response.headers_mut().insert(name, none);
    }
    Ok(response)
}

async fn answer_program_or_browser(
    face: Face,
    request: Request<Incoming>,
) -> Result<Response<Body>, NoAnswer> {
    if !cors::is_cross_origin(request.headers()) {
        return answer_method(face, request).await;
    }
    if request.method() == Method::OPTIONS {
        return Ok(answer::permission(request.headers()));
    }
    let mut response = answer_method(face, request).await?;
    cors::expose(&mut response);
    Ok(response)
}

async fn answer_method(face: Face, request: Request<Incoming>) -> Result<Response<Body>, NoAnswer> {
    if request.method() != Method::POST {
        return Ok(answer::forbidden());
    }
    answer_post(face, request).await
}

async fn answer_post(face: Face, request: Request<Incoming>) -> Result<Response<Body>, NoAnswer> {
    let (parts, incoming) = request.into_parts();
    let format = request::format(&parts);
    let body = match request::read_body(incoming).await {
        Ok(body) => body,
        Err(ReadError::TooLong) => return Ok(answer::failure(format, &too_long())),
        Err(ReadError::Broken(error)) => return Err(NoAnswer::Broken(error)),
    };
    let outcome = match request::route(&parts) {
        Ok(route) => call(&face.local, route.operation, Message { format, body }).await,
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(Outcome::Answer(body)) => Ok(answer::success(format, body)),
        Ok(Outcome::Events(subscription)) => {
            let body = events::body(format, subscription, face.stopping);
            Ok(answer::events(format, body))
        }
        Err(CallFailure::Answered(error)) => Ok(answer::failure(format, &error)),
        Err(CallFailure::ResponseLost) => Err(NoAnswer::Lost),
    }
}

async fn call(
    local: &LocalKinesis,
    operation: &str,
    message: Message,
) -> Result<Outcome, CallFailure> {
    if operation == subscribe_to_shard::NAME {
        let request = message.format.read(&message.body)?;
        let subscription = subscribe_to_shard::open(&local.core, request).await?;
        return Ok(Outcome::Events(subscription));
    }
    operations::dispatch(&local.core, operation, &message)
        .await
        .map(Outcome::Answer)
}

pub(super) fn too_long() -> ApiError {
    ApiError {
        code: answer::TOO_LONG,
        message: "The request is longer than 10 MiB of records and keys can make it".to_owned(),
    }
}
