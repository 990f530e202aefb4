//! JSON 1.1, which most SDKs speak.

use serde::{Serialize, de::DeserializeOwned};

use super::mismatch;
use crate::local::api_error::ApiError;

/// Reads the members of a request: one JSON object.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // Derived types would take an array for their members, in order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::serialization("The body is not a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| ApiError::serialization(words(&error)))
}

/// Writes the members of an answer. An answer without members has no body, as the service's.
pub(super) fn write<T: Serialize>(response: &T) -> Result<Vec<u8>, ApiError> {
    let mut body = serde_json::to_vec(response)
        .map_err(|error| ApiError::internal_failure(format!("The answer has no JSON: {error}")))?;
    if body == b"{}" {
        body.clear();
    }
    Ok(body)
}

/// Describes the mistake, without the value that was found: it may be part of a record.
fn words(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => match mismatch::words(&error.to_string()) {
            Some(words) => return words,
            None => "A member has a value of the wrong type",
        },
        serde_json::error::Category::Eof => "The JSON ends too early",
        _ => "The body is not JSON",
    };
    format!("{what}, at line {} column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::local::protocol::values::Blob;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Members {
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Blob>,
    }

    fn message(body: &str) -> String {
        let error = read::<Members>(body.as_bytes()).unwrap_err();
        assert_eq!(error.code, "SerializationException");
        error.message
    }

    #[test]
    fn only_an_object_is_a_request() {
        for body in ["", "[]", "[\"AAAA\"]", "null", "\"x\"", "Data=1"] {
            message(body);
        }
        let empty = Members { data: None };
        assert_eq!(read::<Members>(b" \n{\"Other\": [1]}").unwrap(), empty);
    }

    #[test]
    fn words_about_a_bad_value_do_not_repeat_it() {
        let found = message("{\"Data\": \"secret!\"}");
        assert!(!found.contains("secret"), "{found}");
        assert!(found.contains("line 1"), "{found}");
        let found = message("{\"Data\": 17}");
        assert_eq!(
            found,
            "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to a Blob"
        );
    }

    #[test]
    fn an_answer_without_members_has_no_body() {
        assert!(write(&Members { data: None }).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn no_body_makes_reading_panic(body: Vec<u8>) {
            let _ = read::<Members>(&body);
        }
    }
}
