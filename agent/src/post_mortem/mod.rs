//! Post-mortem records: what was known of a print that could not go on, kept on the disk for whoever looks for the cause.
//!
//! One file for each attempt that failed or was interrupted, in a folder of bounded size: the oldest goes. It is written once,
//! after the transaction that ended the attempt, away from the desk and the printer thread.

mod record;
mod shelf;

pub use record::{BoardFigures, Heat, LineFigures, Record, Usage, Versions, Wire, throttled_words};
pub use shelf::{FOLDER, Kept, Shelf, TOTAL_BYTES};
