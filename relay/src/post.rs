//! A mailbox between tasks: senders put, one writer takes, and whoever finds it full can wait for room.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::mailbox::{
    BATCH_BYTES, BATCH_FRAMES, Bounds, Class, Displaced, Farewell, Frame, Mail, Mailbox, Refused, Slot,
};

/// A mailbox with the two bells that go with it.
#[derive(Debug)]
pub(crate) struct Post {
    mailbox: Mutex<Mailbox>,
    mail: Notify,
    room: Notify,
}

/// What the writer does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Write these; never empty.
    Write(Vec<Mail>),
    /// Everything was written: say farewell.
    Close(Farewell),
}

impl Post {
    /// An empty one.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { mailbox: Mutex::new(Mailbox::new(bounds)), mail: Notify::new(), room: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a reliable or bulk frame.
    ///
    /// # Errors
    /// Hands the frame back when there is no room or the peer is being closed.
    pub(crate) fn push(&self, class: Class, frame: Frame, now_ms: u64) -> Result<(), Refused> {
        self.lock().push(class, frame, now_ms)?;
        self.mail.notify_one();
        Ok(())
    }

    /// Queues telemetry.
    ///
    /// # Errors
    /// Hands the frame back when the peer is being closed.
    pub(crate) fn push_latest(&self, slot: Slot, frame: Frame, now_ms: u64) -> Result<Displaced, Refused> {
        let displaced = self.lock().push_latest(slot, frame, now_ms)?;
        self.mail.notify_one();
        Ok(displaced)
    }

    /// Ends it; see [`Mailbox::close`].
    pub(crate) fn close(&self, farewell: Farewell, finish: bool) {
        self.lock().close(farewell, finish);
        self.mail.notify_one();
        self.room.notify_waiters();
    }

    /// Frames that wait, by class.
    pub(crate) fn depth(&self) -> [usize; 3] {
        self.lock().depth()
    }

    /// Waits for something to write. Only the peer's own writer calls it.
    pub(crate) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.try_next() {
                self.room.notify_waiters();
                return next;
            }
            self.mail.notified().await;
        }
    }

    fn try_next(&self) -> Option<Next> {
        let mut mailbox = self.lock();
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH_FRAMES && bytes < BATCH_BYTES {
            let Some(mail) = mailbox.pop() else { break };
            bytes += mail.frame.len();
            batch.push(mail);
        }
        if batch.is_empty() { mailbox.farewell().map(Next::Close) } else { Some(Next::Write(batch)) }
    }

    /// Waits until a frame of this class and size would be taken, or the peer is being closed.
    pub(crate) async fn room(&self, class: Class, len: usize) {
        loop {
            let mut bell = std::pin::pin!(self.room.notified());
            // Listen before looking, or a bell in between is missed.
            bell.as_mut().enable();
            {
                let mailbox = self.lock();
                if mailbox.farewell().is_some() || mailbox.has_room(class, len) {
                    return;
                }
            }
            bell.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const BOUNDS: Bounds = Bounds { frames: 1, bytes: 100, bulk_frames: 1, slots: 1, slot_bytes: 100 };

    #[tokio::test]
    async fn a_sender_waits_for_room_and_a_writer_for_mail() {
        let post = Arc::new(Post::new(BOUNDS));
        let sender = tokio::spawn({
            let post = Arc::clone(&post);
            async move {
                for n in 0..100_u8 {
                    let mut frame = Frame::Binary(vec![n]);
                    while let Err(Refused::Full(back)) = post.push(Class::Reliable, frame, 0) {
                        post.room(Class::Reliable, back.len()).await;
                        frame = back;
                    }
                }
                post.close(Farewell { code: 4010, reason: "done" }, true);
            }
        });
        let mut seen = Vec::new();
        loop {
            match post.next().await {
                Next::Write(batch) => seen.extend(batch.into_iter().map(|mail| mail.frame)),
                Next::Close(farewell) => break assert_eq!(farewell.code, 4010),
            }
        }
        sender.await.unwrap();
        assert_eq!(seen, (0..100_u8).map(|n| Frame::Binary(vec![n])).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_close_wakes_whoever_waits_for_room() {
        let post = Arc::new(Post::new(BOUNDS));
        post.push(Class::Reliable, Frame::Binary(vec![1]), 0).unwrap();
        let waiter = tokio::spawn({
            let post = Arc::clone(&post);
            async move { post.room(Class::Reliable, 1).await }
        });
        tokio::task::yield_now().await;
        post.close(Farewell { code: 4001, reason: "superseded" }, false);
        waiter.await.unwrap();
        assert_eq!(post.next().await, Next::Close(Farewell { code: 4001, reason: "superseded" }));
    }
}
