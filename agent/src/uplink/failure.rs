//! Why there is no session: where it failed, the stable fault, and when to try again.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError};
use spoolway_agent_core::link::HandshakeFailure;
pub(super) use spoolway_agent_core::link::Retry;
use spoolway_protocol::Fault;
use spoolway_protocol::hello::close;
use spoolway_protocol::version::PROTO;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::ProtocolError;

use super::retry_after::retry_after_ms;
use crate::clock::utc;

/// Longest text of a peer that is repeated to people.
const REPEATED_CHARS: usize = 160;
/// How long to stay away from a relay that counts too many frames.
const RATE_LIMITED_MS: u64 = 30_000;
/// Over how long to spread the return to a relay that has gone without saying over how long.
const DRAIN_SPREAD_MS: u64 = 30_000;

/// What a server says of a client's certificate; it looks at nobody else's (RFC 8446, section 6.2).
const CLIENT_CERT_ALERTS: [AlertDescription; 10] = [
    AlertDescription::NoCertificate,
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
    AlertDescription::AccessDenied,
    AlertDescription::CertificateRequired,
    // What the certificate is signed with, or the handshake, does not fit.
    AlertDescription::DecryptError,
];

/// How far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Settings,
    Store,
    Name,
    Tcp,
    Proxy,
    Tls,
    Request,
    Websocket,
    Login,
    Session,
}

impl Stage {
    /// Whether the relay may have seen that somebody tried. The store is asked in the middle of a login.
    pub(super) const fn is_at_the_relay(self) -> bool {
        !matches!(self, Self::Settings | Self::Name | Self::Tcp | Self::Proxy)
    }
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) stage: Stage,
    pub(super) fault: Fault,
    pub(super) text: String,
    pub(super) retry: Retry,
}

impl Failure {
    pub(super) fn new(stage: Stage, fault: Fault, text: impl Into<String>) -> Self {
        let retry = match fault {
            // A proxy may lock an account whose password is wrong too often.
            Fault::RelayUnpaired
            | Fault::RelayRevoked
            | Fault::RelayCloneSuspected
            | Fault::RelayClientCert
            | Fault::ProxyAuth => Retry::Slowly(None),
            _ => Retry::Backoff(None),
        };
        Self { stage, fault, text: text.into(), retry }
    }

    /// The relay cannot be had, for a reason that time may heal; the fault is that of the stage.
    pub(super) fn unreachable(stage: Stage, text: impl Into<String>) -> Self {
        let fault = match stage {
            Stage::Name => Fault::NetworkDns,
            Stage::Tcp => Fault::NetworkTcp,
            Stage::Proxy => Fault::ProxyRefused,
            Stage::Tls => Fault::TlsFailed,
            _ => Fault::RelayUnreachable,
        };
        Self::new(stage, fault, text)
    }

    /// What failed on the way to the relay's own address is to be said of the proxy.
    pub(super) fn at_proxy(mut self, proxy: &str) -> Self {
        if self.fault == Fault::NetworkTcp {
            self.fault = Fault::ProxyUnreachable;
        }
        self.text = format!("the proxy {proxy}: {}", self.text);
        self
    }

    /// The peer wants to be left alone for so long, in ms.
    pub(super) fn not_before(mut self, wish_ms: Option<u64>) -> Self {
        self.retry = match self.retry {
            Retry::Backoff(_) => Retry::Backoff(wish_ms),
            Retry::Slowly(_) => Retry::Slowly(wish_ms),
            own @ (Retry::Spread(_) | Retry::At(_)) => own,
        };
        self
    }

    /// TLS failed; what came first from the other end and what the clock shows are part of the story.
    pub(super) fn tls(error: &io::Error, first: &[u8], clock_ms: u64) -> Self {
        if is_web(first) {
            return Self::new(
                Stage::Tls,
                Fault::NetworkCaptivePortal,
                "a web page answered in the relay's place",
            );
        }
        if let Some(refused) = Self::of_alert(Stage::Tls, error) {
            return refused;
        }
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let Some(rustls::Error::InvalidCertificate(reason)) = inner else {
            return Self::unreachable(Stage::Tls, format!("the TLS handshake failed: {error}"));
        };
        let clock = utc(clock_ms);
        match reason {
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::new(
                Stage::Tls,
                Fault::TlsClock,
                format!("its certificate is not valid yet by this machine's clock ({clock})"),
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::new(
                Stage::Tls,
                Fault::TlsClock,
                format!("its certificate has expired by this machine's clock ({clock})"),
            ),
            CertificateError::UnknownIssuer => Self::new(
                Stage::Tls,
                Fault::TlsWrongCertificate,
                "its certificate was issued by an authority that is not trusted here",
            ),
            other => Self::new(
                Stage::Tls,
                Fault::TlsWrongCertificate,
                format!("its certificate is refused: {other}"),
            ),
        }
    }

    /// The other end of TLS does not take what it was shown, or misses it. In TLS 1.3 that comes only behind the handshake (RFC 8446,
    /// section 4.4.2.4), whatever is waited for by then.
    pub(super) fn of_alert(stage: Stage, error: &(dyn Error + 'static)) -> Option<Self> {
        let mut error = Some(error);
        while let Some(at) = error {
            let inner = at.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if let Some(rustls::Error::AlertReceived(alert)) = inner.and_then(|inner| inner.downcast_ref())
                && CLIENT_CERT_ALERTS.contains(alert)
            {
                let text = format!("the relay refuses the client certificate, or misses one: {alert:?}");
                return Some(Self::new(stage, Fault::RelayClientCert, text));
            }
            error = at.source();
        }
        None
    }

    /// The websocket was refused.
    pub(super) fn websocket(error: &WsError) -> Self {
        if let Some(refused) = Self::of_alert(Stage::Websocket, error) {
            return refused;
        }
        match error {
            WsError::Http(response) => {
                let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                let text = format!("the websocket was refused with HTTP {} {body}", response.status());
                Self::unreachable(Stage::Websocket, plain(&text))
                    .not_before(retry_after_ms(response.headers()))
            }
            WsError::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
                Self::new(Stage::Websocket, Fault::RelayProto, format!("it does not speak {PROTO}"))
            }
            other => Self::unreachable(Stage::Websocket, format!("the websocket was refused: {other}")),
        }
    }

    /// The relay closed the websocket.
    pub(super) fn closed(stage: Stage, code: u16, reason: &str) -> Self {
        let text = plain(&format!("the relay closed the connection ({code} {reason})"));
        match code {
            close::REVOKED => Self::new(stage, Fault::RelayRevoked, text),
            close::CLONE_SUSPECTED => Self::new(stage, Fault::RelayCloneSuspected, text),
            close::UPGRADE_REQUIRED => Self::new(stage, Fault::RelayProto, text),
            close::RATE_LIMITED => Self::unreachable(stage, text).not_before(Some(RATE_LIMITED_MS)),
            close::DRAIN => Self { retry: Retry::Spread(DRAIN_SPREAD_MS), ..Self::unreachable(stage, text) },
            _ => Self::unreachable(stage, text),
        }
    }
}

impl From<HandshakeFailure> for Failure {
    fn from(failure: HandshakeFailure) -> Self {
        Self::new(Stage::Login, failure.fault, plain(&failure.detail)).not_before(failure.retry_after_ms)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stage, self.text)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settings => "settings",
            Self::Store => "store",
            Self::Name => "name",
            Self::Tcp => "tcp",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Request => "request",
            Self::Websocket => "websocket",
            Self::Login => "login",
            Self::Session => "session",
        })
    }
}

/// Whether this is how an answer of a web server begins that was not spoken to in HTTP.
pub(super) fn is_web(first: &[u8]) -> bool {
    let first = first.trim_ascii_start();
    [b"HTTP/".as_slice(), b"<!DOC", b"<html"]
        .iter()
        .any(|start| first.get(..start.len()).is_some_and(|first| first.eq_ignore_ascii_case(start)))
}

/// A peer's words without what could draw on a terminal or break a log line, and not too many of them.
pub(super) fn plain(text: &str) -> String {
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(REPEATED_CHARS).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reason: CertificateError) -> Failure {
        Failure::tls(
            &io::Error::other(rustls::Error::InvalidCertificate(reason)),
            b"\x16\x03",
            1_767_225_600_000,
        )
    }

    #[test]
    fn dates_and_trust_are_told_apart() {
        for (reason, fault) in [
            (CertificateError::NotValidYet, Fault::TlsClock),
            (CertificateError::Expired, Fault::TlsClock),
            (CertificateError::UnknownIssuer, Fault::TlsWrongCertificate),
            (CertificateError::NotValidForName, Fault::TlsWrongCertificate),
            (CertificateError::Revoked, Fault::TlsWrongCertificate),
        ] {
            assert_eq!(of(reason.clone()).fault, fault, "{reason:?}");
        }
        assert!(of(CertificateError::NotValidYet).text.contains("2026-01-01T"));
        let reset = |first| Failure::tls(&io::Error::from(io::ErrorKind::ConnectionReset), first, 0);
        assert_eq!((reset(b"").stage, reset(b"").fault), (Stage::Tls, Fault::TlsFailed));
        for first in [b"HTTP/1.1 302 Found".as_slice(), b"http/", b"\r\n<!doctype html>", b"<HTML>"] {
            assert_eq!(reset(first).fault, Fault::NetworkCaptivePortal);
        }
        assert_eq!(reset(b"SSH-2.0-OpenSSH").fault, Fault::TlsFailed);
    }

    #[test]
    fn a_relay_that_has_no_time_is_left_alone_as_long_as_it_asks() {
        use tokio_tungstenite::tungstenite::http::Response;
        for status in [429, 503] {
            let response = Response::builder().status(status).header("retry-after", "7");
            let response = response.body(Some(b"busy\x07".to_vec())).unwrap();
            let failure = Failure::websocket(&WsError::Http(Box::new(response)));
            assert_eq!(failure.retry, Retry::Backoff(Some(7_000)), "{failure}");
            assert!(failure.text.contains(&status.to_string()) && failure.text.ends_with("busy"));
        }
    }

    #[test]
    fn what_only_a_person_can_change_is_tried_slowly() {
        let closed = |code| Failure::closed(Stage::Session, code, "");
        assert_eq!(closed(4003).retry, Retry::Slowly(None));
        assert_eq!(closed(4090).fault, Fault::RelayCloneSuspected);
        assert_eq!(closed(4029).retry, Retry::Backoff(Some(RATE_LIMITED_MS)));
        assert_eq!(closed(4001).retry, Retry::Backoff(None));
        assert_eq!(closed(4010).retry, Retry::Spread(DRAIN_SPREAD_MS), "ten thousand come back, too");
        let unpaired =
            HandshakeFailure { fault: Fault::RelayUnpaired, retry_after_ms: Some(9), detail: "who?".into() };
        assert_eq!(Failure::from(unpaired).retry, Retry::Slowly(Some(9)));
    }

    #[test]
    fn the_words_of_a_peer_are_made_harmless() {
        assert_eq!(plain("a\x1b[2Jb\nc\n"), "a [2Jb c");
        assert_eq!(plain(&"x".repeat(9_999)).len(), REPEATED_CHARS);
    }
}
