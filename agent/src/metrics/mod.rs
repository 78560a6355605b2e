//! The agent's figures for a monitoring system, in the text format that Prometheus reads (exposition format 0.0.4).

mod listen;
mod page;
mod process;

pub use listen::{bind, serve};
pub use page::page;
pub use process::Process;
