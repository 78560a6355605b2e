//! HTTP for backends that hold no websocket: each request is one more process of its backend, on the relay's public port.
//!
//! It sees the relay through [`Gate`] alone. Here bodies are read, where the relay itself reads heads only; nothing is kept: a command is
//! durable at its backend until the receipt, and at the agent after it.

mod ack;
mod body;
mod command;
mod events;
mod openapi;
mod places;
mod table;

use std::sync::Arc;

use axum::Router;
use spoolway_relay::web::{Credential, Gate, Trouble};

use places::{Place, Places};
use table::ENDPOINTS;

/// Requests that may wait at a time, of all backends together: each may hold a frame of 64 KiB.
const WAITING: usize = 512;
/// Requests of one backend that may wait at a time.
const WAITING_OF_ONE: usize = 64;
/// Streams of events that may be open at a time, of all backends together: each has a mailbox.
const STREAMS: usize = 256;
/// Streams of one backend that may be open at a time.
const STREAMS_OF_ONE: usize = 16;

/// What the handlers share.
#[derive(Clone)]
struct Gateway {
    gate: Gate,
    places: Arc<Places>,
    streams: Arc<Places>,
}

impl Gateway {
    fn place(&self, who: &Credential) -> Result<Place, Trouble> {
        self.places.take(&who.backend).ok_or_else(|| Trouble::busy("too many requests wait already"))
    }
}

/// Everything that is answered here.
pub fn routes(gate: Gate) -> Router {
    let places = |most, of_one| Arc::new(Places::new(most, of_one));
    let (places, streams) = (places(WAITING, WAITING_OF_ONE), places(STREAMS, STREAMS_OF_ONE));
    let answered = ENDPOINTS.iter().filter_map(|endpoint| Some((endpoint.path, endpoint.handler?)));
    let router = answered.fold(Router::new(), |router, (path, handler)| router.route(path, handler()));
    router.with_state(Gateway { gate, places, streams })
}
