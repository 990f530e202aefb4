//! The formats of requests, and one request as the operations read it.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{Wire, cbor, json};
use crate::local::api_error::ApiError;

/// A wire format of the API. The answer has the format of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::local) enum Format {
    /// `application/x-amz-json-1.1`.
    Json,
    /// `application/x-amz-cbor-1.1`, as the Java SDKs send it.
    AwsCbor,
    /// Smithy RPC v2 CBOR.
    RpcCbor,
}

/// The members of an error's answer. The service writes the words of a request that it cannot read under
/// another name than all others, and leaves them out where it has none.
#[derive(Serialize)]
struct ErrorBody<'a> {
    #[serde(rename = "__type")]
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(rename = "Message", skip_serializing_if = "Option::is_none")]
    unreadable: Option<&'a str>,
}

impl Format {
    /// Returns the media type of bodies in this format.
    pub(in crate::local) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.1",
            Self::AwsCbor => "application/x-amz-cbor-1.1",
            Self::RpcCbor => "application/cbor",
        }
    }

    /// Reads a request's members; `SerializationException` if it cannot.
    pub(in crate::local) fn read<T: DeserializeOwned>(self, body: &[u8]) -> Result<T, ApiError> {
        match self {
            Self::Json => json::read(body),
            Self::AwsCbor => cbor::read(cbor::TimeUnit::Milliseconds, body),
            Self::RpcCbor => cbor::read(cbor::TimeUnit::Seconds, body),
        }
    }

    /// Writes an answer's members.
    pub(in crate::local) fn write<T: Serialize>(self, response: &T) -> Result<Vec<u8>, ApiError> {
        match self {
            Self::Json => json::write(response),
            Self::AwsCbor => cbor::write(cbor::TimeUnit::Milliseconds, response),
            Self::RpcCbor => cbor::write(cbor::TimeUnit::Seconds, response),
        }
    }

    /// Returns the body of an error's answer.
    pub(in crate::local) fn write_error(self, error: &ApiError) -> Vec<u8> {
        let qualified;
        let code = match self {
            Self::Json | Self::AwsCbor => error.code,
            Self::RpcCbor => {
                qualified = format!("com.amazonaws.kinesis#{}", error.code);
                &qualified
            }
        };
        let words = Some(&*error.message).filter(|words| !words.is_empty());
        let is_unreadable = error.code == "SerializationException";
        let body = ErrorBody {
            code,
            message: words.filter(|_| !is_unreadable),
            unreadable: words.filter(|_| is_unreadable),
        };
        self.write(&body)
            .expect("texts can be written in every format")
    }
}

/// One request on the wire.
#[derive(Debug)]
pub(in crate::local) struct Message {
    /// The format of the body.
    pub(in crate::local) format: Format,
    /// The whole body.
    pub(in crate::local) body: Bytes,
}

impl Wire for Message {
    type Answer = Bytes;

    fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        self.format.read(&self.body)
    }

    fn write<T: Serialize>(&self, response: &T) -> Result<Bytes, ApiError> {
        Ok(self.format.write(response)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_its_type_and_words() {
        let error = ApiError::not_found("no stream");
        assert_eq!(
            Format::Json.write_error(&error),
            br#"{"__type":"ResourceNotFoundException","message":"no stream"}"#
        );
    }

    #[test]
    fn the_words_about_an_unreadable_request_have_a_capital_m() {
        let error = ApiError::serialization("no");
        assert_eq!(
            Format::Json.write_error(&error),
            br#"{"__type":"SerializationException","Message":"no"}"#
        );
    }

    #[test]
    fn an_unknown_operation_is_a_code_without_words() {
        let bare = Format::Json.write_error(&ApiError::no_operation());
        assert_eq!(bare, br#"{"__type":"UnknownOperationException"}"#);
    }
}
