//! The check that a request has a signature with all its parts. It is not verified against a key.

use hyper::HeaderMap;

use crate::local::api_error::ApiError;

/// The parts that an `Authorization` header of AWS Signature Version 4 has.
const AUTHORIZATION_PARTS: [&str; 3] = ["Credential", "SignedHeaders", "Signature"];
/// The parts of a signature in the query of a presigned URL.
const QUERY_PARTS: [&str; 5] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
];

/// Refuses a request without a signature, with half of one, or with two.
pub(super) fn check(headers: &HeaderMap, query: &str) -> Result<(), ApiError> {
    let header = authorization(headers);
    let in_query = query_names(query).any(|name| QUERY_PARTS.contains(&name));
    match (header, in_query) {
        (None, false) => Err(ApiError {
            code: "MissingAuthenticationTokenException",
            message: "Missing Authentication Token".to_owned(),
        }),
        (Some(_), true) => Err(ApiError {
            code: "InvalidSignatureException",
            message: "The request is signed twice: in the query and in the Authorization header."
                .to_owned(),
        }),
        (None, true) => complete(&missing_of_query(query), "Query string"),
        (Some(header), false) => {
            complete(&missing_of_header(header, headers), "Authorization header")
        }
    }
}

/// Returns the `Authorization` header, if it is one of Signature Version 4 (or 4A).
fn authorization(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get("authorization")?.to_str().ok()?.trim();
    text.starts_with("AWS4-").then_some(text)
}

fn complete(missing: &[&'static str], place: &str) -> Result<(), ApiError> {
    if missing.is_empty() {
        return Ok(());
    }
    let sentences: Vec<String> = missing
        .iter()
        .map(|part| format!("{place} requires '{part}' parameter."))
        .collect();
    Err(ApiError {
        code: "IncompleteSignatureException",
        message: sentences.join(" "),
    })
}

fn missing_of_header(header: &str, headers: &HeaderMap) -> Vec<&'static str> {
    let parts = header
        .split_once(char::is_whitespace)
        .map_or("", |(_, parts)| parts);
    let has = |name: &str| {
        parts
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
            .any(|(key, value)| key == name && !value.is_empty())
    };
    let mut missing: Vec<_> = AUTHORIZATION_PARTS
        .into_iter()
        .filter(|part| !has(part))
        .collect();
    if !headers.contains_key("x-amz-date") && !headers.contains_key("date") {
        missing.push("X-Amz-Date");
    }
    missing
}

fn missing_of_query(query: &str) -> Vec<&'static str> {
    QUERY_PARTS
        .into_iter()
        .filter(|part| !query_names(query).any(|name| name == *part))
        .collect()
}

fn query_names(query: &str) -> impl Iterator<Item = &str> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const WHOLE: &str = "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/kinesis/aws4_request, \
                         SignedHeaders=host;x-amz-date, Signature=00ff";

    fn headers(authorization: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static(authorization));
        headers.insert("x-amz-date", HeaderValue::from_static("20260101T000000Z"));
        headers
    }

    fn code(headers: &HeaderMap, query: &str) -> Option<&'static str> {
        check(headers, query).err().map(|error| error.code)
    }

    #[test]
    fn a_whole_signature_passes_in_the_header_or_in_the_query() {
        assert_eq!(code(&headers(WHOLE), ""), None);
        let query = QUERY_PARTS.map(|part| format!("{part}=x")).join("&");
        assert_eq!(code(&HeaderMap::new(), &query), None);
    }

    #[test]
    fn no_signature_is_a_missing_token() {
        let missing = Some("MissingAuthenticationTokenException");
        assert_eq!(code(&HeaderMap::new(), "a=b"), missing);
        assert_eq!(code(&headers("Bearer abc"), ""), missing);
    }

    #[test]
    fn a_half_signature_names_what_it_lacks_and_repeats_nothing_of_it() {
        let error = check(&headers("AWS4-HMAC-SHA256 Credential=secret"), "").unwrap_err();
        assert_eq!(error.code, "IncompleteSignatureException");
        assert!(error.message.contains("'SignedHeaders'") && error.message.contains("'Signature'"));
        assert!(!error.message.contains("'Credential'") && !error.message.contains("secret"));
    }

    #[test]
    fn a_signature_without_a_date_is_incomplete() {
        let mut headers = headers(WHOLE);
        headers.remove("x-amz-date");
        assert_eq!(code(&headers, ""), Some("IncompleteSignatureException"));
    }

    #[test]
    fn two_signatures_are_refused() {
        assert_eq!(
            code(&headers(WHOLE), "X-Amz-Signature=1"),
            Some("InvalidSignatureException")
        );
    }
}
