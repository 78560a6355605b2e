//! HTTP for backends that hold no websocket: each request is one more process of its backend, on the relay's public port.
//!
//! It sees the relay through [`Gate`] alone. Here bodies are read, where the relay itself reads heads only; nothing is kept: a command is
//! durable at its backend until the receipt, and at the agent after it.

mod body;
mod command;
mod places;

use std::sync::Arc;

use axum::Router;
use axum::routing::put;
use spoolway_relay::web::Gate;

use places::Places;

/// Requests that may wait at a time, of all backends together: each may hold a frame of 64 KiB.
const WAITING: usize = 512;
/// Requests of one backend that may wait at a time.
const WAITING_OF_ONE: usize = 64;

/// What the handlers share.
#[derive(Clone)]
struct Gateway {
    gate: Gate,
    places: Arc<Places>,
}

/// Everything that is answered here.
pub fn routes(gate: Gate) -> Router {
    let gateway = Gateway { gate, places: Arc::new(Places::new(WAITING, WAITING_OF_ONE)) };
    Router::new().route("/v1/agents/{agent}/commands/{cmd_id}", put(command::give)).with_state(gateway)
}
