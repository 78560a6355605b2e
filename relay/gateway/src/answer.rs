//! What is answered to a request: JSON, a line of text, or what is wrong with it.

use std::borrow::Cow;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use spoolway_protocol::FaultCode;
use spoolway_protocol::pairing::Problem;
use spoolway_protocol::session::NackCode;
use spoolway_relay::web::Denied;
use spoolway_relay_registry::keys::KeyRefused;
use spoolway_relay_registry::pairing::Refused;
use spoolway_relay_registry::{PairError, RegistryError, TakeKeyError};

/// After how long to ask again where nobody knows better, ms. No setting: clients wait longer each time by themselves.
const RETRY_MS: u64 = 5_000;

/// The name that it has in the draft of the IETF for uploads that are resumed.
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// Why a request was not carried out.
#[derive(Debug)]
pub(crate) struct Trouble {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
    retry_after_ms: Option<u64>,
    /// The byte from which on an upload would be of use.
    offset: Option<u64>,
}

impl Trouble {
    /// With a status, a code for programs and a text for people.
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code: code.into(), detail: detail.into(), retry_after_ms: None, offset: None }
    }

    /// The agent has said no, with a fault of its own.
    pub(crate) fn of_agent(code: FaultCode, detail: String) -> Self {
        Self { code: code.0.into(), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "", detail) }
    }

    /// It goes on from this byte.
    pub(crate) fn at(self, offset: u64) -> Self {
        Self { offset: Some(offset), ..self }
    }

    /// The request has to be mended.
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_field", detail)
    }

    /// There is no such thing, or it is somebody else's.
    pub(crate) fn unknown(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown", detail)
    }

    /// Not before so many ms have passed.
    pub(crate) fn too_often(wait_ms: u64) -> Self {
        let detail = "too many tries; wait as long as Retry-After says";
        let trouble = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
        Self { retry_after_ms: Some(wait_ms), ..trouble }
    }

    /// Not now.
    pub(crate) fn busy(detail: &str) -> Self {
        let trouble = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
        Self { retry_after_ms: Some(RETRY_MS), ..trouble }
    }
}

impl From<Denied> for Trouble {
    fn from(denied: Denied) -> Self {
        let text = denied.to_string();
        match denied {
            Denied::Stranger => Self::new(StatusCode::UNAUTHORIZED, "unauthorised", text),
            Denied::NoCertificate => Self::new(StatusCode::FORBIDDEN, "cert_required", text),
            Denied::OtherHost => Self::new(StatusCode::MISDIRECTED_REQUEST, "unknown", text),
            Denied::NoAgent => Self::unknown(&text),
            Denied::NoFrame(_) => Self::bad(text),
            Denied::Nack(code) => code.into(),
            Denied::TooOften(wait_ms) => Self::too_often(wait_ms),
            Denied::Leaving(_) | Denied::Registry(_) => Self::busy(&text),
        }
    }
}

impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Self {
        let (status, code) = match refused {
            Refused::Unknown => (StatusCode::NOT_FOUND, "unknown"),
            Refused::Expired => (StatusCode::GONE, "expired"),
            Refused::Conflict => (StatusCode::CONFLICT, "conflict"),
            Refused::BadNonce | Refused::TooManyKeys => (StatusCode::BAD_REQUEST, "bad_field"),
        };
        Self::new(status, code, refused.to_string())
    }
}

impl From<PairError> for Trouble {
    fn from(error: PairError) -> Self {
        match error {
            PairError::Refused(refused) => refused.into(),
            PairError::Full => Self::busy("too many pairings are under way"),
            PairError::Revoked => Self::new(StatusCode::FORBIDDEN, "revoked", error.to_string()),
            PairError::OtherKey => Self::new(StatusCode::FORBIDDEN, "retired", error.to_string()),
            PairError::Quarantined => Self::new(StatusCode::FORBIDDEN, "quarantined", error.to_string()),
            PairError::Registry(error) => error.into(),
        }
    }
}

impl From<TakeKeyError> for Trouble {
    fn from(error: TakeKeyError) -> Self {
        match error {
            TakeKeyError::Refused(KeyRefused::Foreign) => {
                Self::new(StatusCode::FORBIDDEN, "bad_sig", error.to_string())
            }
            TakeKeyError::Refused(_) => Self::new(StatusCode::FORBIDDEN, "retired", error.to_string()),
            TakeKeyError::Agent(error) => error.into(),
            TakeKeyError::Registry(RegistryError::Unknown(_)) => {
                Self::new(StatusCode::NOT_FOUND, "unknown", "there is no such agent")
            }
            TakeKeyError::Registry(error) => error.into(),
        }
    }
}

impl From<RegistryError> for Trouble {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Unknown(_) | RegistryError::Revoked(_) => {
                Self::new(StatusCode::FORBIDDEN, "unauthorised", error.to_string())
            }
            error => {
                tracing::error!(%error, "registry");
                Self::busy("the registry failed")
            }
        }
    }
}

impl From<NackCode> for Trouble {
    fn from(code: NackCode) -> Self {
        let (status, text) = match code {
            NackCode::Offline => (StatusCode::SERVICE_UNAVAILABLE, "the agent is not connected"),
            NackCode::Busy => (StatusCode::SERVICE_UNAVAILABLE, "the agent has enough to do"),
            NackCode::Expired => (StatusCode::GONE, "its TTL ran out on the way"),
            NackCode::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "a frame has room for 64 KiB"),
            NackCode::Unauthorised => return Denied::NoAgent.into(),
            _ => (StatusCode::BAD_REQUEST, "the agent does not take it"),
        };
        let wait_ms = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_MS);
        let code = NackCode::WORDS.iter().find(|word| **word == code.as_str()).unwrap_or(&"bad_field");
        Self { retry_after_ms: wait_ms, ..Self::new(status, code, text) }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let body = Problem { code: self.code.into_owned(), detail: self.detail };
        let mut response = json(self.status, &body);
        if let Some(wait_ms) = self.retry_after_ms {
            // RFC 9110, section 10.2.3: whole seconds.
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1_000).max(1)));
        }
        if let Some(offset) = self.offset {
            response.headers_mut().insert(UPLOAD_OFFSET, HeaderValue::from(offset));
        }
        response
    }
}

/// A body of the protocol.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).expect("protocol types have string keys, so they serialise");
    let kind = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, kind, text).into_response()
}

/// A line for people, after which the connection is closed.
pub(crate) fn text(status: StatusCode, text: &str) -> Response {
    (status, [(header::CONNECTION, "close")], format!("{text}\n")).into_response()
}
