use std::{
    fmt,
    future::pending,
    time::{Duration, SystemTime},
};

use aws_sdk_kinesis::error::{ConnectorError, SdkError};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        auth::{AuthScheme as _, AuthSchemeId},
        connection::CaptureSmithyConnection,
        http::{HttpClient as _, HttpConnector as _, HttpConnectorSettings, SharedHttpConnector},
        identity::{
            Identity, IdentityCacheLocation, ResolveCachedIdentity as _, ResolveIdentity as _,
        },
        runtime_components::RuntimeComponents,
    },
    http::{Request, Response},
};
use aws_smithy_schema::protocol::SharedClientProtocol;
use aws_smithy_types::{
    body::SdkBody,
    config_bag::{ConfigBag, Layer},
    error::ErrorMetadata,
    retry::{ReconnectMode, RetryConfig, RetrySpec, RetrySpecVersion},
};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use tokio::{task::unconstrained, time::sleep};

use super::{pattern::Pattern, recorder::Recorded};

const SIGV4: AuthSchemeId = AuthSchemeId::new("sigv4");

/// A call that lacks only its body.
pub(in crate::service::aws) struct PreparedCall {
    pattern: Pattern,
    offset: ClockOffset,
    /// Whether a connection is closed after an error that may pass.
    reconnects: bool,
    components: RuntimeComponents,
    connector: SharedHttpConnector,
    config: ConfigBag,
    protocol: SharedClientProtocol,
    /// The time limit until the end of the answer.
    time_max: Option<Duration>,
    /// The longest pause within the answer.
    pause_max: Option<Duration>,
}

/// An answer with its body, or the failure to get one.
pub(in crate::service::aws) type Sent = Result<Response, SdkError<ErrorMetadata>>;

impl PreparedCall {
    /// Prepares calls like the recorded one, which had this body; `None` if it was not a usual one, if no time limit would end
    /// a call, or if the credentials are not at hand: the put that was recorded has its answer and must not wait for them.
    pub(super) fn of(recorded: Recorded, body: &Bytes) -> Option<Self> {
        let timeouts = &recorded.timeouts;
        let limits = [
            timeouts.operation_timeout(),
            timeouts.operation_attempt_timeout(),
        ];
        let time_max = limits.into_iter().flatten().min();
        time_max.or(timeouts.read_timeout())?;
        // The time limit of a source of credentials depends on these two.
        let mut layer = Layer::new("kinesis-pipeline");
        layer.store_put(recorded.timeouts.clone());
        layer.store_put(recorded.retries.clone());
        let config = ConfigBag::of_layers([layer]);
        let identity = identity(&recorded.components, &config);
        let identity = unconstrained(identity).now_or_never()?.ok()?;
        let (pattern, signed_at) = Pattern::of(&recorded, body, &identity)?;
        let mut settings = HttpConnectorSettings::builder();
        settings.set_connect_timeout(timeouts.connect_timeout());
        settings.set_read_timeout(timeouts.read_timeout());
        let client = recorded.components.http_client()?;
        let connector = client.http_connector(&settings.build(), &recorded.components);
        Some(Self {
            pattern,
            reconnects: reconnects(&recorded.retries),
            offset: ClockOffset::of(signed_at, recorded.at),
            connector,
            config,
            time_max,
            pause_max: recorded.pause_max,
            protocol: recorded.protocol,
            components: recorded.components,
        })
    }

    /// Makes the call with this body.
    pub(in crate::service::aws) async fn send(&self, body: &Bytes) -> Sent {
        tokio::select! {
            biased;
            sent = self.sign_and_send(body) => sent,
            () = elapsed(self.time_max) => Err(SdkError::timeout_error("the operation's time limit is over")),
        }
    }

    async fn sign_and_send(&self, body: &Bytes) -> Sent {
        let identity = identity(&self.components, &self.config).await;
        // As the SDK reports credentials that are not to be had.
        let identity = identity
            .map_err(|error| SdkError::dispatch_failure(ConnectorError::other(error, None)))?;
        let clock = self.components.time_source().unwrap_or_default();
        let now = self.offset.applied_to(clock.now());
        let request = self.pattern.request(body, &identity, now);
        let request = request.map_err(SdkError::construction_failure)?;
        self.exchange(request).await
    }

    async fn exchange(&self, mut request: Request) -> Sent {
        let connection = CaptureSmithyConnection::new();
        request.add_extension(connection.clone());
        let answer = self.connector.call(request).await;
        let mut answer = answer.map_err(SdkError::dispatch_failure)?;
        let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
        let body = read_body(body, self.pause_max).await;
        let is_fault = matches!(answer.status().as_u16(), 500 | 502..=504);
        if self.reconnects
            && (body.is_err() || is_fault)
            && let Some(connection) = connection.get()
        {
            // The next call shall reach another of the service's machines.
            connection.poison();
        }
        match body {
            Ok(body) => *answer.body_mut() = body.into(),
            Err(error) => return Err(SdkError::response_error(error, answer)),
        }
        Ok(answer)
    }

    /// Returns the SDK's protocol, which reads errors.
    pub(in crate::service::aws) fn protocol(&self) -> &SharedClientProtocol {
        &self.protocol
    }
}

/// Formats nothing of the client's configuration.
impl fmt::Debug for PreparedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedCall").finish_non_exhaustive()
    }
}

/// Whether a connection is closed after an error that may pass, by the rule of the SDK.
fn reconnects(retries: &RetryConfig) -> bool {
    let reuses_all = |spec: &RetrySpec| spec.is_at_least(RetrySpecVersion::V2_1);
    retries.reconnect_mode() == ReconnectMode::ReconnectOnTransientError
        && !retries.retry_spec().is_some_and(reuses_all)
}

/// Returns the SDK's credentials, of its cache while they are valid.
async fn identity(
    components: &RuntimeComponents,
    config: &ConfigBag,
) -> Result<Identity, BoxError> {
    let resolver = components
        .auth_scheme(SIGV4)
        .and_then(|scheme| scheme.identity_resolver(components))
        .filter(|resolver| resolver.cache_location() == IdentityCacheLocation::RuntimeComponents)
        .ok_or("the client has no cache of credentials")?;
    let cache = components.identity_cache();
    let identity = cache.resolve_cached_identity(resolver, components, config);
    identity.await
}

/// Reads a body, in which no pause is longer than this.
async fn read_body(mut body: SdkBody, pause_max: Option<Duration>) -> Result<Bytes, BoxError> {
    let bytes = body.content_length().unwrap_or_default();
    let bytes = usize::try_from(bytes).unwrap_or_default();
    let mut read = Bytes::new();
    let mut joined = BytesMut::new();
    loop {
        let part = tokio::select! {
            biased;
            part = body.frame() => part,
            () = elapsed(pause_max) => return Err("the answer stands still".into()),
        };
        let Some(part) = part.transpose()? else {
            break;
        };
        let Ok(part) = part.into_data() else {
            continue;
        };
        if read.is_empty() && joined.is_empty() {
            read = part;
            continue;
        }
        if joined.is_empty() {
            joined.reserve(bytes.min(ANSWER_BYTES_USUAL).max(read.len()));
            joined.extend_from_slice(&read);
        }
        joined.extend_from_slice(&part);
    }
    Ok(if joined.is_empty() {
        read
    } else {
        joined.freeze()
    })
}

/// The bytes that are reserved for an answer at most, whatever its head says.
const ANSWER_BYTES_USUAL: usize = 256 * 1024;

/// Waits for the end of a time limit, if there is one.
async fn elapsed(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => pending().await,
    }
}

/// The time by which the service's clock is ahead of or behind that of this machine, as the SDK knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClockOffset {
    Ahead(Duration),
    Behind(Duration),
}

impl ClockOffset {
    /// Returns the offset of a request. Its signature has whole seconds, so the time by it is up to a second earlier.
    fn of(signed_at: SystemTime, sent_at: SystemTime) -> Self {
        match signed_at.duration_since(sent_at) {
            Ok(ahead) => Self::Ahead(ahead),
            Err(behind) => Self::Behind(behind.duration()),
        }
    }

    fn applied_to(self, now: SystemTime) -> SystemTime {
        let moved = match self {
            Self::Ahead(by) => now.checked_add(by),
            Self::Behind(by) => now.checked_sub(by),
        };
        moved.unwrap_or(now)
    }
}
