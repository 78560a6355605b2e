//! The serial port as a descriptor that never blocks.
//!
//! Only readiness for reading is watched: a wake-up for every byte that the wire drains would cost several times what the
//! streaming costs.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::termios::{QueueSelector, tcflush};
use thiserror::Error;
use tokio::io::unix::AsyncFd;
use tracing::{trace, warn};

use super::open::{self, LineOptions, OpenPortError};
use super::sys;

/// Most bytes that one read takes; a firmware's longest burst (its capabilities) is about 1.5 KiB.
const READ_BYTES: usize = 2048;
/// How long DTR stays down in a pulse: the reset capacitor of an Arduino needs a few milliseconds, its bootloader none.
const DTR_PULSE: Duration = Duration::from_millis(250);

/// The port went away: the cable was pulled, or the other end was closed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the port went away: {0}")]
pub struct PortLost(pub String);

/// An open port, locked against other programs.
#[derive(Debug)]
pub(super) struct Port {
    descriptor: AsyncFd<OwnedFd>,
    buffer: Box<[u8; READ_BYTES]>,
    unwritten: Vec<u8>,
    is_pty: bool,
}

impl Port {
    /// Opens a port in raw mode, 8N1, without flow control, for this process alone.
    ///
    /// # Errors
    /// The port is missing, in use, forbidden, or cannot do the rate.
    pub(super) fn open(path: &Path, options: LineOptions) -> Result<Self, OpenPortError> {
        let line = open::open(path, options)?;
        let is_pty = open::is_pty(&line);
        let descriptor = sys::watch_reading(line).map_err(|error| OpenPortError {
            fault: spoolway_protocol::Fault::PortLost,
            path: path.display().to_string(),
            detail: error.to_string(),
        })?;
        Ok(Self { descriptor, buffer: Box::new([0; READ_BYTES]), unwritten: Vec::new(), is_pty })
    }

    /// Takes a port that the process before has opened and set up.
    ///
    /// # Errors
    /// It is no serial line, another program has it, or it cannot be watched.
    pub(super) fn adopt(line: OwnedFd, options: LineOptions) -> Result<Self, PortLost> {
        open::adopt(&line, options).map_err(lost)?;
        let is_pty = open::is_pty(&line);
        let descriptor = sys::watch_reading(line).map_err(|error| PortLost(error.to_string()))?;
        Ok(Self { descriptor, buffer: Box::new([0; READ_BYTES]), unwritten: Vec::new(), is_pty })
    }

    /// The open line itself.
    pub(super) fn line(&self) -> std::os::fd::BorrowedFd<'_> {
        self.descriptor.get_ref().as_fd()
    }

    /// Waits for bytes and gives them.
    ///
    /// # Errors
    /// The port went away.
    pub(super) async fn read(&mut self) -> Result<&[u8], PortLost> {
        let count = read(&self.descriptor, self.buffer.as_mut_slice()).await?;
        Ok(&self.buffer[..count])
    }

    /// Waits for bytes and reads them straight into memory that outlives the process; gives how many.
    ///
    /// # Errors
    /// The port went away.
    pub(super) async fn read_into(&self, room: &mut [u8]) -> Result<usize, PortLost> {
        read(&self.descriptor, room).await
    }

    /// Writes as much as the kernel takes; the rest is kept and goes ahead of what is written next.
    ///
    /// # Errors
    /// The port went away.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), PortLost> {
        if !self.unwritten.is_empty() {
            self.unwritten.extend_from_slice(bytes);
            return self.flush();
        }
        let written = self.write_some(bytes)?;
        self.unwritten.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    /// Tries again to write what the kernel did not take.
    ///
    /// # Errors
    /// The port went away.
    pub(super) fn flush(&mut self) -> Result<(), PortLost> {
        let unwritten = std::mem::take(&mut self.unwritten);
        let written = self.write_some(&unwritten)?;
        self.unwritten = unwritten;
        self.unwritten.drain(..written);
        Ok(())
    }

    /// Whether the kernel has not taken everything.
    #[must_use]
    pub(super) fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Changes the rate; what is on its way is garbled, so nothing should be.
    ///
    /// # Errors
    /// The port went away.
    pub(super) fn set_line(&mut self, options: LineOptions) -> Result<(), PortLost> {
        open::configure(self.descriptor.get_ref(), options).map_err(lost)?;
        Ok(())
    }

    /// Whether the printer may hold us back with XOFF (profile `flow.xon_xoff` and `Cap:SERIAL_XON_XOFF:1`).
    pub(super) fn set_xon_xoff(&mut self, on: bool) {
        let set = open::set_xon_xoff(self.descriptor.get_ref(), on);
        self.tolerate("XON/XOFF cannot be switched", set);
    }

    /// Forgets everything that was written and has not yet gone out, so that what is written next does not wait behind it.
    /// A line may be cut in two by it: begin the next one with a line feed.
    pub(super) fn discard_unwritten(&mut self) {
        self.unwritten.clear();
        let flushed = tcflush(self.descriptor.get_ref(), QueueSelector::OFlush);
        self.tolerate("the kernel keeps what was written", flushed);
    }

    /// Drops DTR for a moment, which resets boards that have a capacitor for it; the last resort. Only this task waits.
    pub(super) async fn pulse_dtr(&mut self) {
        let down = sys::set_dtr(self.descriptor.get_ref(), false);
        self.tolerate("DTR cannot be dropped", down);
        tokio::time::sleep(DTR_PULSE).await;
        let up = sys::set_dtr(self.descriptor.get_ref(), true);
        self.tolerate("DTR cannot be raised", up);
    }

    /// A pseudo-terminal has no modem lines and few settings; a wire that refuses deserves a word.
    fn tolerate(&self, what: &'static str, done: Result<(), Errno>) {
        match done {
            Ok(()) => {}
            Err(error) if self.is_pty => trace!(what, %error, "not on a pseudo-terminal"),
            Err(error) => warn!(what, %error, "the port does not do as it is told"),
        }
    }

    fn write_some(&self, bytes: &[u8]) -> Result<usize, PortLost> {
        let mut written = 0;
        while written < bytes.len() {
            match rustix::io::write(self.descriptor.get_ref(), &bytes[written..]) {
                Ok(count) => written += count,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(PortLost(error.to_string())),
            }
        }
        Ok(written)
    }
}

async fn read(descriptor: &AsyncFd<OwnedFd>, room: &mut [u8]) -> Result<usize, PortLost> {
    loop {
        let mut ready = descriptor.readable().await.map_err(|error| PortLost(error.to_string()))?;
        match rustix::io::read(descriptor.get_ref(), &mut *room) {
            Ok(0) => return Err(PortLost("end of file".to_owned())),
            Ok(count) => {
                if count < room.len() {
                    ready.clear_ready();
                }
                return Ok(count);
            }
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(PortLost(error.to_string())),
        }
    }
}

fn lost(error: Errno) -> PortLost {
    PortLost(error.to_string())
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;
    use crate::printer::open::tests::pair;

    const PLAIN: LineOptions = LineOptions { baud: 115_200, parity_workaround: false };

    #[tokio::test]
    async fn what_was_written_and_not_read_is_forgotten() {
        let (master, path) = pair();
        let mut port = Port::open(&path, PLAIN).unwrap();
        // More than the kernel keeps for a terminal that nobody reads.
        for _ in 0..100 {
            port.write(&[b'G'; 4096]).unwrap();
        }
        assert!(port.has_unwritten());
        port.discard_unwritten();
        assert!(!port.has_unwritten());
        port.write(STOP).unwrap();
        // The other end keeps what it has already taken in, which is far less than what waited.
        let heard = hear_until(&master, STOP);
        assert!(heard.len() <= 8192 && !port.has_unwritten(), "{} bytes came before", heard.len());
    }

    const STOP: &[u8] = b"\nM112\n";

    /// Reads until the text has come.
    fn hear_until(master: &OwnedFd, text: &[u8]) -> Vec<u8> {
        let mut heard = Vec::new();
        while !heard.ends_with(text) {
            // Only something that hangs reaches it.
            let hang = Timespec { tv_sec: 60, tv_nsec: 0 };
            let ready = poll(&mut [PollFd::new(master, PollFlags::IN)], Some(&hang)).unwrap();
            assert_eq!(ready, 1, "nothing more comes behind {} bytes", heard.len());
            let mut piece = [0; 4096];
            let count = rustix::io::read(master, &mut piece).unwrap();
            heard.extend_from_slice(&piece[..count]);
        }
        heard
    }

    #[tokio::test]
    async fn a_terminal_has_no_reset_line_and_nothing_is_lost_by_asking() {
        let (master, path) = pair();
        let mut port = Port::open(&path, PLAIN).unwrap();
        port.pulse_dtr().await;
        port.set_xon_xoff(true);
        port.set_line(LineOptions { baud: 250_000, ..PLAIN }).unwrap();
        rustix::io::write(&master, b"ok\n").unwrap();
        assert_eq!(port.read().await.unwrap(), b"ok\n");
        drop(master);
        assert!(port.read().await.is_err());
    }
}
