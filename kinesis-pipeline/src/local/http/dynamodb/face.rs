//! One request to the embedded DynamoDB: mended on its way in, answered behind or here, mended on its way out.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING},
    http::request::Parts,
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};

use super::{arns::Arns, backups::Backups, members, upstream::Upstream};
use crate::local::http::{
    answer::Body,
    request::{self, ReadError},
    respond::NoAnswer,
    server::Answering,
};

const TARGET: &str = "x-amz-target";
/// The service, as targets name it.
const SERVICE: &str = "DynamoDB_20120810";
/// The header with the checksum of an answer's body.
const CHECKSUM: &str = "x-amz-crc32";

/// The state that all connections of an embedded DynamoDB share.
#[derive(Clone, Debug)]
pub(super) struct DynamoFace {
    pub(super) upstream: Arc<Upstream>,
    pub(super) arns: Arns,
    pub(super) backups: Arc<Backups>,
    /// One switch of a table's TTL at a time: the look at it and the change belong together.
    pub(super) ttl_switch: Arc<Mutex<()>>,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Answering for DynamoFace {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, NoAnswer> {
        let (parts, incoming) = request.into_parts();
        let body = match request::read_body(incoming).await {
            Ok(body) => self.arns.inward(body),
            Err(ReadError::TooLong) => return Ok(too_long()),
            Err(ReadError::Broken(error)) => return Err(NoAnswer::Broken(error)),
        };
        let answer = self.answer_whole(&parts, body).await?;
        Ok(self.outward(answer))
    }

    fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.clone()
    }
}

impl DynamoFace {
    async fn answer_whole(&self, parts: &Parts, body: Bytes) -> Result<Response<Bytes>, NoAnswer> {
        let operation = operation(&parts.headers);
        match operation {
            Some("DescribeContinuousBackups" | "UpdateContinuousBackups") => {
                self.continuous_backups(parts, &body).await
            }
            Some("UpdateTimeToLive") => self.update_time_to_live(parts, body).await,
            Some("DeleteTable") => {
                let table = table_of(&body);
                let answer = self.forward(parts, None, body).await?;
                if answer.status() == StatusCode::OK {
                    self.backups.forget(&table);
                }
                Ok(complete("DeleteTable", answer))
            }
            _ => {
                let answer = self.forward(parts, None, body).await?;
                Ok(complete(operation.unwrap_or_default(), answer))
            }
        }
    }

    /// Answers about a table's recovery, if the table is there.
    async fn continuous_backups(
        &self,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<Response<Bytes>, NoAnswer> {
        let table = table_of(body);
        let named = json!({"TableName": table}).to_string();
        let found = self
            .forward(parts, Some("DescribeTable"), named.into())
            .await?;
        if found.status() != StatusCode::OK {
            return Ok(table_not_found(&table, found));
        }
        if operation(&parts.headers) == Some("UpdateContinuousBackups") {
            let request = serde_json::from_slice(body).unwrap_or(Value::Null);
            if let Err(words) = self.backups.update(&table, &request) {
                return Ok(invalid(&words, found));
            }
        }
        let description = self.backups.describe(&table);
        Ok(found.map(|_| description.to_string().into()))
    }

    /// Switches TTL, unless it is switched that way already: the service refuses that, dynoxide does not.
    async fn update_time_to_live(
        &self,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Response<Bytes>, NoAnswer> {
        let _one_at_a_time = self.ttl_switch.lock().await;
        let named = json!({"TableName": table_of(&body)}).to_string();
        let found = self
            .forward(parts, Some("DescribeTimeToLive"), named.into())
            .await?;
        if found.status() == StatusCode::OK {
            let request = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let now = serde_json::from_slice(found.body()).unwrap_or(Value::Null);
            if let Some(words) = refused_switch(&request, &now) {
                return Ok(invalid(&words, found));
            }
        }
        self.forward(parts, None, body).await
    }

    /// Sends the request on, as a call of another operation if one is named.
    async fn forward(
        &self,
        parts: &Parts,
        operation: Option<&str>,
        body: Bytes,
    ) -> Result<Response<Bytes>, NoAnswer> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = path.parse().unwrap_or_default();
        *request.headers_mut() = parts.headers.clone();
        let headers = request.headers_mut();
        drop_framing(headers);
        let target = operation.map(|operation| format!("{SERVICE}.{operation}"));
        if let Some(Ok(target)) = target.map(|target| HeaderValue::from_str(&target)) {
            headers.insert(TARGET, target);
        }
        self.upstream.send(request).await
    }

    /// Returns the answer as it goes out, with a checksum and a length that fit what was mended.
    fn outward(&self, answer: Response<Bytes>) -> Response<Body> {
        let (mut head, body) = answer.into_parts();
        let body = self.arns.outward(body);
        drop_framing(&mut head.headers);
        if head.headers.contains_key(CHECKSUM) {
            let checksum = HeaderValue::from(crc32fast::hash(&body));
            head.headers.insert(CHECKSUM, checksum);
        }
        Response::from_parts(head, Either::Left(Full::new(body)))
    }
}

/// Removes the headers that belong to one connection, not to the message.
fn drop_framing(headers: &mut HeaderMap) {
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}

fn operation(headers: &HeaderMap) -> Option<&str> {
    let target = headers.get(TARGET)?.to_str().ok()?;
    target.strip_prefix(SERVICE)?.strip_prefix('.')
}

/// Returns the table that a request names; empty if it names none.
fn table_of(body: &[u8]) -> String {
    let request = serde_json::from_slice(body).unwrap_or(Value::Null);
    request["TableName"].as_str().unwrap_or_default().to_owned()
}

fn complete(operation: &str, answer: Response<Bytes>) -> Response<Bytes> {
    if answer.status() != StatusCode::OK || !members::describes_a_table(operation) {
        return answer;
    }
    answer.map(members::complete)
}

/// Returns the service's words if TTL stands as the request wants it, or on another attribute.
fn refused_switch(request: &Value, now: &Value) -> Option<String> {
    let wanted = &request["TimeToLiveSpecification"];
    let now = &now["TimeToLiveDescription"];
    let is_on = now["TimeToLiveStatus"] == "ENABLED";
    match (wanted["Enabled"].as_bool()?, is_on) {
        (false, false) => Some("TimeToLive is already disabled".to_owned()),
        (true, true) if wanted["AttributeName"] == now["AttributeName"] => {
            Some("TimeToLive is already enabled".to_owned())
        }
        (_, true) if wanted["AttributeName"] != now["AttributeName"] => {
            let attribute = now["AttributeName"].as_str().unwrap_or_default();
            Some(format!(
                "TimeToLive is active on a different AttributeName: current AttributeName is {attribute}"
            ))
        }
        _ => None,
    }
}

/// Returns the refusal of a call; `answer` lends it its headers.
fn invalid(words: &str, answer: Response<Bytes>) -> Response<Bytes> {
    let body = json!({"__type": "com.amazon.coral.validate#ValidationException",
        "message": words});
    refusal(answer, &body)
}

/// Returns the answer about the backups of a table that is not there. Other refusals stay: of a name, of a signature.
fn table_not_found(table: &str, answer: Response<Bytes>) -> Response<Bytes> {
    let found = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
    let code = found["__type"].as_str().unwrap_or_default();
    if !code.ends_with("ResourceNotFoundException") {
        return answer;
    }
    let body = json!({"__type": "com.amazonaws.dynamodb.v20120810#TableNotFoundException",
        "message": format!("Table not found: {table}")});
    refusal(answer, &body)
}

fn refusal(answer: Response<Bytes>, body: &Value) -> Response<Bytes> {
    let mut refused = answer.map(|_| Bytes::from(body.to_string()));
    *refused.status_mut() = StatusCode::BAD_REQUEST;
    refused
}

fn too_long() -> Response<Body> {
    let mut answer = Response::new(Either::Left(Full::new(Bytes::new())));
    *answer.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_is_switched_once_and_on_one_attribute() {
        let wanted = |enabled: bool, attribute: &str| json!({"TimeToLiveSpecification": {"Enabled": enabled, "AttributeName": attribute}});
        let on = json!({"TimeToLiveDescription":
            {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}});
        let off = json!({"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}});
        let words = |request: &Value, now: &Value| refused_switch(request, now);
        assert_eq!(words(&wanted(true, "ttl"), &off), None);
        assert_eq!(words(&wanted(false, "ttl"), &on), None);
        let already = words(&wanted(true, "ttl"), &on).unwrap();
        assert_eq!(already, "TimeToLive is already enabled");
        let already = words(&wanted(false, "ttl"), &off).unwrap();
        assert_eq!(already, "TimeToLive is already disabled");
        for enabled in [true, false] {
            let other = words(&wanted(enabled, "other"), &on).unwrap();
            assert!(other.ends_with("current AttributeName is ttl"), "{other}");
        }
    }
}
