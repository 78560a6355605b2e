//! What a printer's values came to while nobody was told of them: what changed, how far temperatures went, and a row a minute
//! for the time without a session.

mod changes;
mod minutes;
mod spreads;
#[cfg(test)]
mod tests;
mod warmth;

pub use changes::changes;
pub use minutes::{MINUTE, Minutes, ROWS, ROWS_BYTES};
pub use spreads::Spreads;
pub use warmth::{Extremes, Warmth};
