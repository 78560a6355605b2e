//! From a TCP connection to a peer: a bounded number of handshakes at a time, each under a time limit.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use spoolway_protocol::BackendId;
use spoolway_protocol::hello::{EXPORTER_BYTES, EXPORTER_LABEL};
use spoolway_protocol::limits::NONCE_BYTES;
use spoolway_protocol::version::{AGENT_PATH, BACKEND_PATH, PROTO};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::http::{HeaderMap, header};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth;
use crate::hub::Hub;
use crate::metrics::HandshakeFailure;
use crate::peer;
use crate::socket::{self, Reader, Refusal, Writer};

/// How long to wait when the system has no descriptor left for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Who has dialled, from path and headers.
#[derive(Debug)]
pub(crate) enum Dialled {
    /// An agent; it still has to prove who it is.
    Agent {
        /// The challenge.
        nonce: [u8; NONCE_BYTES],
        /// The host it has dialled.
        host: String,
        /// Keying material of this TLS session.
        exporter: [u8; EXPORTER_BYTES],
    },
    /// A backend that has shown its secret.
    Backend {
        /// The backend.
        id: BackendId,
        /// Its organisation.
        organisation: String,
    },
}

/// What the accept loop needs.
#[derive(Clone)]
pub(crate) struct Door {
    /// What peers share.
    pub(crate) hub: Arc<Hub>,
    /// TLS.
    pub(crate) tls: TlsAcceptor,
    /// Everything that runs for a peer.
    pub(crate) tasks: TaskTracker,
    /// Ends what still runs.
    pub(crate) abort: CancellationToken,
}

/// Binds the public listener. Accepted sockets inherit its TCP keepalive.
///
/// # Errors
/// The address cannot be bound.
pub(crate) fn bind(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

/// Accepts until `stop`.
pub(crate) async fn accept_until(stop: CancellationToken, listener: TcpListener, door: Door) {
    let handshakes = Arc::new(Semaphore::new(door.hub.limits.handshakes_at_once));
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, address)) => door.let_in(stream, address, Arc::clone(&handshakes)),
            Err(error) => {
                tracing::warn!(%error, "accept");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// Counts a socket for as long as it lives.
struct Counted(Arc<Hub>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.metrics.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Door {
    fn let_in(&self, stream: TcpStream, address: SocketAddr, handshakes: Arc<Semaphore>) {
        let open = self.hub.metrics.sockets.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(&self.hub));
        if open >= self.hub.limits.max_sockets as u64 {
            self.hub.metrics.handshake_failed(HandshakeFailure::Full);
            return;
        }
        let door = self.clone();
        self.spawn(async move {
            let Some((reader, writer, dialled)) = door.handshake(stream, address, &handshakes).await else {
                return;
            };
            // A task of its own: the handshake's future would otherwise stay in memory as long as the peer.
            let hub = Arc::clone(&door.hub);
            door.spawn(async move {
                let _counted = counted;
                peer::serve(hub, reader, writer, dialled).await;
            });
        });
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let abort = self.abort.clone();
        self.tasks.spawn(async move { abort.run_until_cancelled_owned(future).await });
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        handshakes: &Semaphore,
    ) -> Option<(Reader<TlsStream<TcpStream>>, Writer<TlsStream<TcpStream>>, Dialled)> {
        let limit = Duration::from_millis(self.hub.limits.handshake_timeout_ms);
        // A connection that says nothing takes no place among the handshakes.
        let spoken = timeout(limit, stream.readable()).await;
        if !matches!(spoken, Ok(Ok(()))) {
            self.hub.metrics.handshake_failed(HandshakeFailure::Timeout);
            return None;
        }
        let place = handshakes.acquire().await.ok()?;
        let outcome = timeout(limit, Box::pin(self.shake_hands(stream))).await;
        drop(place);
        let failure = match outcome {
            Ok(Ok(connected)) => return Some(connected),
            Ok(Err(failure)) => failure,
            Err(_) => (HandshakeFailure::Timeout, "too slow".to_owned()),
        };
        self.hub.metrics.handshake_failed(failure.0);
        tracing::debug!(%address, stage = ?failure.0, error = failure.1, "handshake");
        None
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
    ) -> Result<
        (Reader<TlsStream<TcpStream>>, Writer<TlsStream<TcpStream>>, Dialled),
        (HandshakeFailure, String),
    > {
        let tls_error = |error: String| (HandshakeFailure::Tls, error);
        // Small frames are written whole; waiting for more would only delay them.
        stream.set_nodelay(true).map_err(|error| tls_error(error.to_string()))?;
        let stream = self.tls.accept(stream).await.map_err(|error| tls_error(error.to_string()))?;
        let exporter = [0; EXPORTER_BYTES];
        let exporter = stream.get_ref().1.export_keying_material(exporter, EXPORTER_LABEL.as_bytes(), None);
        let exporter = exporter.map_err(|error| tls_error(error.to_string()))?;
        let is_busy = |dialled: &Dialled| matches!(dialled, Dialled::Backend { .. });
        let gate = |path: &str, headers: &HeaderMap| gate(&self.hub, path, headers, exporter);
        let upgraded = socket::upgrade(stream, PROTO, is_busy, gate).await;
        upgraded.map_err(|error| (HandshakeFailure::Upgrade, error.to_string()))
    }
}

fn gate(
    hub: &Hub,
    path: &str,
    headers: &HeaderMap,
    exporter: [u8; EXPORTER_BYTES],
) -> Result<Dialled, Refusal> {
    if hub.is_draining() {
        return Err(Refusal { status: 503, text: "this relay is about to go" });
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match path {
        AGENT_PATH => {
            let host = text(header::HOST).map(host_without_port).unwrap_or_default();
            if !hub.hosts.contains(&host) {
                return Err(Refusal {
                    status: 421,
                    text: "this relay does not go by that host name (relay.hosts)",
                });
            }
            let nonce = auth::random().map_err(|_| Refusal { status: 500, text: "no randomness" })?;
            Ok(Dialled::Agent { nonce, host, exporter })
        }
        BACKEND_PATH => {
            let table = hub.desk.backends();
            let backend = text(header::AUTHORIZATION).and_then(|value| auth::backend_of(value, &table));
            let backend =
                backend.ok_or(Refusal { status: 401, text: "a backend's credential is required" })?;
            Ok(Dialled::Backend { id: backend.id.clone(), organisation: backend.organisation.clone() })
        }
        _ => Err(Refusal { status: 404, text: "agents dial /agent/v1, backends /backend/v1" }),
    }
}

/// The host of a `Host` header (RFC 9110, section 7.2), in lower case; an IPv6 address keeps its brackets.
fn host_without_port(host: &str) -> String {
    let without = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) && !name.ends_with(':') => {
            name
        }
        _ => host,
    };
    without.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_cut_off() {
        for (header, host) in [
            ("Relay.Example", "relay.example"),
            ("relay.example:8443", "relay.example"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:8443", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(host_without_port(header), host);
        }
    }
}
