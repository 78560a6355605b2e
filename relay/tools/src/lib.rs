//! The program `spoolway-relay`: its command line, its settings, the process around a relay that runs, and certificates of one's own. What it
//! runs is the crate `spoolway-relay`.

pub mod certs;
pub mod cli;
pub mod host;
mod log;
mod places;
pub mod serve;
pub mod settings;
