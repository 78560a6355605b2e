//! How a backend reaches its relay: TCP, TLS that trusts one authority, websocket with token and subprotocol.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, pem::PemObject};
use spoolway_protocol::version::{BACKEND_PATH, PROTO};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, http::HeaderValue};

/// A connection to a relay.
pub(super) type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Where the relay is and what it knows this backend by.
pub struct Relay {
    /// Host as its certificate says it.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `<backend>.<secret>`, as `spoolway-relay backend add` printed it.
    pub token: String,
    /// PEM file of the authority that signed the relay's certificate.
    pub ca_file: PathBuf,
}

/// Why it is of no use to go on.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The authority's certificate cannot be used.
    #[error("the authority's certificate: {0}")]
    Authority(String),
    /// The host is not a name.
    #[error("the relay's host: {0}")]
    Host(#[from] InvalidDnsNameError),
    /// The relay does not accept the token.
    #[error("the relay does not accept this backend's token")]
    Token,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// No connection, or no TLS.
    #[error("{0}")]
    Tcp(#[from] std::io::Error),
    /// No websocket.
    #[error("{0}")]
    Websocket(#[from] tungstenite::Error),
}

/// What is needed to dial, again and again.
pub(super) struct Dialler {
    relay: Relay,
    name: ServerName<'static>,
    bearer: HeaderValue,
    tls: TlsConnector,
}

impl Dialler {
    pub(super) fn new(relay: Relay) -> Result<Self, BackendError> {
        let name = ServerName::try_from(relay.host.clone())?;
        let bearer =
            HeaderValue::try_from(format!("Bearer {}", relay.token)).map_err(|_| BackendError::Token)?;
        Ok(Self { name, bearer, tls: trusting(&relay.ca_file)?, relay })
    }

    /// One attempt; the outer error is final.
    pub(super) async fn dial(&self) -> Result<Result<Socket, DialError>, BackendError> {
        match self.attempt().await {
            Err(DialError::Websocket(tungstenite::Error::Http(answer))) if answer.status() == 401 => {
                Err(BackendError::Token)
            }
            other => Ok(other),
        }
    }

    async fn attempt(&self) -> Result<Socket, DialError> {
        let Relay { host, port, .. } = &self.relay;
        let tcp = TcpStream::connect((host.as_str(), *port)).await?;
        tcp.set_nodelay(true)?;
        let tls = self.tls.connect(self.name.clone(), tcp).await?;
        let mut request = format!("wss://{host}:{port}{BACKEND_PATH}").into_client_request()?;
        request.headers_mut().insert("authorization", self.bearer.clone());
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(PROTO));
        let (socket, _) = tokio_tungstenite::client_async(request, tls).await?;
        Ok(socket)
    }
}

/// TLS that trusts one authority.
fn trusting(ca_file: &Path) -> Result<TlsConnector, BackendError> {
    let failed = |error: &dyn std::fmt::Display| BackendError::Authority(error.to_string());
    let authority = CertificateDer::from_pem_file(ca_file).map_err(|error| failed(&error))?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority).map_err(|error| failed(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config =
        versions.map_err(|error| failed(&error))?.with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
