//! A stream that remembers how the other end began, so that a web page in TLS's place can be told.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// As much as tells HTTP from anything else.
const KEPT: usize = 16;

/// A stream, and the first bytes that were read from it.
#[derive(Debug)]
pub(super) struct FirstBytes<S> {
    stream: S,
    kept: [u8; KEPT],
    count: usize,
}

impl<S> FirstBytes<S> {
    /// Nothing has been read yet.
    pub(super) fn of(stream: S) -> Self {
        Self { stream, kept: [0; KEPT], count: 0 }
    }

    /// How the other end began.
    pub(super) fn seen(&self) -> &[u8] {
        &self.kept[..self.count]
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        let room = &mut this.kept[this.count..];
        let news = &buf.filled()[before..];
        let count = room.len().min(news.len());
        room[..count].copy_from_slice(&news[..count]);
        this.count += count;
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn only_the_beginning_is_kept_and_everything_passes() {
        let (mut ours, theirs) = tokio::io::duplex(64);
        let mut stream = FirstBytes::of(theirs);
        let mut all = Vec::new();
        for part in ["HTTP/1.1 3", "02 Found\r\n", "and more"] {
            tokio::io::AsyncWriteExt::write_all(&mut ours, part.as_bytes()).await.unwrap();
            let mut read = [0; 32];
            let count = stream.read(&mut read).await.unwrap();
            all.extend_from_slice(&read[..count]);
        }
        assert_eq!(stream.seen(), b"HTTP/1.1 302 Fou");
        assert_eq!(all, b"HTTP/1.1 302 Found\r\nand more");
    }
}
