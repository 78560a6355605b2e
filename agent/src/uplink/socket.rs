//! The websocket to the relay, on the way that [`super::way`] goes.

use spoolway_protocol::Fault;
use spoolway_protocol::hello::EXPORTER_BYTES;
use spoolway_protocol::limits::BINARY_FRAME_BYTES;
use spoolway_protocol::version::{AGENT_PATH, PROTO};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::RelaySettings;
use super::failure::{Failure, Stage};
use super::way::{self, Listener, Secured, Stream, in_time};
use crate::clock::Clock;
use crate::config::RelayUrl;

/// A websocket over TLS.
pub(super) type Socket = WebSocketStream<Stream>;

/// A read takes at most this much at a time; the default of the library is made for servers.
const READ_BYTES: usize = 16 * 1024;

/// A connection that stands, before the relay has spoken.
pub(super) struct Dialled {
    pub(super) socket: Socket,
    /// Keying material of the TLS session.
    pub(super) exporter: [u8; EXPORTER_BYTES],
}

/// Goes all the way, or says where it ended.
pub(super) async fn dial(
    relay: &RelaySettings,
    clock: &Clock,
    listener: &mut impl Listener,
) -> Result<Dialled, Failure> {
    let Secured { stream, exporter } = way::go(relay, clock, listener).await?;
    let upgrade = client_async_with_config(request(&relay.url)?, stream, Some(frame_bounds()));
    let upgraded = in_time(Stage::Websocket, upgrade).await?;
    let (socket, _) = upgraded.map_err(|error| Failure::websocket(&error))?;
    listener.passed(Stage::Websocket, format_args!("it speaks {PROTO}"));
    Ok(Dialled { socket, exporter })
}

/// Every message is written when it is handed over, so that what is chosen next is chosen late.
fn frame_bounds() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * BINARY_FRAME_BYTES)
        .max_message_size(Some(BINARY_FRAME_BYTES))
        .max_frame_size(Some(BINARY_FRAME_BYTES))
}

fn request(url: &RelayUrl) -> Result<Request<()>, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Stage::Settings, Fault::ConfigBroken, format!("relay.url: {error}"))
    };
    let mut request = format!("{url}{AGENT_PATH}").into_client_request().map_err(|error| failed(&error))?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTO));
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_names_host_and_protocol() {
        let request = request(&"wss://[::1]:9".parse().unwrap()).unwrap();
        assert_eq!(request.uri().path(), AGENT_PATH);
        assert_eq!(request.headers()["host"], "[::1]:9");
        assert_eq!(request.headers()[SEC_WEBSOCKET_PROTOCOL], PROTO);
    }
}
