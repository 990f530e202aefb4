//! The parts of a request: the operation, the format, and the body within its limit.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    HeaderMap,
    body::{Body, Incoming},
    header::CONTENT_TYPE,
    http::request::Parts,
};

use super::signature;
use crate::local::{api_error::ApiError, protocol::Format};

/// The version of the API, as targets and paths name it.
const SERVICE: &str = "Kinesis_20131202";
/// 10 MiB of records and keys, a third more in base64, and room for the names of members.
const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The bytes of a request over the limit that are read and dropped, so that its sender gets to read the answer.
const DISCARD_BYTES_MAX: usize = 4 * REQUEST_BYTES_MAX;

/// The operation and the format that the head of a request names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route<'a> {
    pub(super) format: Format,
    pub(super) operation: &'a str,
}

/// Returns the format that the answer must have, whatever else is wrong with the request.
pub(super) fn format(parts: &Parts) -> Format {
    if parts
        .headers
        .get("smithy-protocol")
        .is_some_and(|value| value == "rpc-v2-cbor")
    {
        return Format::RpcCbor;
    }
    match media_type(&parts.headers) {
        "application/x-amz-cbor-1.1" => Format::AwsCbor,
        "application/cbor" => Format::RpcCbor,
        _ => Format::Json,
    }
}

/// Finds the operation and refuses a request that the service would not look into.
pub(super) fn route(parts: &Parts) -> Result<Route<'_>, ApiError> {
    let format = format(parts);
    let operation = match format {
        Format::RpcCbor => operation_of_path(parts.uri.path()),
        Format::Json | Format::AwsCbor => operation_of_target(parts),
    };
    let operation = operation.ok_or_else(ApiError::no_operation)?;
    signature::check(&parts.headers, parts.uri.query().unwrap_or(""))?;
    Ok(Route { format, operation })
}

fn operation_of_target(parts: &Parts) -> Option<&str> {
    let known = [
        "application/x-amz-json-1.1",
        "application/json",
        "application/x-amz-cbor-1.1",
    ];
    if !known.contains(&media_type(&parts.headers)) {
        return None;
    }
    let target = parts.headers.get("x-amz-target")?.to_str().ok()?;
    let (service, operation) = target.split_once('.')?;
    (service == SERVICE).then_some(operation)
}

/// Returns the operation of a path such as `/service/Kinesis_20131202/operation/PutRecord`.
fn operation_of_path(path: &str) -> Option<&str> {
    let (_, rest) = path.rsplit_once("/service/")?;
    let (service, operation) = rest.split_once("/operation/")?;
    (service == SERVICE && !operation.is_empty()).then_some(operation)
}

/// Returns the media type, without parameters such as `charset`.
fn media_type(headers: &HeaderMap) -> &str {
    let text = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    text.split(';').next().unwrap_or("").trim()
}

/// Reads the whole body.
pub(super) async fn read_body(mut body: Incoming) -> Result<Bytes, ReadError> {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if expected > REQUEST_BYTES_MAX {
        discard(body).await;
        return Err(ReadError::TooLong);
    }
    let mut whole = Vec::with_capacity(expected);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(ReadError::Broken)?.into_data() else {
            continue;
        };
        if expected > 0 && data.len() == expected {
            return Ok(data);
        }
        if whole.len() + data.len() > REQUEST_BYTES_MAX {
            discard(body).await;
            return Err(ReadError::TooLong);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.into())
}

async fn discard(mut body: Incoming) {
    let mut discarded_bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        discarded_bytes += frame.data_ref().map_or(0, Bytes::len);
        if discarded_bytes > DISCARD_BYTES_MAX {
            return;
        }
    }
}

/// A body that could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// A body longer than the service takes.
    TooLong,
    /// The connection broke.
    Broken(hyper::Error),
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::post(uri)
            .header("x-amz-date", "20260101T000000Z")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c",
            );
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn json_and_cbor_1_1_name_the_operation_in_the_target() {
        for (content_type, format) in [
            ("application/x-amz-json-1.1", Format::Json),
            ("application/x-amz-json-1.1; charset=utf-8", Format::Json),
            ("application/x-amz-cbor-1.1", Format::AwsCbor),
        ] {
            let target = ("x-amz-target", "Kinesis_20131202.PutRecord");
            let parts = parts("/", &[("content-type", content_type), target]);
            let operation = "PutRecord";
            assert_eq!(route(&parts).unwrap(), Route { format, operation });
        }
    }

    #[test]
    fn rpc_v2_names_the_operation_in_the_path() {
        let headers = [
            ("smithy-protocol", "rpc-v2-cbor"),
            ("content-type", "application/cbor"),
        ];
        let parts = parts("/service/Kinesis_20131202/operation/GetRecords", &headers);
        let route = route(&parts).unwrap();
        assert_eq!(
            (route.format, route.operation),
            (Format::RpcCbor, "GetRecords")
        );
    }

    #[test]
    fn a_target_of_another_service_is_an_unknown_operation() {
        let json = ("content-type", "application/x-amz-json-1.1");
        for headers in [
            &[json][..],
            &[json, ("x-amz-target", "DynamoDB_20120810.ListTables")],
            &[json, ("x-amz-target", "ListStreams")],
            &[("x-amz-target", "Kinesis_20131202.ListStreams")],
        ] {
            let error = route(&parts("/", headers)).unwrap_err();
            assert_eq!(error.code, "UnknownOperationException");
        }
    }
}
