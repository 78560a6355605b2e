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
use places::{Bound, Place, Places};
use table::ENDPOINTS;

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
    /// A place among the requests that wait for an agent.
    fn place(&self, who: &Credential) -> Result<Place, Trouble> {
        let limits = self.gate.limits();
        let bound = Bound { most: limits.http_requests, of_one: limits.http_requests_of_backend };
        let full = "too many requests wait already (limits.http_requests_of_backend); try again when one has been answered";
        self.places.take(&who.backend, bound).ok_or_else(|| Trouble::busy(full))
    }

    /// A place among the streams of events.
    fn stream_place(&self, who: &Credential) -> Result<Place, Trouble> {
        let limits = self.gate.limits();
        let bound = Bound { most: limits.event_streams, of_one: limits.event_streams_of_backend };
        let full = "too many streams are open already (limits.event_streams_of_backend); close one";
        self.streams.take(&who.backend, bound).ok_or_else(|| Trouble::busy(full))
    }

    /// A place among the files on their way.
    fn push_place(&self, who: &Credential) -> Result<Place, Trouble> {
        let limits = self.gate.limits();
        let bound = Bound { most: limits.pushes, of_one: limits.pushes_of_backend };
        let full =
            "too many files are pushed already (limits.pushes_of_backend); try again when one has arrived";
        self.pushes.take(&who.backend, bound).ok_or_else(|| Trouble::busy(full))
    }

    fn tries(&self) -> MutexGuard<'_, Tries> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that is answered here.
pub fn routes(gate: Gate) -> Router {
    let [places, streams, pushes] = [(); 3].map(|()| Arc::<Places>::default());
    let tries = Arc::new(Mutex::new(Tries::new(gate.pairing())));
    let routes = ENDPOINTS.iter().fold(pairing::routes(), |router, endpoint| {
        let handler = endpoint.handler;
        router.route(endpoint.path, handler())
    });
    routes.with_state(Gateway { gate, places, streams, pushes, tries })
}
