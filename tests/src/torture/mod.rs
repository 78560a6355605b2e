//! The modes of `spoolway-torture`.

mod disturbances;
pub mod isolation;
pub mod relay;
pub mod seeds;
