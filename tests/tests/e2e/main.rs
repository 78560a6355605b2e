//! Whole programs on terminals, sockets and TLS: every part a process of its own, and killing one kills a process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent;
mod backend_guide;
mod begin_anew;
mod by_hand;
mod cable;
mod control;
mod dialects;
mod doubt;
mod farm;
mod faults;
mod files;
mod forget;
mod full_disk;
mod grbl;
mod hotplug;
mod http_backend;
mod isolation;
mod kill;
mod lone_relay;
mod lost_database;
mod modem;
mod networks;
mod owner;
mod pairing;
mod patience;
mod permits;
mod print;
mod push;
mod python_backend;
mod readme;
mod ready;
mod recovery;
mod relay_bench;
mod relay_kills;
mod reset;
mod restart;
mod rotation;
mod safety;
mod telemetry;
mod thread;
mod told;
mod unverified;
mod usage;
mod writes;
