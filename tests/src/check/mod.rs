//! What must hold of a print, whatever happened: one invariant a file.

mod ending;
mod heat;
mod lines;
mod scripts;
mod window;

use std::fmt;

pub use ending::{Circumstances, ended_as_it_must};
pub use heat::{Wait, rewritten};
pub use lines::{Course, Printed, course, lines_once_in_order};
pub use scripts::Rules;
pub use window::{Fullness, window_respected};

/// An invariant that does not hold, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(pub String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
