//! The modes of `spoolway-torture`.

pub mod seeds;
