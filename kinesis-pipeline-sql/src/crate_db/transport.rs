//! The transport to `/_sql`: HTTP, or a stand-in in tests.

use std::{fmt, pin::Pin, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use kinesis_pipeline::BoxError;

/// The longest answer that is read. An answer about 10,000 rows has some 200 KB.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// An answer as it came.
#[derive(Debug)]
pub(super) struct RawAnswer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

pub(super) type Sending<'a> =
    Pin<Box<dyn Future<Output = Result<RawAnswer, BoxError>> + Send + 'a>>;

/// A transport to the nodes of a cluster, which are numbered from 0.
pub(super) trait Transport: fmt::Debug + Send + Sync {
    /// Returns the number of nodes, at least one.
    fn nodes(&self) -> usize;

    /// Returns the name of a node for messages.
    fn name(&self, node: usize) -> String;

    /// Sends the body of a request to a node.
    fn send(&self, node: usize, body: Bytes) -> Sending<'_>;
}

#[cfg(feature = "tls")]
type Connector = hyper_rustls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "tls"))]
type Connector = HttpConnector;

/// An HTTP or HTTPS transport that keeps its connections.
pub(super) struct Http {
    client: Client<Connector, Full<Bytes>>,
    nodes: Vec<Uri>,
    authorization: Option<HeaderValue>,
}

/// An invalid URL of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` is no URL of a CrateDB node: {reason}")]
#[non_exhaustive]
pub struct InvalidNodeUrl {
    /// The URL that was given, without a password in it.
    pub url: String,
    /// The reason.
    pub reason: String,
}

impl Http {
    pub(super) fn new(
        nodes: Vec<Uri>,
        credentials: Option<(&str, &str)>,
    ) -> Result<Self, InvalidNodeUrl> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIME_MAX));
        connector.set_nodelay(true);
        let is_secure = |uri: &&Uri| uri.scheme_str() == Some("https");
        let connector = match nodes.iter().find(is_secure) {
            secure @ Some(_) => encrypting(connector, secure)?,
            None => encrypting(connector, None)?,
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIME_MAX)
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build(connector);
        Ok(Self {
            client,
            nodes,
            authorization: credentials.map(|(user, password)| basic(user, password)),
        })
    }
}

/// Adds TLS, if a node needs it.
#[cfg(feature = "tls")]
fn encrypting(
    mut connector: HttpConnector,
    secure: Option<&Uri>,
) -> Result<Connector, InvalidNodeUrl> {
    use tokio_rustls::rustls;

    connector.enforce_http(false);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = hyper_rustls::HttpsConnectorBuilder::new();
    let invalid = |reason: String| InvalidNodeUrl {
        url: secure.map(Uri::to_string).unwrap_or_default(),
        reason,
    };
    if secure.is_none() {
        // Reading the system's certificates takes tens of milliseconds, so it is done only for HTTPS.
        let config = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid(error.to_string()))?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let builder = builder.with_tls_config(config).https_or_http();
        return Ok(builder.enable_http1().wrap_connector(connector));
    }
    let builder = builder.with_provider_and_native_roots(provider);
    let builder = builder.map_err(|error| invalid(format!("no certificates: {error}")))?;
    let builder = builder.https_or_http().enable_http1();
    Ok(builder.wrap_connector(connector))
}

#[cfg(not(feature = "tls"))]
fn encrypting(connector: HttpConnector, secure: Option<&Uri>) -> Result<Connector, InvalidNodeUrl> {
    match secure {
        None => Ok(connector),
        Some(uri) => Err(InvalidNodeUrl {
            url: uri.to_string(),
            reason: "https needs the feature `tls`".to_owned(),
        }),
    }
}

fn basic(user: &str, password: &str) -> HeaderValue {
    use base64::{Engine as _, prelude::BASE64_STANDARD};

    let text = format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{user}:{password}"))
    );
    let mut value = HeaderValue::try_from(text).expect("Base64 is ASCII");
    value.set_sensitive(true);
    value
}

/// Reads a node's URL and adds the path of `/_sql`.
pub(super) fn node(url: &str) -> Result<Uri, InvalidNodeUrl> {
    let invalid = |reason: &str| InvalidNodeUrl {
        url: url
            .rsplit_once('@')
            .map_or(url, |(_, host)| host)
            .to_owned(),
        reason: reason.to_owned(),
    };
    let uri: Uri = url.parse().map_err(|_| invalid("write http://host:4200"))?;
    let authority = uri
        .authority()
        .ok_or_else(|| invalid("write http://host:4200"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(invalid("its scheme must be http or https"));
    }
    if authority.as_str().contains('@') {
        return Err(invalid("give the user and the password with `credentials`"));
    }
    if uri.query().is_some() {
        return Err(invalid("leave the part from the question mark on out"));
    }
    let path = format!("{}/_sql", uri.path().trim_end_matches('/'));
    let builder = Uri::builder().scheme(uri.scheme_str().unwrap_or("http"));
    let sql = builder.authority(authority.clone()).path_and_query(path);
    sql.build().map_err(|_| invalid("its path is none"))
}

impl Transport for Http {
    fn nodes(&self) -> usize {
        self.nodes.len()
    }

    fn name(&self, node: usize) -> String {
        let uri = &self.nodes[node];
        let scheme = uri.scheme_str().unwrap_or_default();
        format!(
            "{scheme}://{}",
            uri.authority().map_or("", |authority| authority.as_str())
        )
    }

    fn send(&self, node: usize, body: Bytes) -> Sending<'_> {
        Box::pin(async move {
            let mut request = Request::builder()
                .method(Method::POST)
                .uri(self.nodes[node].clone())
                .header(CONTENT_TYPE, "application/json");
            if let Some(authorization) = &self.authorization {
                request = request.header(AUTHORIZATION, authorization);
            }
            let answer = self.client.request(request.body(Full::new(body))?).await?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
                .collect()
                .await;
            let body = body.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    return format!("an answer of more than {ANSWER_BYTES_MAX} bytes").into();
                }
                error
            })?;
            let body = body.to_bytes();
            Ok(RawAnswer { status, body })
        })
    }
}

/// Leaves out the password.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = &self.nodes;
        f.debug_struct("Http")
            .field("nodes", nodes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_follows_the_url_of_a_node() {
        let of = |url| node(url).unwrap().to_string();
        assert_eq!(of("http://localhost:4200"), "http://localhost:4200/_sql");
        assert_eq!(
            of("https://db.example/crate/"),
            "https://db.example/crate/_sql"
        );
    }

    #[test]
    fn a_url_that_is_none_is_refused_without_telling_its_password() {
        for url in [
            "localhost:4200",
            "postgres://db",
            "http://db/?a=b",
            "http://ada:secret@db",
            "",
            "a b",
        ] {
            let error = node(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
