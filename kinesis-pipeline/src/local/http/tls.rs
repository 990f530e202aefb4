//! TLS with a certificate that is made at the start of the server and lives as long as that.

use std::{error::Error, net::IpAddr, sync::Arc};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer},
};

/// The protocols that the server offers, the better one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The acceptor of a server with TLS, and the certificate that its clients must trust.
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    pub(super) certificate_pem: String,
}

impl Tls {
    /// Makes a certificate for a server on this address.
    pub(super) fn new(address: IpAddr) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names(address))?;
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(vec![cert.der().clone()], key.into())?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate_pem: cert.pem(),
        })
    }
}

/// Returns the names under which clients reach the server.
fn names(address: IpAddr) -> Vec<String> {
    let mut names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    let own = address.to_string();
    if !names.contains(&own) {
        names.push(own);
    }
    names
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };
    use tokio_rustls::{
        TlsConnector,
        client::TlsStream,
        rustls::{
            ClientConfig, RootCertStore,
            pki_types::{CertificateDer, ServerName, pem::PemObject},
        },
    };

    use super::*;
    use crate::local::{LocalKinesis, http::server::STOP_WAIT_MAX};

    /// Returns a connection of a client that trusts this certificate alone.
    async fn connect(address: SocketAddr, pem: &str, protocol: &[u8]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let socket = TcpStream::connect(address).await.unwrap();
        let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
        TlsConnector::from(Arc::new(config))
            .connect(name, socket)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_client_that_trusts_the_certificate_is_answered() {
        let local = LocalKinesis::start().await.unwrap();
        let server = local.serve_tls("127.0.0.1:0").await.unwrap();
        assert!(server.endpoint_url().starts_with("https://127.0.0.1:"));
        let pem = server.certificate_pem().unwrap();
        let mut stream = connect(server.address(), pem, b"http/1.1").await;
        let request = b"POST / HTTP/1.1\r\nHost: local\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("UnknownOperationException"), "{answer}");
    }

    #[tokio::test]
    async fn http_2_is_agreed_on_where_the_client_offers_it() {
        let local = LocalKinesis::start().await.unwrap();
        let server = local.serve_tls("127.0.0.1:0").await.unwrap();
        let pem = server.certificate_pem().unwrap();
        let stream = connect(server.address(), pem, b"h2").await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_shakes_no_hands_does_not_hold_a_stop_up() {
        let local = LocalKinesis::start().await.unwrap();
        let server = local.serve_tls("127.0.0.1:0").await.unwrap();
        let _silent = TcpStream::connect(server.address()).await.unwrap();
        let began = crate::Clock::system().instant();
        server.stop().await;
        assert!(began.elapsed() < STOP_WAIT_MAX);
    }

    #[test]
    fn the_certificate_names_the_address_once() {
        assert_eq!(names(Ipv4Addr::LOCALHOST.into()).len(), 3);
        assert_eq!(
            names(Ipv4Addr::new(192, 0, 2, 1).into()).last().unwrap(),
            "192.0.2.1"
        );
    }
}
