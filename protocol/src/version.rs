//! The names under which this version of the protocol is negotiated.

/// The websocket subprotocol (`Sec-WebSocket-Protocol`), also the word in `proto` of challenge and hello.
pub const PROTO: &str = "spoolway.v1";
/// The envelope's `v`.
pub const V: u32 = 1;
/// The path an agent dials.
pub const AGENT_PATH: &str = "/agent/v1";
/// The path a backend dials.
pub const BACKEND_PATH: &str = "/backend/v1";
