//! Everything that proves the house: simulated worlds, the simulated printer, checkers, demo, bench and torture.

pub mod check;
pub mod printer;
pub mod pty;
pub mod rng;
pub mod torture;
pub mod wire;
pub mod world;
