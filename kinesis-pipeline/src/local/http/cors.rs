//! Cross-origin requests: a browser asks first, with `OPTIONS`, and reads of an answer only what it may.

use hyper::{
    HeaderMap, Response,
    header::{HeaderName, HeaderValue},
    http::header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    },
};

/// The seconds for which a browser keeps a permission: two days, as on the service.
const PERMISSION_SECONDS: HeaderValue = HeaderValue::from_static("172800");
/// The headers of answers that scripts may read.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date",
);
const ANYWHERE: HeaderValue = HeaderValue::from_static("*");

/// Whether a browser sent the request on behalf of a page of another origin.
pub(super) fn is_cross_origin(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN)
}

/// Permits a request that a browser asks about: with the headers and the method that it names.
pub(super) fn permit<B>(asked: &HeaderMap, answer: &mut Response<B>) {
    let pairs: [(HeaderName, HeaderName); 2] = [
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
    ];
    let headers = answer.headers_mut();
    for (asked_in, allowed_in) in pairs {
        if let Some(value) = asked.get(asked_in) {
            headers.insert(allowed_in, value.clone());
        }
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANYWHERE);
    headers.insert(ACCESS_CONTROL_MAX_AGE, PERMISSION_SECONDS);
}

/// Lets scripts of any origin read an answer.
pub(super) fn expose<B>(answer: &mut Response<B>) {
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANYWHERE);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_permitted_what_it_asks_for() {
        let mut asked = HeaderMap::new();
        let names = HeaderValue::from_static("x-amz-target,authorization");
        asked.insert(ACCESS_CONTROL_REQUEST_HEADERS, names.clone());
        let mut answer = Response::new(());
        permit(&asked, &mut answer);
        let headers = answer.headers();
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_HEADERS], names);
        assert_eq!(headers[ACCESS_CONTROL_MAX_AGE], "172800");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_METHODS));
    }
}
