//! What was written to the port before a moment, told from what was written after it: how soon the printer accepts a line
//! of a host that was started anew.

use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::io::{Errno, ioctl_fionread, read};

/// How far the board has read.
#[derive(Debug, Default)]
pub(super) struct Intake {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes taken from the terminal.
    taken: u64,
    /// Of those, what the firmware has read, when it was last looked at.
    consumed: u64,
    /// Lines accepted then.
    accepted: u64,
    border: Option<Border>,
}

#[derive(Debug, Clone, Copy)]
struct Border {
    /// Everything up to this byte was written before.
    at: u64,
    /// When the first line from behind it was accepted.
    crossed: Option<Instant>,
}

impl Intake {
    /// Reads from the terminal; nobody marks meanwhile.
    pub(super) fn read(&self, terminal: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
        let mut state = self.lock();
        let got = read(terminal, buffer)?;
        state.taken += got as u64;
        Ok(got)
    }

    /// Draws the border behind everything that was written until now.
    pub(super) fn mark(&self, terminal: impl AsFd) -> Result<(), Errno> {
        let mut state = self.lock();
        let at = state.taken + ioctl_fionread(terminal)?;
        state.border = Some(Border { at, crossed: None });
        Ok(())
    }

    /// When the first line was accepted that was written behind the last border.
    pub(super) fn crossed(&self) -> Option<Instant> {
        self.lock().border.and_then(|border| border.crossed)
    }

    /// The firmware has come further: `waiting` of the bytes taken are still to be read, and so many lines were accepted.
    ///
    /// A line counts once the firmware had read beyond the border before it accepted the line: so the line ends beyond it,
    /// too. What was cut in two by the border is refused and not accepted.
    pub(super) fn advance(&self, waiting: usize, accepted: u64) {
        let mut state = self.lock();
        let (before, had) = (state.consumed, state.accepted);
        state.consumed = state.taken.saturating_sub(waiting as u64);
        state.accepted = accepted;
        if let Some(border) = &mut state.border
            && border.crossed.is_none()
            && before > border.at
            && accepted > had
        {
            border.crossed = Some(Instant::now());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn only_a_line_from_behind_the_border_crosses_it() {
        let (terminal, mut host) = std::io::pipe().unwrap();
        let intake = Intake::default();
        let mut buffer = [0; 8];
        host.write_all(b"one\ntwo\n").unwrap();
        assert_eq!(intake.read(&terminal, &mut buffer[..4]), Ok(4));
        intake.mark(&terminal).unwrap();
        intake.advance(0, 1);
        host.write_all(b"three\n").unwrap();
        assert_eq!(intake.read(&terminal, &mut buffer), Ok(8));
        // `two` and the beginning of `three` are read: what is accepted now is `two`.
        intake.advance(0, 2);
        assert_eq!(intake.crossed(), None);
        assert_eq!(intake.read(&terminal, &mut buffer), Ok(2));
        intake.advance(0, 3);
        assert!(intake.crossed().is_some());
        intake.mark(&terminal).unwrap();
        assert_eq!(intake.crossed(), None);
    }
}
