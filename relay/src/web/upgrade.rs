//! From a request to a websocket (RFC 6455, section 4.2): who has dialled, or why not.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use spoolway_protocol::hello::EXPORTER_BYTES;
use spoolway_protocol::limits::NONCE_BYTES;
use spoolway_protocol::security::SecurityKind;
use spoolway_protocol::version::PROTO;
use spoolway_protocol::{Address, BackendId};
use spoolway_relay_tls::Shown;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::Front;
use crate::auth;
use crate::listen::{Counted, Visit};
use crate::metrics::HandshakeFailure;
use crate::peer;
use crate::security::{Alarm, Hearer};
use crate::socket::Socket;

/// Who has dialled, from path and headers.
#[derive(Debug)]
pub(crate) enum Dialled {
    /// An agent; it still has to prove who it is.
    Agent {
        /// The challenge.
        nonce: [u8; NONCE_BYTES],
        /// The host it has dialled.
        host: Box<str>,
        /// Keying material of this TLS session.
        exporter: [u8; EXPORTER_BYTES],
        /// What its certificate says, if it has shown one; apart, so that without it nothing is held.
        shown: Option<Box<Shown>>,
    },
    /// An agent that has to show a certificate and has not.
    Bare,
    /// A backend that has shown its secret.
    Backend {
        /// The backend.
        id: BackendId,
        /// Its organisation.
        organisation: String,
    },
}

/// Why a request was answered with an HTTP error.
type Refusal = (StatusCode, &'static str);

pub(super) async fn agent(
    State(front): State<Front>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
) -> Response {
    let dialled = agent_of(&front, &visit, request.headers());
    upgrade(front, visit, request, dialled)
}

pub(super) async fn backend(
    State(front): State<Front>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
) -> Response {
    let backend = front.backend(request.headers());
    if backend.is_none() {
        front.alarm_of_credential(request.headers(), visit.address.ip());
    }
    let dialled = backend.ok_or((StatusCode::UNAUTHORIZED, "a backend's credential is required"));
    let dialled =
        dialled.and_then(|(id, organisation)| match front.door.clients.misses_backends(visit.shown) {
            true => Err((StatusCode::FORBIDDEN, NO_CERTIFICATE)),
            false => Ok(Dialled::Backend { id, organisation }),
        });
    upgrade(front, visit, request, dialled)
}

fn upgrade(
    front: Front,
    visit: Arc<Visit>,
    mut request: Request,
    dialled: Result<Dialled, Refusal>,
) -> Response {
    let checked =
        check(&front, request.method(), request.headers()).and_then(|accept| Ok((accept, dialled?)));
    let (accept, dialled) = match checked {
        Ok(checked) => checked,
        Err((status, text)) => {
            front.hub().metrics.handshake_failed(HandshakeFailure::Upgrade);
            tracing::debug!(address = %visit.address, %status, "upgrade");
            return refused(status, text);
        }
    };
    let upgrade = hyper::upgrade::on(&mut request);
    front.door.clone().spawn(async move {
        let counted = Arc::clone(&visit.counted);
        drop(visit);
        serve(front, upgrade, dialled, counted).await;
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTO)),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

async fn serve(front: Front, upgrade: OnUpgrade, dialled: Dialled, counted: Arc<Counted>) {
    let Ok(Ok(upgraded)) = timeout(front.door.patience(), upgrade).await else { return };
    let Some((stream, read)) = bare(upgraded) else { return };
    let socket = Socket::new(stream, read);
    // A task of its own: this one's future would otherwise stay in memory as long as the connection.
    let hub = Arc::clone(front.hub());
    front.door.spawn(peer::serve(hub, socket, Box::new(dialled), counted));
}

/// The connection without what HTTP had around it, which would otherwise stay in memory.
fn bare(upgraded: Upgraded) -> Option<(TlsStream<TcpStream>, Vec<u8>)> {
    let parts = upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf.to_vec()))
}

/// The answer to the key of a request that asks for our websocket.
fn check(front: &Front, method: &Method, headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
    if front.hub().is_draining() {
        return Err((StatusCode::SERVICE_UNAVAILABLE, "this relay is about to go"));
    }
    let is_websocket = method == Method::GET
        && has_word(headers, &header::CONNECTION, "upgrade")
        && has_word(headers, &header::UPGRADE, "websocket")
        && has_word(headers, &header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| is_websocket);
    let key = key.ok_or((StatusCode::UPGRADE_REQUIRED, "a websocket is expected here"))?;
    if !has_word(headers, &header::SEC_WEBSOCKET_PROTOCOL, PROTO) {
        return Err((StatusCode::BAD_REQUEST, "the websocket subprotocol spoolway.v1 is required"));
    }
    HeaderValue::try_from(accept(key.as_bytes())).map_err(|_| (StatusCode::BAD_REQUEST, "no key"))
}

/// Shows that the key was read (RFC 6455, section 4.2.2).
fn accept(key: &[u8]) -> String {
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key);
    digest.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest.finish())
}

/// Whether a header that is a list names this word.
fn has_word(headers: &HeaderMap, name: &header::HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(word))
}

fn agent_of(front: &Front, visit: &Visit, headers: &HeaderMap) -> Result<Dialled, Refusal> {
    let host = front.host(headers).ok_or(NOT_OUR_NAME)?;
    if front.door.clients.misses_agents(visit.shown) {
        return Ok(Dialled::Bare);
    }
    let nonce = auth::random().map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "no randomness"))?;
    let shown = visit.shown.map(Box::new);
    Ok(Dialled::Agent { nonce, host: host.into(), exporter: visit.exporter, shown })
}

/// `tls.client_certs = "require"`, and there are authorities.
pub(super) const NO_CERTIFICATE: &str =
    "a client certificate of an authority that this relay trusts is required";

/// An agent signs for the host that it has dialled.
pub(super) const NOT_OUR_NAME: Refusal =
    (StatusCode::MISDIRECTED_REQUEST, "this relay does not go by that host name (relay.hosts)");

impl Front {
    /// The host that was dialled, if this relay goes by it.
    pub(super) fn host(&self, headers: &HeaderMap) -> Option<String> {
        let host = host_without_port(headers.get(header::HOST)?.to_str().ok()?);
        self.hub().hosts.contains(&host).then_some(host)
    }

    /// The backend whose secret was shown.
    pub(super) fn backend(&self, headers: &HeaderMap) -> Option<(BackendId, String)> {
        let table = self.hub().desk.backends();
        let backend = auth::backend_of(headers.get(header::AUTHORIZATION)?.to_str().ok()?, &table)?;
        Some((backend.id.clone(), backend.organisation.clone()))
    }
}

impl Front {
    /// Somebody has shown no credential, or a wrong one: whose it should be hears of it.
    pub(super) fn alarm_of_credential(&self, headers: &HeaderMap, from: IpAddr) {
        let claimed = headers.get(header::AUTHORIZATION).and_then(|header| header.to_str().ok());
        let claimed =
            claimed.and_then(auth::claimed_backend).filter(|id| self.hub().desk.backends().contains_key(id));
        let about = claimed.clone().map(Address::Backend);
        let hearer = claimed.map_or(Hearer::Nobody, Hearer::Owner);
        let detail = "a backend's credential is missing or wrong".to_owned();
        self.hub().alarm(Alarm { kind: SecurityKind::AuthFailure, about, from: Some(from), hearer, detail });
    }
}

fn refused(status: StatusCode, text: &str) -> Response {
    let mut response = super::text(status, text);
    let more = match status {
        StatusCode::UNAUTHORIZED => (header::WWW_AUTHENTICATE, "Bearer"),
        StatusCode::UPGRADE_REQUIRED => (header::UPGRADE, "websocket"),
        _ => return response,
    };
    response.headers_mut().insert(more.0, HeaderValue::from_static(more.1));
    response
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

    /// The example of RFC 6455, section 1.3.
    #[test]
    fn a_key_is_accepted_as_the_standard_says() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

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

    #[test]
    fn words_are_found_in_lists() {
        let mut headers = HeaderMap::new();
        headers.append(header::CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        assert!(has_word(&headers, &header::CONNECTION, "upgrade"));
        assert!(!has_word(&headers, &header::CONNECTION, "grade"));
        assert!(!has_word(&headers, &header::UPGRADE, "websocket"));
    }
}
