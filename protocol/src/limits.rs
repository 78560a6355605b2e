//! Every bound of the protocol, with its unit as the last word of its name.

/// Largest text frame, in bytes; a text frame is one JSON message.
pub const TEXT_FRAME_BYTES: usize = 64 * 1024;
/// Largest payload of a binary chunk frame, in bytes.
pub const CHUNK_PAYLOAD_BYTES: usize = 64 * 1024;
/// Bytes in front of the payload of a binary chunk frame.
pub const CHUNK_HEAD_BYTES: usize = 1 + 16 + 4 + 8;
/// Largest binary frame, in bytes.
pub const BINARY_FRAME_BYTES: usize = CHUNK_HEAD_BYTES + CHUNK_PAYLOAD_BYTES;
/// Chunks of one transfer that may be under way at a time.
pub const CHUNK_CREDIT: u32 = 4;
/// Bytes of the pieces of a file whose digests an offer may name: a power of two in this range.
pub const PIECE_BYTES: std::ops::RangeInclusive<u32> = 4 * 1024..=256 * 1024;
/// A transfer makes its bytes durable at least this often.
pub const DURABLE_EVERY_BYTES: u64 = 4 * 1024 * 1024;
/// Un-acked events that may be under way at a time.
pub const EVENT_WINDOW_ITEMS: u32 = 256;
/// Bytes of un-acked events that may be under way at a time.
pub const EVENT_WINDOW_BYTES: u64 = 512 * 1024;
/// Largest encoded event, so that one always fits into a text frame with its envelope.
pub const EVENT_BYTES: usize = 60 * 1024;
/// Beyond this the outbox records a gap instead of critical events.
pub const OUTBOX_CAP_BYTES: u64 = 64 * 1024 * 1024;
/// Commands of one `printer.gcode`.
pub const GCODE_LINES: usize = 8;
/// Replies to one `printer.gcode` that are kept, in bytes of JSON.
pub const GCODE_REPLIES_BYTES: usize = 32 * 1024;
/// A post-mortem record in the result of `job.record`, in bytes of JSON.
pub const RECORD_BYTES: usize = 48 * 1024;
/// Longest single move by hand, in mm along each axis.
pub const JOG_MM_MAX: f64 = 500.0;
/// Fastest move by hand, in mm a minute.
pub const JOG_FEED_MM_MIN_MAX: f64 = 12_000.0;
/// Shortest interval of telemetry, in ms; a printer's readings are new four times a second at most.
pub const TELEM_MS_MIN: u64 = 250;
/// Longest interval of telemetry, in ms.
pub const TELEM_MS_MAX: u64 = 10 * 60_000;
/// Longest time for which one word makes telemetry come more often, in ms.
pub const WATCH_TTL_MS_MAX: u64 = 5 * 60_000;
/// Longest identifier chosen by a peer.
pub const ID_CHARS: usize = 64;
/// Unknown fields that a relay carries on in an envelope's head.
pub const HEAD_EXTRA_FIELDS: usize = 16;
/// Longest JSON text of a permit, in bytes.
pub const PERMIT_BYTES: usize = 4 * 1024;
/// Default heartbeat interval when nothing else was sent.
pub const HB_MS: u64 = 60_000;
/// Default silence after which a peer counts as gone.
pub const DEAD_MS: u64 = 150_000;
/// A hello has to be answered within this time, and a challenge has to arrive within it.
pub const HANDSHAKE_MS: u64 = 15_000;
/// Bytes of a challenge's nonce.
pub const NONCE_BYTES: usize = 32;
