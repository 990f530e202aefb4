//! The part of a request that is the same in all, and the signature of the rest.

use std::time::SystemTime;

use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningInstructions, SigningSettings, sign},
    sign::v4::SigningParams,
};
use aws_smithy_runtime_api::{box_error::BoxError, client::identity::Identity, http::Request};
use aws_smithy_types::{DateTime, body::SdkBody, date_time::Format};
use bytes::Bytes;
use http::HeaderValue;
use tracing::debug;

use super::recorder::Recorded;

const AUTHORIZATION: &str = "authorization";
const DATE: &str = "x-amz-date";
const LENGTH: &str = "content-length";
const INVOCATION: &str = "amz-sdk-invocation-id";
/// The headers that are made anew for each request.
const CHANGING: [&str; 5] = [
    AUTHORIZATION,
    DATE,
    LENGTH,
    INVOCATION,
    "x-amz-security-token",
];
/// The headers that are the same in all requests.
const CONSTANT: [&str; 5] = [
    "amz-sdk-request",
    "content-type",
    "user-agent",
    "x-amz-target",
    "x-amz-user-agent",
];

/// A request that lacks its body and the headers that change with it.
pub(super) struct Pattern {
    request: Request,
    scope: Scope,
}

/// The scope of a signature, in the words of its header: `AWS4-HMAC-SHA256 Credential=ID/20261129/eu-west-1/kinesis/aws4_request,
/// SignedHeaders=content-length;host;x-amz-date, Signature=...`
struct Scope {
    region: String,
    service: String,
    /// The names of the headers that are signed.
    signed: Vec<String>,
}

impl Pattern {
    /// Returns the pattern of a request with this body, and the time of its signature; `None` if it has unusual headers, or
    /// if its signature is not that which is made here.
    pub(super) fn of(
        recorded: &Recorded,
        body: &Bytes,
        identity: &Identity,
    ) -> Option<(Self, SystemTime)> {
        let is_usual = |name: &str| CHANGING.contains(&name) || CONSTANT.contains(&name);
        let headers = recorded.request.headers();
        let mut names = headers.iter().map(|(name, _)| name);
        if let Some(name) = names.find(|name| !is_usual(&name.to_ascii_lowercase())) {
            debug!(name, "calls are not prepared, because of a header");
            return None;
        }
        let authorization = headers.get(AUTHORIZATION)?;
        let at = time(headers.get(DATE)?)?;
        let mut request = recorded.request.try_clone()?;
        for name in CHANGING {
            request.headers_mut().remove(name);
        }
        let scope = Scope::of(authorization)?;
        let pattern = Self { request, scope };
        let signed = pattern.request(body, identity, at);
        if signed.ok()?.headers().get(AUTHORIZATION) != Some(authorization) {
            debug!("calls are not prepared, because the signature is another one");
            return None;
        }
        Some((pattern, at))
    }

    /// Makes a request with this body, signed at this time.
    pub(super) fn request(
        &self,
        body: &Bytes,
        identity: &Identity,
        at: SystemTime,
    ) -> Result<Request, BoxError> {
        let empty = self.request.try_clone();
        let mut request = empty.ok_or("the pattern has a body")?;
        *request.body_mut() = SdkBody::from(body.clone());
        let headers = request.headers_mut();
        headers.insert(LENGTH, body.len().to_string());
        let (signature, _) = self.scope.sign(&request, body, identity, at)?.into_parts();
        let headers = request.headers_mut();
        headers.insert(INVOCATION, invocation_id());
        for header in signature {
            let mut value = HeaderValue::from_str(header.value())?;
            value.set_sensitive(header.sensitive());
            headers.insert(header.name(), value);
        }
        Ok(request)
    }
}

impl Scope {
    fn of(authorization: &str) -> Option<Self> {
        let rest = authorization.strip_prefix("AWS4-HMAC-SHA256 Credential=")?;
        let (credential, rest) = rest.split_once(", SignedHeaders=")?;
        let (signed, _) = rest.split_once(", Signature=")?;
        // Counted from the end: the identifier of a key may be anything.
        let mut parts = credential.rsplit('/').skip(1);
        let service = parts.next()?.to_owned();
        let region = parts.next()?.to_owned();
        Some(Self {
            region,
            service,
            signed: signed.split(';').map(str::to_owned).collect(),
        })
    }

    fn sign(
        &self,
        request: &Request,
        body: &[u8],
        identity: &Identity,
        at: SystemTime,
    ) -> Result<SigningInstructions, BoxError> {
        let params = SigningParams::builder()
            .identity(identity)
            .region(&self.region)
            .name(&self.service)
            .time(at)
            .settings(SigningSettings::default())
            .build()?;
        let is_signed = |name: &str| self.signed.iter().any(|signed| signed == name);
        let headers = request.headers().iter();
        let signed = headers.filter(|(name, _)| is_signed(name));
        let body = SignableBody::Bytes(body);
        let request = SignableRequest::new(request.method(), request.uri(), signed, body)?;
        Ok(sign(request, &params.into())?.into_parts().0)
    }
}

/// Reads the time of a signature, such as `20261129T210613Z`.
pub(super) fn time(date: &str) -> Option<SystemTime> {
    let part = |range| date.get(range);
    let [year, month, day] = [part(0..4)?, part(4..6)?, part(6..8)?];
    let [hour, minute, second] = [part(9..11)?, part(11..13)?, part(13..15)?];
    let written = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    let time = DateTime::from_str(&written, Format::DateTime).ok()?;
    SystemTime::try_from(time).ok()
}

/// Makes an identifier of a call: a random UUID.
fn invocation_id() -> String {
    let random = fastrand::u128(..).to_le_bytes();
    uuid::Builder::from_random_bytes(random)
        .into_uuid()
        .to_string()
}
