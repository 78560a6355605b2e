//! The modes of `spoolway-torture`.

mod disturbances;
pub mod files;
pub mod isolation;
pub mod kill;
pub mod powercut;
pub mod relay;
pub mod seeds;
