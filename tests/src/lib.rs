//! Everything that proves the house: simulated worlds, the simulated printer, checkers, demo, bench and torture.

pub mod printer;
pub mod rng;
pub mod wire;
