//! The modes of `spoolway-torture`.

pub mod relay;
pub mod seeds;
