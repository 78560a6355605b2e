//! The public port: HTTP/1.1 behind TLS, of which a websocket is an upgrade.

mod answer;
mod backend;
mod gate;
mod pair;
mod upgrade;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{MethodRouter, any, get, post};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper::{Request, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use spoolway_protocol::pairing::{
    CLAIM_PATH, ENROL_PATH, FORGET_PATH, PAIR_BODY_BYTES, START_PATH, STEP_PATH,
};
use spoolway_protocol::version::{AGENT_PATH, BACKEND_PATH};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::config::Pairing;
use crate::hub::Hub;
use crate::listen::{Door, Visit};
use crate::metrics::HandshakeFailure;
use pair::Tries;

pub use answer::{Trouble, json};
pub use gate::{Credential, Gate, Process};
pub(crate) use upgrade::Dialled;

/// Most bytes of a request's head; hyper takes no less.
const HEAD_BYTES: usize = 8 * 1024;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Front {
    door: Door,
    pairing: Arc<Pairing>,
    tries: Arc<Mutex<Tries>>,
}

impl Front {
    /// Behind this door.
    pub(crate) fn new(door: Door, pairing: Pairing) -> Self {
        let tries = Arc::new(Mutex::new(Tries::new(&pairing)));
        Self { door, pairing: Arc::new(pairing), tries }
    }

    fn hub(&self) -> &Arc<Hub> {
        &self.door.hub
    }

    fn tries(&self) -> MutexGuard<'_, Tries> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Handler = fn() -> MethodRouter<Front>;

/// What a backend may say to a pairing.
const PAIRINGS: [(&str, Handler); 4] = [
    (CLAIM_PATH, || post(backend::claim)),
    ("/v1/pairings/{pair_id}", || get(backend::look)),
    ("/v1/pairings/{pair_id}/approve", || post(backend::approve)),
    ("/v1/pairings/{pair_id}/deny", || post(backend::deny)),
];

/// What the relay itself answers to backends by HTTP, for whoever describes it.
pub fn paths_of_backends() -> impl Iterator<Item = &'static str> {
    PAIRINGS.iter().map(|(path, _)| *path)
}

/// More of the public port, from outside this crate.
pub type More = fn(Gate) -> Router;

/// Where each request goes.
pub(crate) fn routes(front: Front, more: Option<More>) -> Router {
    let more = more.map(|more| more(Gate::new(front.clone()))).unwrap_or_default();
    let pairings =
        PAIRINGS.iter().fold(Router::new(), |router, (path, handler)| router.route(path, handler()));
    pairings
        .route(AGENT_PATH, any(upgrade::agent))
        .route(BACKEND_PATH, any(upgrade::backend))
        .route(START_PATH, post(pair::start))
        .route(STEP_PATH, post(pair::step))
        .route(ENROL_PATH, post(pair::enrol))
        .route(FORGET_PATH, post(pair::forget))
        .route("/pair/{code}", get(pair::page))
        .fallback(nowhere)
        .layer(DefaultBodyLimit::max(PAIR_BODY_BYTES))
        .with_state(front)
        .merge(more)
}

async fn nowhere(State(front): State<Front>) -> Response {
    front.hub().metrics.handshake_failed(HandshakeFailure::Upgrade);
    answer::text(StatusCode::NOT_FOUND, "agents dial /agent/v1, backends /backend/v1")
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
