//! Everything that proves the house: simulated worlds, the simulated printer, checkers, demo, bench and torture.

pub mod agent_program;
pub mod at_port;
pub mod backend;
pub mod bench;
pub mod check;
pub mod demo;
pub mod descriptor_store;
pub mod dial;
pub mod expected;
pub mod file_server;
pub mod pairing;
pub mod permit;
pub mod printer;
pub mod process;
pub mod proxy;
pub mod pty;
pub mod rng;
pub mod torture;
pub mod transcript;
pub mod way;
pub mod wire;
pub mod world;
