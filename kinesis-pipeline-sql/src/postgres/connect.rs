use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::Config;

use crate::SqlError;

const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The longest time that sent bytes may wait for the peer's answer before the connection counts as broken.
const UNANSWERED_MAX: Duration = Duration::from_secs(30);
const POOL_WAIT_MAX: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub(crate) struct ConnectOptions {
    pub(crate) url: String,
    pub(crate) connections_max: usize,
}

/// Makes a pool of connections. No connection is opened yet.
pub(crate) fn connect(options: &ConnectOptions) -> Result<Pool, SqlError> {
    let parsed: Result<Config, _> = options.url.parse();
    let mut config = parsed.map_err(|source| SqlError::Url {
        source: source.into(),
    })?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_MAX);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNANSWERED_MAX);
    }
    if config.get_application_name().is_none() {
        config.application_name("kinesis-pipeline");
    }
    // No query or prepared statement is kept for a connection: see the module's documentation.
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = manager(config, recycling)?;
    let pool = Pool::builder(manager)
        .max_size(options.connections_max)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(POOL_WAIT_MAX))
        .create_timeout(Some(CONNECT_MAX))
        .build();
    pool.map_err(|source| SqlError::Tls {
        source: source.into(),
    })
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unnecessary_wraps, reason = "with TLS it can fail")]
fn manager(config: Config, recycling: ManagerConfig) -> Result<Manager, SqlError> {
    let tls = tokio_postgres::NoTls;
    Ok(Manager::from_config(config, tls, recycling))
}

/// Makes a manager that uses TLS as the URL's `sslmode` says: by default if the server offers it. The server's
/// certificate is always checked.
#[cfg(feature = "tls")]
fn manager(config: Config, recycling: ManagerConfig) -> Result<Manager, SqlError> {
    use std::sync::Arc;

    use tokio_postgres_rustls::MakeRustlsConnect;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.map_err(|source| SqlError::Tls {
        source: source.into(),
    })?;
    let tls = tls.with_root_certificates(roots).with_no_client_auth();
    let tls = MakeRustlsConnect::new(tls);
    Ok(Manager::from_config(config, tls, recycling))
}
