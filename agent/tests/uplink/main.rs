//! The uplink against a relay on loopback: it logs in, carries, and comes back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod away;
mod carry;
mod client_certs;
mod doctor;
mod enrol;
mod login;
mod relay;
mod rig;
mod stops;
mod tls;
mod ways;
