//! Where a print stands, on the disk: it outlives a power cut, and costs a card little.
//!
//! A file of two slots is made once and never grows. Every 15 seconds, and when the print is paused, goes on or ends, a mark
//! is flushed to it, so that it survives a power cut. The slot that was flushed last is not touched before the other one is
//! flushed: whatever a power cut tears, one whole mark is left. Every 2 seconds or 200 lines a mark is written to a slot in
//! the runtime folder, which is memory: it survives the end of the process and costs the card nothing. The newest whole mark
//! of the three counts.
//!
//! * `slot` is a mark and its bytes.
//! * `file` is the two slots on the disk and the one in memory.
//! * `pace` says when to write and when to flush.
//! * `keeper` is the thread that looks at the printer's snapshot and does it.

mod file;
mod keeper;
mod pace;
mod slot;

pub use file::OpenJournalError;
pub use keeper::{LineJournal, Subject};
pub use slot::{Found, Mark, MarkState};
