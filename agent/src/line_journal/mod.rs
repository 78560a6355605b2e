//! Where a print stands, on the disk: it outlives a power cut, and costs a card little.
//!
//! A file of two slots is made once and never grows. A mark is written every 2 seconds or 200 lines, so that it survives the
//! end of the process, and flushed every 15 seconds and when the print is paused, goes on or ends, so that it survives a
//! power cut. The slot that was flushed last is not touched before the other one is flushed: whatever a power cut tears, one
//! whole mark is left.
//!
//! * `slot` is a mark and its bytes.
//! * `file` is the file of two slots.
//! * `pace` says when to write and when to flush.
//! * `keeper` is the thread that looks at the printer's snapshot and does it.

mod file;
mod keeper;
mod pace;
mod slot;

pub use file::OpenJournalError;
pub use keeper::{LineJournal, Subject};
pub use slot::{Found, Mark, MarkState};
