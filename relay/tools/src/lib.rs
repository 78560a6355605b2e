//! What a person types: the command line of a relay, and certificates of one's own. What runs is the crate `spoolway-relay`.

pub mod certs;
pub mod cli;
