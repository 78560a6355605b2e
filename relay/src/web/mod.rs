//! The public port: HTTP/1.1 behind TLS, of which a websocket is an upgrade.

mod gate;
mod upgrade;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper::{Request, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use spoolway_protocol::version::{AGENT_PATH, BACKEND_PATH};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::config::Pairing;
use crate::hub::Hub;
use crate::listen::{Door, Visit};
use crate::metrics::HandshakeFailure;

pub use crate::desk::DeskError;
pub use gate::{Credential, Denied, Gate, Process, Visitor};
pub(crate) use upgrade::Dialled;

/// Most bytes of a request's head; hyper takes no less.
const HEAD_BYTES: usize = 8 * 1024;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Front {
    door: Door,
    pairing: Arc<Pairing>,
}

impl Front {
    /// Behind this door.
    pub(crate) fn new(door: Door, pairing: Pairing) -> Self {
        Self { door, pairing: Arc::new(pairing) }
    }

    fn hub(&self) -> &Arc<Hub> {
        &self.door.hub
    }
}

/// More of the public port, from outside this crate.
pub type More = fn(Gate) -> Router;

/// Where each request goes.
pub(crate) fn routes(front: Front, more: Option<More>) -> Router {
    let more = more.map(|more| more(Gate::new(front.clone()))).unwrap_or_default();
    Router::new()
        .route(AGENT_PATH, any(upgrade::agent))
        .route(BACKEND_PATH, any(upgrade::backend))
        .fallback(nowhere)
        .with_state(front)
        .merge(more)
}

async fn nowhere(State(front): State<Front>) -> Response {
    front.hub().metrics.handshake_failed(HandshakeFailure::Upgrade);
    text(StatusCode::NOT_FOUND, "agents dial /agent/v1, backends /backend/v1")
}

/// A line for people, after which the connection is closed.
fn text(status: StatusCode, text: &str) -> Response {
    (status, [(header::CONNECTION, "close")], format!("{text}\n")).into_response()
}

/// Serves one connection until it is closed or has become a websocket.
pub(crate) async fn serve(door: &Door, stream: TlsStream<TcpStream>, visit: Visit, routes: Router) {
    let visit = Arc::new(visit);
    let routes = TowerToHyperService::new(routes);
    let service = service_fn({
        let visit = Arc::clone(&visit);
        move |mut request: Request<Incoming>| {
            visit.enter();
            request.extensions_mut().insert(Arc::clone(&visit));
            let (answer, counted) = (routes.call(request), Arc::clone(&visit.counted));
            async move {
                let answer = answer.await?;
                if answer.status().is_success() {
                    counted.known();
                }
                Ok::<_, Infallible>(answer)
            }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // It also ends a connection on which no further request comes.
        .header_read_timeout(door.patience())
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = visit.cut.notified() => return,
        () = door.leave.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    let Err(error) = ended else { return };
    if visit.enter() {
        let why = if error.is_timeout() { HandshakeFailure::Timeout } else { HandshakeFailure::Upgrade };
        door.hub.metrics.handshake_failed(why);
    }
    tracing::debug!(address = %visit.address, %error, "connection");
}
