//! How a backend is connected to its relay: TCP, TLS that trusts one authority, websocket with token and subprotocol.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt, stream};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use spoolway_protocol::limits::{DEAD_MS, HANDSHAKE_MS};
use spoolway_protocol::version::{BACKEND_PATH, PROTO};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{TlsConnector, client::TlsStream};
pub use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::{Error, Utf8Bytes, client::IntoClientRequest, http::HeaderValue};
use tokio_tungstenite::{WebSocketStream, client_async};

/// A relay that says nothing for so long is gone.
const DEAD: Duration = Duration::from_millis(DEAD_MS);

/// Where the relay is and what it knows this backend by.
#[derive(Clone)]
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

/// Why there is no connection, or no longer one.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The host is no name, or the authority's certificate cannot be used.
    #[error("the relay's host or authority: {0}")]
    Setup(String),
    /// The relay does not accept the token: another attempt is of no use.
    #[error("the relay does not accept this backend's token")]
    Token,
    /// Anything else, worth another attempt.
    #[error("{0}")]
    Lost(#[from] Error),
}

/// What is needed to dial, again and again.
pub struct Dialler {
    relay: Relay,
    name: ServerName<'static>,
    tls: TlsConnector,
}

impl Dialler {
    /// Reads the authority's certificate.
    ///
    /// # Errors
    /// [`ConnectionError::Setup`].
    pub fn new(relay: Relay) -> Result<Self, ConnectionError> {
        let failed = |error: &dyn std::fmt::Display| ConnectionError::Setup(error.to_string());
        let name = ServerName::try_from(relay.host.clone()).map_err(|error| failed(&error))?;
        let authority = CertificateDer::from_pem_file(&relay.ca_file).map_err(|error| failed(&error))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority).map_err(|error| failed(&error))?;
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { relay, name, tls: TlsConnector::from(Arc::new(tls)) })
    }

    /// One attempt.
    ///
    /// # Errors
    /// There is no connection.
    pub async fn dial(&self) -> Result<Socket, ConnectionError> {
        match timeout(Duration::from_millis(HANDSHAKE_MS), self.attempt()).await {
            Ok(Err(Error::Http(answer))) if answer.status() == 401 => Err(ConnectionError::Token),
            Ok(attempt) => Ok(Socket { websocket: attempt?, dead_at: Instant::now() + DEAD }),
            Err(_) => Err(lost("the relay does not answer")),
        }
    }

    async fn attempt(&self) -> Result<WebSocketStream<TlsStream<TcpStream>>, Error> {
        let Relay { host, port, token, .. } = &self.relay;
        let tcp = TcpStream::connect((host.as_str(), *port)).await?;
        tcp.set_nodelay(true)?;
        let tls = self.tls.connect(self.name.clone(), tcp).await?;
        let mut request = format!("wss://{host}:{port}{BACKEND_PATH}").into_client_request()?;
        request.headers_mut().insert("authorization", HeaderValue::try_from(format!("Bearer {token}"))?);
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(PROTO));
        Ok(client_async(request, tls).await?.0)
    }
}

/// A connection that stands.
pub struct Socket {
    websocket: WebSocketStream<TlsStream<TcpStream>>,
    dead_at: Instant,
}

impl Socket {
    /// Sends frames, in order.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, frames: Vec<Frame>) -> Result<(), ConnectionError> {
        Ok(self.websocket.send_all(&mut stream::iter(frames.into_iter().map(Ok))).await?)
    }

    /// The next text, until the connection is closed or silent. It may be dropped at any time.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn next_text(&mut self) -> Result<Utf8Bytes, ConnectionError> {
        loop {
            let frame = timeout_at(self.dead_at, self.websocket.next()).await;
            self.dead_at = Instant::now() + DEAD;
            match frame.map_err(|_| lost("the relay is silent"))? {
                Some(Ok(Frame::Text(text))) => return Ok(text),
                Some(Ok(Frame::Close(why))) => return Err(lost(&format!("closed: {why:?}"))),
                other => drop(other.ok_or(Error::ConnectionClosed)??),
            }
        }
    }

    /// Says goodbye. Nothing depends on it: the relay notices a socket that is merely dropped, too.
    pub async fn close(mut self) {
        drop(self.websocket.close(None).await);
    }
}

fn lost(why: &str) -> ConnectionError {
    Error::Io(io::Error::other(why)).into()
}
