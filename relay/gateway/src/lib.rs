//! All that the relay's public port answers by HTTP: pairing, and requests of backends that hold no websocket, each of which is one more
//! process of its backend.
//!
//! It sees the relay through [`Gate`] alone. Here bodies are read, where the relay itself reads heads only; nothing is kept: a command is
//! durable at its backend until the receipt, and at the agent after it.

mod ack;
mod answer;
mod body;
mod command;
mod events;
pub mod lineage;
mod openapi;
mod pairing;
mod places;
mod push;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use spoolway_relay::web::{Credential, Gate};

use answer::Trouble;
use pairing::Tries;
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

/// Files that may be pushed at a time, of all backends together: each holds what its agent's credit covers, mostly 256 KiB.
const PUSHES: usize = 128;
/// Files of one backend that may be pushed at a time.
const PUSHES_OF_ONE: usize = 16;

/// What the handlers share.
#[derive(Clone)]
struct Gateway {
    gate: Gate,
    places: Arc<Places>,
    streams: Arc<Places>,
    pushes: Arc<Places>,
    tries: Arc<Mutex<Tries>>,
}

impl Gateway {
    fn place(&self, who: &Credential) -> Result<Place, Trouble> {
        self.places.take(&who.backend).ok_or_else(|| Trouble::busy("too many requests wait already"))
    }

    fn tries(&self) -> MutexGuard<'_, Tries> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that is answered here.
pub fn routes(gate: Gate) -> Router {
    let places = |most, of_one| Arc::new(Places::new(most, of_one));
    let (streams, pushes) = (places(STREAMS, STREAMS_OF_ONE), places(PUSHES, PUSHES_OF_ONE));
    let places = places(WAITING, WAITING_OF_ONE);
    let tries = Arc::new(Mutex::new(Tries::new(gate.pairing())));
    let routes = ENDPOINTS.iter().fold(pairing::routes(), |router, endpoint| {
        let handler = endpoint.handler;
        router.route(endpoint.path, handler())
    });
    routes.with_state(Gateway { gate, places, streams, pushes, tries })
}
