//! The websocket of one peer between its stream and its frames: two halves of one task, one that reads and one that writes in batches.
//!
//! A connection that is idle holds no buffer here: frames are read out of what the stream has decrypted, and what leaves is given back
//! as soon as it is written.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use bytestring::ByteString;
use spoolway_protocol::limits::BINARY_FRAME_BYTES;
use spoolway_relay_frames::{Broken, Message, Server};
use tokio::io::{AsyncBufRead, AsyncWrite};

use crate::mailbox::Farewell;

/// Why a frame beyond every bound ends the connection.
pub(crate) const FRAME_TOO_LARGE: &str = "frame too large";

/// A stream that can carry a websocket.
pub(crate) trait Carrier: AsyncBufRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncBufRead + AsyncWrite + Unpin + Send + 'static> Carrier for T {}

/// What came in.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A text frame.
    Text(ByteString),
    /// A binary frame.
    Binary(Bytes),
    /// A ping or a pong.
    Alive,
    /// The peer is gone.
    Closed,
    /// The peer broke the framing: close with 4000 and this reason.
    Broken(&'static str),
}

/// See the module. The lock is never waited for: both halves are polled by one task, one after the other.
#[derive(Debug)]
pub(crate) struct Socket<S>(Mutex<Inside<S>>);

#[derive(Debug)]
struct Inside<S> {
    stream: S,
    /// What the peer has sent behind its request.
    early: Vec<u8>,
    end: Server,
}

/// The reading half.
#[derive(Debug)]
pub(crate) struct Reader<'a, S>(&'a Socket<S>);

/// The writing half.
#[derive(Debug)]
pub(crate) struct Writer<'a, S>(&'a Socket<S>);

impl<S: Carrier> Socket<S> {
    /// The websocket on a connection whose upgrade was answered; `early` is what the peer has sent behind its request.
    pub(crate) fn new(stream: S, early: Vec<u8>) -> Self {
        Self(Mutex::new(Inside { stream, early, end: Server::new(BINARY_FRAME_BYTES) }))
    }

    /// Its halves, for one and the same task.
    pub(crate) fn split(&self) -> (Reader<'_, S>, Writer<'_, S>) {
        (Reader(self), Writer(self))
    }

    fn lock(&self) -> MutexGuard<'_, Inside<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Carrier> Inside<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        loop {
            if self.end.has_answer() || self.end.is_over() {
                let flushed = self.poll_flush(cx);
                if self.end.is_over() || matches!(flushed, Poll::Ready(Err(Gone))) {
                    return flushed.map(|_| Incoming::Closed);
                }
            }
            if let Some(incoming) = ready!(self.poll_receive(cx)) {
                return Poll::Ready(incoming);
            }
        }
    }

    /// What has come; `None` when there is more to look at.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            let mut rest = &early[..];
            let received = self.end.receive(&mut rest);
            self.early = rest.to_vec();
            return Poll::Ready(incoming(received));
        }
        let mut stream = Pin::new(&mut self.stream);
        let input = ready!(stream.as_mut().poll_fill_buf(cx)).unwrap_or_default();
        if input.is_empty() {
            self.end.end();
            return Poll::Ready(Some(Incoming::Closed));
        }
        let mut rest = input;
        let received = self.end.receive(&mut rest);
        let used = input.len() - rest.len();
        stream.consume(used);
        Poll::Ready(incoming(received))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let mut stream = Pin::new(&mut self.stream);
        while let output @ [_, ..] = self.end.output() {
            match ready!(stream.as_mut().poll_write(cx, output)) {
                Ok(bytes) if bytes > 0 => self.end.wrote(bytes),
                Ok(_) | Err(_) => return Poll::Ready(Err(Gone)),
            }
        }
        stream.poll_flush(cx).map_err(|_| Gone)
    }
}

/// A close frame is answered before the peer counts as gone.
fn incoming(received: Result<Option<Message>, Broken>) -> Option<Incoming> {
    match received {
        Ok(Some(Message::Text(text))) => Some(Incoming::Text(text.into())),
        Ok(Some(Message::Binary(bytes))) => Some(Incoming::Binary(bytes.into())),
        Ok(Some(Message::Ping(_) | Message::Pong)) => Some(Incoming::Alive),
        Ok(Some(Message::Close(_)) | None) => None,
        Err(Broken::TooLarge(_)) => Some(Incoming::Broken(FRAME_TOO_LARGE)),
        Err(Broken::Rule(_)) => Some(Incoming::Broken("websocket framing")),
    }
}

impl<S: Carrier> Reader<'_, S> {
    /// The next thing that came in. May be dropped and called again without losing a frame.
    pub(crate) async fn read(&mut self) -> Incoming {
        poll_fn(|cx| self.0.lock().poll_read(cx)).await
    }
}

impl<S: Carrier> Writer<'_, S> {
    /// Writes frames.
    ///
    /// # Errors
    /// The connection is gone.
    pub(crate) async fn write(&mut self, frames: Vec<u8>) -> Result<(), Gone> {
        let is_lawful = self.0.lock().end.send(frames);
        if is_lawful { self.flush().await } else { Err(Gone) }
    }

    /// Writes a close frame.
    ///
    /// # Errors
    /// The connection is gone.
    pub(crate) async fn close(&mut self, farewell: Farewell) -> Result<(), Gone> {
        self.0.lock().end.close(Some(farewell.code), farewell.reason);
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        poll_fn(|cx| self.0.lock().poll_flush(cx)).await
    }
}

/// The connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection is gone")]
pub(crate) struct Gone;

#[cfg(test)]
mod tests;
