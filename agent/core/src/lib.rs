//! The agent's state machines: told the bytes and the time, they know no port, socket, clock or disk.

pub mod allow;
pub mod backoff;
pub mod gcode;
pub mod greeting;
pub mod guard;
pub mod hand;
pub mod job;
pub mod link;
pub mod moment;
pub mod pack;
pub mod pairing;
pub mod permit;
pub mod preflight;
pub mod prompt;
pub mod readings;
pub mod recovery;
pub mod reply;
pub mod rotation;
pub mod stream;
pub mod temperature;
pub mod transfer;
pub mod update;

pub use moment::Moment;
