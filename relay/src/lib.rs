//! The thin relay between agents and backends: it reads envelopes, never bodies, and holds nothing that a crash could lose.
//!
//! Follow a frame: `listen` accepts a connection and `web` makes a websocket of it; `peer` reads the frame and asks `session` what it is;
//! `hub` asks `router` where it goes and puts it into a `mailbox`; the receiver's `peer` writes it.
//! [`session`], [`router`], [`mailbox`] and [`limits`] are pure: they are told frames and the time and know no socket.
//!
//! What answers requests of people and of backends over HTTP stands outside, behind [`web::Gate`]; so does the store of who may connect, behind
//! the trait `Registry`; so does the process around a relay, which calls [`run::run_from`].

mod admin;
mod admission;
pub mod auth;
pub mod clock;
pub mod config;
pub mod console;
mod desk;
mod hub;
pub mod limits;
mod listen;
mod login;
pub mod mailbox;
mod metrics;
pub mod paths;
mod peer;
mod post;
mod reload;
pub mod router;
pub mod run;
mod security;
pub mod session;
mod socket;
pub mod tail;
pub mod web;
mod words;
mod write;
