//! A stream of the local socket whose reads together end in time, whoever is at its other end.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// A stream, and until when it is read.
#[derive(Debug)]
pub(super) struct Within {
    stream: UnixStream,
    until: Option<Instant>,
}

impl Within {
    /// Connects; each read has a time of its own.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        Ok(Self { stream: UnixStream::connect(path)?, until: None })
    }

    /// Connects, or fails at once where so many wait to be heard that there is no room; nothing is read after this time.
    pub(super) fn connect_for(path: &Path, time: Duration) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        let stream = UnixStream::from(socket);
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(time))?;
        Ok(Self { stream, until: Some(Instant::now() + time) })
    }

    /// The stream itself.
    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Each read and write has this time; a stream that has one for all keeps it.
    pub(super) fn be_patient(&self, read: Option<Duration>, write: Duration) -> io::Result<()> {
        if self.until.is_some() {
            return Ok(());
        }
        self.stream.set_read_timeout(read)?;
        self.stream.set_write_timeout(Some(write))
    }
}

impl Read for Within {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if let Some(until) = self.until {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
        }
        self.stream.read(bytes)
    }
}
