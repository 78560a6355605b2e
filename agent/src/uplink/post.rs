//! One signed request at a time to the relay, over HTTPS: what an agent says before it may have a session.

use std::error::Error;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use spoolway_protocol::Fault;
use spoolway_protocol::hello::{EXPORTER_BYTES, attach_signature};
use spoolway_protocol::pairing::pair_signed_bytes;

use super::RelaySettings;
use super::failure::{Failure, Stage};
use super::retry_after::retry_after_ms;
use super::way::{self, Secured, in_time, signed_host};
use crate::clock::Clock;
use crate::identity::Key;

/// Largest answer.
const ANSWER_BYTES: usize = 64 * 1024;

/// What the relay has answered.
#[derive(Debug)]
pub(crate) struct Answered {
    /// HTTP status.
    pub(crate) status: u16,
    /// How long to wait before the next request, in ms.
    pub(crate) retry_after_ms: Option<u64>,
    /// The body.
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct PostError {
    /// The stable fault.
    pub(crate) fault: Fault,
    /// What failed, and at which stage.
    pub(crate) text: String,
}

impl From<Failure> for PostError {
    fn from(failure: Failure) -> Self {
        Self { fault: failure.fault, text: failure.to_string() }
    }
}

/// Sends requests over one connection for as long as it holds.
pub(crate) struct Poster {
    relay: RelaySettings,
    clock: Clock,
    key: Arc<Key>,
    line: Option<Line>,
}

struct Line {
    sender: SendRequest<Full<Bytes>>,
    exporter: [u8; EXPORTER_BYTES],
}

impl Poster {
    /// Nothing is dialled yet.
    pub(crate) fn new(relay: RelaySettings, clock: Clock, key: Arc<Key>) -> Self {
        Self { relay, clock, key, line: None }
    }

    /// Signs a body for the connection it goes over, and sends it.
    ///
    /// # Errors
    /// There is no connection, or no whole answer.
    pub(crate) async fn post(&mut self, path: &str, unsigned: &str) -> Result<Answered, PostError> {
        let kept = match self.line.take() {
            Some(mut line) => line.sender.ready().await.is_ok().then_some(line),
            None => None,
        };
        let mut line = match kept {
            Some(line) => line,
            None => self.dial().await?,
        };
        let digest: [u8; 32] = Sha256::digest(unsigned).into();
        let signed = pair_signed_bytes(path, &signed_host(&self.relay.url), &line.exporter, &digest);
        let body = attach_signature(unsigned, &self.key.sign(&signed));
        let body = body.expect("every body here is an object with members");
        let authority = self.relay.url.to_string();
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, authority.trim_start_matches("wss://"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Failure::unreachable(Stage::Request, error.to_string()))?;
        let answered = in_time(Stage::Request, exchange(&mut line.sender, request)).await?;
        let answered = answered.map_err(|error| {
            let refused = Failure::of_alert(Stage::Request, error.as_ref());
            refused.unwrap_or_else(|| Failure::unreachable(Stage::Request, error.to_string()))
        })?;
        self.line = Some(line);
        Ok(answered)
    }

    async fn dial(&self) -> Result<Line, Failure> {
        // No certificate of the agent's own: what is posted is signed with a key that is said in it.
        let Secured { stream, exporter, .. } = way::go(&self.relay, &self.clock, None, &mut ()).await?;
        let shaken = in_time(Stage::Request, http1::handshake(TokioIo::new(stream))).await?;
        let (sender, connection) =
            shaken.map_err(|error| Failure::unreachable(Stage::Request, error.to_string()))?;
        // It ends when the sender is dropped or the relay closes; whoever sends next then dials anew.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Line { sender, exporter })
    }
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Answered, Box<dyn Error + Send + Sync>> {
    let response = sender.send_request(request).await?;
    let (status, retry_after_ms) = (response.status().as_u16(), retry_after_ms(response.headers()));
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| match error.is::<LengthLimitError>() {
        true => format!("the answer (HTTP {status}) is longer than 64 KiB; is this the relay?").into(),
        false => error,
    })?;
    Ok(Answered { status, retry_after_ms, body: body.to_bytes() })
}
