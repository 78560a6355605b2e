//! The edge print agent: shells that carry bytes and time between the machines and the world.

pub mod attempt;
pub mod bus;
pub mod cli;
pub mod clock;
pub mod config;
pub mod desk;
pub mod explain;
pub mod forget;
pub mod health;
pub mod identity;
pub mod line_journal;
pub mod local;
pub mod pairing;
pub mod paths;
pub mod post_mortem;
pub mod preflight;
pub mod printer;
mod redact;
pub mod rotation;
pub mod run;
mod service;
pub mod setup;
pub mod spool;
pub mod store;
pub mod telemetry;
pub mod uplink;
pub mod view;
