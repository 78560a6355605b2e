//! The thin relay between agents and backends: it reads envelopes, never bodies, and holds nothing that a crash could lose.
//!
//! Follow a frame: `listen` accepts a connection and `web` makes a websocket of it; `peer` reads the frame and asks `session` what it is;
//! `hub` asks `router` where it goes and puts it into a `mailbox`; the receiver's `peer` writes it.
//! [`session`], [`router`], [`mailbox`], [`limits`] and [`pairing`] are pure: they are told frames and the time and know no socket.

mod admin;
mod admission;
pub mod auth;
pub mod clock;
pub mod config;
pub mod console;
mod hub;
pub mod limits;
mod listen;
mod log;
mod login;
pub mod mailbox;
mod metrics;
pub mod pairing;
pub mod paths;
mod peer;
mod post;
pub mod registry;
mod reload;
pub mod router;
pub mod run;
mod security;
pub mod serve;
pub mod session;
mod socket;
pub mod tail;
mod tls;
pub mod web;
mod words;
mod write;
