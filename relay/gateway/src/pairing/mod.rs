//! Pairing over HTTP: from a code at the agent to an owner, and what an agent with a key of its own may ask besides.
//!
//! Whose word counts is judged by `spoolway_relay_registry::pairing`. Here it is proven who says it, and counted how often.

mod agent;
pub(crate) mod backend;
mod rotate;
mod signed;
mod tries;

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use axum::routing::{get, post};
use spoolway_protocol::B64;
use spoolway_protocol::identity::ROTATE_PATH;
use spoolway_protocol::pairing::{ENROL_PATH, FORGET_PATH, PAIR_BODY_BYTES, PairInfo, START_PATH, STEP_PATH};

use crate::Gateway;
use crate::answer::Trouble;

pub(crate) use tries::Tries;

/// How long a body may take. No setting: it has 8 KiB at most, and its sender is nobody whom one would have to wait for.
const BODY: Duration = Duration::from_secs(10);

/// What agents ask, and people who follow their link. What backends say stands in the table of requests.
pub(crate) fn routes() -> Router<Gateway> {
    Router::new()
        .route(START_PATH, post(agent::start))
        .route(STEP_PATH, post(agent::step))
        .route(ENROL_PATH, post(agent::enrol))
        .route(FORGET_PATH, post(agent::forget))
        .route(ROTATE_PATH, post(rotate::rotate))
        .route("/pair/{code}", get(agent::page))
}

/// A name as it may be kept and shown.
fn cleaned(name: &str) -> String {
    PairInfo { host: name.to_owned(), ..PairInfo::default() }.cleaned().host
}

/// 32 bytes.
fn key(bytes: &B64) -> Result<[u8; 32], Trouble> {
    bytes.0.as_slice().try_into().map_err(|_| Trouble::bad("32 bytes in base64 are expected"))
}

/// The body of a request, within its bounds.
async fn body_of(body: Body) -> Result<String, Trouble> {
    let body = tokio::time::timeout(BODY, to_bytes(body, PAIR_BODY_BYTES)).await;
    let late = |_| Trouble::new(StatusCode::REQUEST_TIMEOUT, "bad_field", "the body takes too long");
    let bytes = body.map_err(late)?.map_err(|error| Trouble::bad(error.to_string()))?;
    String::from_utf8(bytes.into()).map_err(|_| Trouble::bad("the body is not UTF-8"))
}
