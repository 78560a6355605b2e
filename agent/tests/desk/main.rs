//! The desk with a printer that the test plays: no port, no relay, and a database that a kill leaves as it is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backend;
mod bed;
mod clock_jumps;
mod edges;
mod files;
mod hand;
mod over_time;
mod post_mortem;
mod preflight;
mod queue;
mod reasons;
mod records;
mod rig;
mod sender;
mod server;
mod settings;
mod strange_servers;
mod takeover;
mod telemetry;
mod update;
mod usage;
