//! The body of a request, within its bounds.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use spoolway_protocol::limits::TEXT_FRAME_BYTES;

use crate::answer::Trouble;

/// The text of a body that is whole in time.
pub(crate) async fn text(body: Body, patience: Duration) -> Result<String, Trouble> {
    let read = tokio::time::timeout(patience, to_bytes(body, TEXT_FRAME_BYTES)).await;
    let late = |_| Trouble::new(StatusCode::REQUEST_TIMEOUT, "bad_field", "the body takes too long");
    // What ends a body is its length, or a client that is gone and hears nothing.
    let large = |_| Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "a frame has room for 64 KiB");
    let bytes = read.map_err(late)?.map_err(large)?;
    String::from_utf8(bytes.into()).map_err(|_| Trouble::bad("the body is not UTF-8"))
}

/// What a text says.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Trouble> {
    serde_json::from_str(text).map_err(|error| Trouble::bad(error.to_string()))
}
