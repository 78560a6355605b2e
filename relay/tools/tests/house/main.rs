//! A whole relay in this process, on loopback, with real TLS, real keys and a registry on disk.

#![expect(clippy::unwrap_used, reason = "a test may panic, also in what it calls")]

mod bounds;
mod client_certs;
mod command;
mod console;
mod gateway;
mod gateway_bounds;
mod hello_bytes;
mod hostile;
mod http;
mod limits;
mod log;
mod login;
mod pairing;
mod papers;
mod program;
mod push;
mod push_memory;
mod rotation;
mod security;
mod stream;
mod traffic;
mod world;
