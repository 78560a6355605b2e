//! The edge print agent: shells that carry bytes and time between the machines and the world.

pub mod spool;
pub mod store;
pub mod view;
