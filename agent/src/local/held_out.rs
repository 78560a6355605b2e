//! A file that one end of the local socket has opened and holds out to the other with its words.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;

/// Opens a file to be held out, if there is one that we may read. A pipe is not: opening it would wait for its writer.
pub(super) fn open(path: &Path) -> Option<File> {
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    File::open(path).ok()
}

/// Writes a line, and the file goes with its first bytes.
pub(super) fn send(mut stream: &BlockingStream, line: &[u8], file: Option<&File>) -> io::Result<()> {
    let Some(file) = file else { return stream.write_all(line) };
    let files = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&files));
    let sent = rustix::net::sendmsg(stream, &[IoSlice::new(line)], &mut control, SendFlags::NOSIGNAL)?;
    stream.write_all(&line[sent..])
}

/// Reads what a peer says and keeps the last file that it has held out.
#[derive(Debug)]
pub(super) struct Hearing {
    half: OwnedReadHalf,
    file: Option<OwnedFd>,
}

impl Hearing {
    pub(super) fn new(half: OwnedReadHalf) -> Self {
        Self { half, file: None }
    }

    /// The file that came with the words so far.
    pub(super) fn take_file(&mut self) -> Option<OwnedFd> {
        self.file.take()
    }
}

impl AsyncRead for Hearing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let stream: &UnixStream = self.half.as_ref();
            ready!(stream.poll_read_ready(context))?;
            let free = buffer.initialize_unfilled();
            match stream.try_io(Interest::READABLE, || receive(stream, free)) {
                Ok((bytes, file)) => {
                    buffer.advance(bytes);
                    self.file = file.or_else(|| self.file.take());
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// One read. The kernel closes what is more than one file, and so do we.
fn receive(stream: &UnixStream, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        rustix::net::recvmsg(stream, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let file = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    Ok((received.bytes, file))
}
