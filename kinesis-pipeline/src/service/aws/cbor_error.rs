use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::body::SdkBody;

use crate::{cbor::Scanner, json::Malformed};

/// The text that replaces an empty body in errors, as other SDKs write it.
const ERROR_TYPE: &str = "x-amzn-errortype";

/// Rewrites an error in CBOR as one in JSON, which the SDK reads; `None` if the body is not CBOR.
pub(crate) fn error_in_json(response: &Response) -> Option<Response> {
    let body = response.body().bytes().unwrap_or_default();
    let (code, message) = error(body).ok()?;
    let body = serde_json::json!({"__type": code, "message": message}).to_string();
    let mut converted = Response::new(response.status(), SdkBody::from(body));
    if let Some(error_type) = response.headers().get(ERROR_TYPE) {
        let error_type = error_type.to_owned();
        converted.headers_mut().insert(ERROR_TYPE, error_type);
    }
    Some(converted)
}

/// Reads the code and the message of an error.
fn error(body: &[u8]) -> Result<(Option<String>, Option<String>), Malformed> {
    let (mut kind, mut code, mut message) = (None, None, None);
    let mut scanner = Scanner::new(body);
    let mut members = scanner.open_map()?;
    while let Some(key) = scanner.next_key(&mut members)? {
        let place = match &key[..] {
            b"__type" => &mut kind,
            b"code" => &mut code,
            b"message" | b"Message" | b"errorMessage" => &mut message,
            _ => {
                scanner.skip()?;
                continue;
            }
        };
        if scanner.is_text()? {
            *place = Some(scanner.text()?.into_owned());
        } else {
            scanner.skip()?;
        }
    }
    scanner.end()?;
    Ok((code.or(kind), message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_words_have_the_names_of_json() {
        for body in [
            &b"\xA2\x66__type\x61C\x67message\x61w"[..],
            b"\xBF\x67Message\x61w\x66__type\x61D\x64code\x61C\xFF",
            b"\xA3\x66__type\x61C\x64code\xF6\x6CerrorMessage\x61w",
        ] {
            let (code, message) = error(body).unwrap();
            assert_eq!(
                (code.as_deref(), message.as_deref()),
                (Some("C"), Some("w"))
            );
        }
        assert_eq!(error(b"\xA0").unwrap(), (None, None));
        for broken in [&b""[..], b"{}", b"\xA1", b"\xA0\x00"] {
            assert!(error(broken).is_err());
        }
    }
}
