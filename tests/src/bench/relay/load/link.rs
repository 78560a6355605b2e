//! One client's connection: socket, TLS session, and what is said on it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use spoolway_protocol::hello::EXPORTER_LABEL;

use crate::bench::relay::talk::{Exporter, Heard, Party, Talk};

/// Room for what waits in the kernel: a sender has to notice soon that nobody reads.
const SEND_BUFFER: usize = 64 * 1024;
/// Reads in one turn, so that one connection does not keep the others waiting.
const READS: usize = 32;

/// See the module.
pub(super) struct Link {
    stream: TcpStream,
    tls: ClientConnection,
    talk: Box<dyn Talk>,
    stage: Stage,
    /// The beginning of a message that is not whole.
    input: Vec<u8>,
    /// Whether the kernel has no room for what is to be written.
    is_writing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Shaking,
    Opening,
    Up,
}

impl Link {
    /// Begins to connect.
    pub(super) fn dial(
        source: SocketAddrV4,
        server: SocketAddrV4,
        config: &Arc<ClientConfig>,
        talk: Box<dyn Talk>,
    ) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        bind(&socket, &source)?;
        match connect(&socket, &server) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        tls.set_buffer_limit(None);
        let (stream, stage) = (TcpStream::from(socket), Stage::Connecting);
        Ok(Self { stream, tls, talk, stage, input: Vec::new(), is_writing: true })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn is_up(&self) -> bool {
        self.stage == Stage::Up
    }

    pub(super) fn is_writing(&self) -> bool {
        self.is_writing
    }

    pub(super) fn is_clear(&self) -> bool {
        !self.tls.wants_write()
    }

    /// Closes with a reset: no port is kept for it, and the server learns of it at once.
    pub(super) fn reset(self) {
        // A socket that cannot be told closes in the usual way.
        let _ = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    /// The socket is ready for something.
    pub(super) fn advance(&mut self, scratch: &mut [u8], hear: &mut dyn FnMut(Heard<'_>)) -> io::Result<()> {
        if self.stage == Stage::Connecting {
            if let Some(error) = self.stream.take_error()? {
                return Err(error);
            }
            self.stage = Stage::Shaking;
        }
        let mut is_over = false;
        for _ in 0..READS {
            match self.tls.read_tls(&mut &self.stream) {
                Ok(0) => is_over = true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            self.tls.process_new_packets().map_err(io::Error::other)?;
            self.read_plain(scratch, hear)?;
            if is_over {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        if self.stage == Stage::Shaking && !self.tls.is_handshaking() {
            let exporter =
                self.tls.export_keying_material(Exporter::default(), EXPORTER_LABEL.as_bytes(), None);
            let mut out = Vec::new();
            self.talk.begin(&exporter.map_err(io::Error::other)?, &mut out);
            self.tls.writer().write_all(&out)?;
            self.stage = Stage::Opening;
        }
        self.flush()
    }

    fn read_plain(&mut self, scratch: &mut [u8], hear: &mut dyn FnMut(Heard<'_>)) -> io::Result<()> {
        loop {
            let count = match self.tls.reader().read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let mut out = Vec::new();
            if self.input.is_empty() {
                let taken = self.talk.take(&scratch[..count], &mut out, hear).map_err(io::Error::other)?;
                self.input.extend_from_slice(&scratch[taken..count]);
            } else {
                self.input.extend_from_slice(&scratch[..count]);
                let taken = self.talk.take(&self.input, &mut out, hear).map_err(io::Error::other)?;
                self.input.drain(..taken);
            }
            if self.input.is_empty() && self.input.capacity() > scratch.len() {
                self.input = Vec::new();
            }
            self.tls.writer().write_all(&out)?;
            if self.stage == Stage::Opening && self.talk.is_up() {
                self.stage = Stage::Up;
            }
        }
    }

    /// Says messages as one piece.
    pub(super) fn say(&mut self, to: Party, texts: &[&[u8]]) -> io::Result<()> {
        let mut out = Vec::new();
        self.talk.say(to, texts, &mut out);
        self.tls.writer().write_all(&out)?;
        self.flush()
    }

    /// Gives a sign of life.
    pub(super) fn beat(&mut self) -> io::Result<()> {
        let mut out = Vec::new();
        self.talk.beat(&mut out);
        self.tls.writer().write_all(&out)?;
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut &self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.is_writing = self.tls.wants_write();
        Ok(())
    }
}
