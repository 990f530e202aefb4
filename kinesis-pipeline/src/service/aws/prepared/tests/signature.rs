use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::Request;

/// Computes the signature of a request after the AWS General Reference, "Signature Version 4".
pub(super) fn signature(request: &Request, secret: &str) -> String {
    let authorization = &request.headers["authorization"];
    let (_, scope) = authorization.split_once("Credential=").unwrap();
    let (scope, rest) = scope.split_once(", SignedHeaders=").unwrap();
    let (signed, _) = rest.split_once(", Signature=").unwrap();
    let (_, scope) = scope.split_once('/').unwrap();
    let lines = signed
        .split(';')
        .map(|name| format!("{name}:{}\n", request.headers[name]));
    let body = hex(&Sha256::digest(&request.body));
    let canonical = format!("POST\n/\n\n{}\n{signed}\n{body}", lines.collect::<String>());
    let date = &request.headers["x-amz-date"];
    let canonical = hex(&Sha256::digest(canonical));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{canonical}");
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope.split('/').chain([text.as_str()]) {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    hex(&key)
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.map(|digit| char::from_digit(digit.into(), 16));
    digits.map(Option::unwrap).collect()
}
