//! The serial port as a descriptor that never blocks.
//!
//! tokio-serial opens and configures it; after that only readiness for reading is watched. A wake-up for every byte that
//! the wire drains would cost several times what the streaming costs.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::{ControlModes, OptionalActions};
use spoolway_protocol::Fault;
use thiserror::Error;
use tokio::io::unix::AsyncFd;

use super::sys::{take_descriptor, watch_reading};

/// Most bytes that one read takes; a firmware's longest burst (its capabilities) is about 1.5 KiB.
const READ_BYTES: usize = 2048;

/// The port could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {detail}")]
pub struct OpenPortError {
    /// What it means.
    pub fault: Fault,
    /// Path of the port.
    pub path: String,
    /// The system's own words.
    pub detail: String,
}

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
}

impl Port {
    /// Opens a port in raw mode, 8N1, without flow control, for this process alone.
    ///
    /// # Errors
    /// The port is missing, in use, forbidden, or cannot do the rate.
    pub(super) fn open(path: &Path, baud: u32) -> Result<Self, OpenPortError> {
        let text = path.display().to_string();
        let failed = |fault, detail: String| OpenPortError { fault, path: text.clone(), detail };
        if !path.exists() {
            return Err(failed(Fault::PortMissing, "no such device".to_owned()));
        }
        let port = tokio_serial::new(text.as_str(), baud)
            .open_native()
            .map_err(|error| failed(fault_of(&error), error.to_string()))?;
        let descriptor = take_descriptor(port);
        let system = |error: Errno| failed(Fault::PortLost, error.to_string());
        keep_dtr(&descriptor).map_err(system)?;
        rustix::fs::fcntl_setfl(&descriptor, OFlags::NONBLOCK).map_err(system)?;
        let descriptor =
            watch_reading(descriptor).map_err(|error| failed(Fault::PortLost, error.to_string()))?;
        Ok(Self { descriptor, buffer: Box::new([0; READ_BYTES]), unwritten: Vec::new() })
    }

    /// Waits for bytes and gives them.
    ///
    /// # Errors
    /// The port went away.
    pub(super) async fn read(&mut self) -> Result<&[u8], PortLost> {
        loop {
            let mut ready = self.descriptor.readable().await.map_err(|error| PortLost(error.to_string()))?;
            match rustix::io::read(self.descriptor.get_ref(), self.buffer.as_mut_slice()) {
                Ok(0) => return Err(PortLost("end of file".to_owned())),
                Ok(count) => {
                    if count < READ_BYTES {
                        ready.clear_ready();
                    }
                    return Ok(&self.buffer[..count]);
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(PortLost(error.to_string())),
            }
        }
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

/// Without this the kernel drops DTR when the port is closed, and many boards take that as a reset.
fn keep_dtr(descriptor: &OwnedFd) -> Result<(), Errno> {
    let mut modes = rustix::termios::tcgetattr(descriptor)?;
    modes.control_modes.remove(ControlModes::HUPCL);
    rustix::termios::tcsetattr(descriptor, OptionalActions::Now, &modes)
}

fn fault_of(error: &tokio_serial::Error) -> Fault {
    match error.kind() {
        tokio_serial::ErrorKind::Io(ErrorKind::PermissionDenied) => Fault::PortPermission,
        tokio_serial::ErrorKind::Io(ErrorKind::NotFound) => Fault::PortMissing,
        tokio_serial::ErrorKind::Io(ErrorKind::ResourceBusy | ErrorKind::WouldBlock) => Fault::PortBusy,
        tokio_serial::ErrorKind::NoDevice if error.to_string().to_lowercase().contains("busy") => {
            Fault::PortBusy
        }
        _ => Fault::PortMissing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_opened_is_named() {
        let error = Port::open(Path::new("/dev/no-such-printer"), 115_200).unwrap_err();
        assert_eq!((error.fault, error.path.as_str()), (Fault::PortMissing, "/dev/no-such-printer"));
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Port::open(file.path(), 115_200).is_err(), "a plain file is no port");
    }
}
