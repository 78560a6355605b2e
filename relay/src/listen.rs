//! From a TCP connection to TLS: a bounded number of handshakes at a time, each under a time limit.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use rustix::net::sockopt::set_tcp_user_timeout;
use spoolway_protocol::hello::{EXPORTER_BYTES, EXPORTER_LABEL};
use spoolway_relay_tls::{Clients, Shown};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::hub::Hub;
use crate::metrics::HandshakeFailure;
use crate::web;

/// How long to wait when the system has no descriptor left for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// What the accept loop needs.
#[derive(Clone)]
pub(crate) struct Door {
    /// What peers share.
    pub(crate) hub: Arc<Hub>,
    /// TLS.
    pub(crate) tls: TlsAcceptor,
    /// Whose certificates are wanted.
    pub(crate) clients: Arc<Clients>,
    /// Everything that runs for a peer.
    pub(crate) tasks: TaskTracker,
    /// The relay is about to go: requests end with their answers.
    pub(crate) leave: CancellationToken,
    /// Ends what still runs.
    pub(crate) abort: CancellationToken,
}

/// One connection behind its TLS handshake.
pub(crate) struct Visit {
    /// Who has connected.
    pub(crate) address: SocketAddr,
    /// Keying material of this TLS session.
    pub(crate) exporter: [u8; EXPORTER_BYTES],
    /// What its certificate says.
    pub(crate) shown: Option<Shown>,
    /// Counts the socket for as long as it lives.
    pub(crate) counted: Arc<Counted>,
    /// Ends the connection from within.
    pub(crate) cut: Notify,
    /// The place among the handshakes, until the first request has come.
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Visit {
    /// A request has come. Returns whether it is the first.
    pub(crate) fn enter(&self) -> bool {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }
}

/// Binds the public listener. Accepted sockets inherit its TCP keepalive, and that what is written is acknowledged within `dead_ms`: who
/// only listens is not asked for a sign of life.
///
/// # Errors
/// The address cannot be bound.
pub(crate) fn bind(address: SocketAddr, backlog: u32, dead_ms: u64) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_keepalive(true)?;
    set_tcp_user_timeout(&socket, dead_ms.try_into().unwrap_or(u32::MAX))?;
    socket.bind(address)?;
    socket.listen(backlog)
}

/// Accepts until `stop`.
pub(crate) async fn accept_until(stop: CancellationToken, listener: TcpListener, door: Door, routes: Router) {
    let mut places = door.hub.limits().handshakes_at_once;
    let mut handshakes = Arc::new(Semaphore::new(places));
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let wanted = door.hub.limits().handshakes_at_once;
        if wanted != std::mem::replace(&mut places, wanted) {
            // Those under way keep their place among the old ones.
            handshakes = Arc::new(Semaphore::new(places));
        }
        match accepted {
            Ok((stream, address)) => door.let_in(stream, address, Arc::clone(&handshakes), routes.clone()),
            Err(error) => {
                tracing::warn!(%error, "accept");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// Counts a socket for as long as it lives, and its address until somebody has shown who he is.
pub(crate) struct Counted {
    /// Whose socket it is.
    pub(crate) address: SocketAddr,
    hub: Arc<Hub>,
    stranger: Mutex<Option<IpAddr>>,
}

impl Counted {
    /// This is somebody whom the relay serves.
    pub(crate) fn known(&self) {
        let stranger = self.stranger.lock().unwrap_or_else(PoisonError::into_inner).take();
        stranger.into_iter().for_each(|key| self.hub.admission.known(key));
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.hub.metrics.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Door {
    fn let_in(&self, stream: TcpStream, address: SocketAddr, handshakes: Arc<Semaphore>, routes: Router) {
        let open = self.hub.metrics.sockets.fetch_add(1, Ordering::Relaxed);
        let mut counted = Counted { address, hub: Arc::clone(&self.hub), stranger: Mutex::default() };
        if open >= self.hub.limits().max_sockets as u64 {
            return self.hub.metrics.handshake_failed(HandshakeFailure::Full);
        }
        match self.hub.admission.stranger(address.ip(), self.hub.clock.ms()) {
            Ok(key) => counted.stranger = Mutex::new(key),
            Err(_) => return self.hub.metrics.handshake_failed(HandshakeFailure::RateLimited),
        }
        let counted = Arc::new(counted);
        let door = self.clone();
        self.spawn(async move {
            let Some((stream, visit)) = door.handshake(stream, address, handshakes, counted).await else {
                return;
            };
            // A task of its own: the handshake's future would otherwise stay in memory as long as the connection.
            let front = door.clone();
            door.spawn(async move { web::serve(&front, stream, visit, routes).await });
        });
    }

    /// Runs something for a peer.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(until_stopped(self.abort.clone(), Box::pin(future)));
    }

    /// How long each stage of getting in may take.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.hub.limits().handshake_timeout_ms)
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        handshakes: Arc<Semaphore>,
        counted: Arc<Counted>,
    ) -> Option<(TlsStream<TcpStream>, Visit)> {
        // A connection that says nothing takes no place among the handshakes.
        let spoken = timeout(self.patience(), stream.readable()).await;
        if !matches!(spoken, Ok(Ok(()))) {
            self.hub.metrics.handshake_failed(HandshakeFailure::Timeout);
            return None;
        }
        let place = handshakes.acquire_owned().await.ok()?;
        let outcome = timeout(self.patience(), Box::pin(self.shake_hands(stream))).await;
        let failure = match outcome {
            Ok(Ok((stream, exporter, shown))) => {
                let place = Mutex::new(Some(place));
                return Some((
                    stream,
                    Visit { address, exporter, shown, counted, cut: Notify::new(), place },
                ));
            }
            Ok(Err(error)) => (HandshakeFailure::Tls, error.to_string()),
            Err(_) => (HandshakeFailure::Timeout, "too slow".to_owned()),
        };
        self.hub.metrics.handshake_failed(failure.0);
        tracing::debug!(%address, stage = ?failure.0, error = failure.1, "handshake");
        None
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, [u8; EXPORTER_BYTES], Option<Shown>)> {
        // Small frames are written whole; waiting for more would only delay them.
        stream.set_nodelay(true)?;
        let stream = self.tls.accept(stream).await?;
        let exporter = [0; EXPORTER_BYTES];
        let exporter = stream.get_ref().1.export_keying_material(exporter, EXPORTER_LABEL.as_bytes(), None);
        let shown = self.clients.shown(stream.get_ref().1.peer_certificates());
        Ok((stream, exporter.map_err(io::Error::other)?, shown.map_err(io::Error::other)?))
    }
}

/// Runs it until `stop`, which is told once whom to wake: one task asks for both, so that what wakes it for the future costs no look at
/// `stop` beyond a flag.
async fn until_stopped(stop: CancellationToken, mut future: Pin<Box<impl Future<Output = ()>>>) {
    let mut stopped = pin!(stop.cancelled());
    let mut is_told = false;
    poll_fn(|cx| {
        let is_asked = !std::mem::replace(&mut is_told, true) || stop.is_cancelled();
        if is_asked && stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        future.as_mut().poll(cx)
    })
    .await;
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt::{socket_keepalive, tcp_user_timeout};

    use super::*;

    /// What the kernel does for a connection that says nothing is set before anybody is accepted.
    #[tokio::test]
    async fn whoever_acknowledges_nothing_is_gone_after_dead_ms() {
        let listener = bind((std::net::Ipv4Addr::LOCALHOST, 0).into(), 8, 150_000).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert_eq!(tcp_user_timeout(&accepted).unwrap(), 150_000);
        assert!(socket_keepalive(&accepted).unwrap());
    }
}
