//! A request that an agent has signed: for this path, this host and this TLS session.

use axum::extract::Request;
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use spoolway_protocol::hello::split_signature;
use spoolway_relay::auth;
use spoolway_relay::web::{Gate, Visitor};

use super::body_of;
use crate::answer::Trouble;

/// A signed body, and what its signature has to cover besides.
pub(super) struct Signed {
    path: &'static str,
    host: String,
    exporter: [u8; 32],
    text: String,
    sig: Vec<u8>,
}

impl Signed {
    pub(super) async fn read(
        gate: &Gate,
        visitor: &Visitor,
        path: &'static str,
        request: Request,
    ) -> Result<Self, Trouble> {
        let host = gate.host(request.headers())?;
        let body = body_of(request.into_body()).await?;
        let (text, sig) =
            split_signature(&body).ok_or_else(|| Trouble::bad("the last member has to be sig"))?;
        Ok(Self { path, host, exporter: visitor.exporter, text, sig })
    }

    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        serde_json::from_str(&self.text).map_err(|error| Trouble::bad(error.to_string()))
    }

    pub(super) fn check(&self, key: &[u8; 32]) -> Result<(), Trouble> {
        if self.is_by(key) { Ok(()) } else { Err(bad_signature()) }
    }

    pub(super) fn is_by(&self, key: &[u8; 32]) -> bool {
        auth::is_pairing_signed(self.path, &self.host, &self.exporter, &self.text, &self.sig, key)
    }
}

pub(super) fn bad_signature() -> Trouble {
    let text = "the signature does not fit the key, the host or this TLS session";
    Trouble::new(StatusCode::FORBIDDEN, "bad_sig", text)
}
