//! A mailbox between tasks: senders put, one writer takes, and whoever finds it full queues up for room.
//!
//! Those who wait are let in in the order in which they came, as many as there is room for and as a writer takes at once; whoever was let
//! in lets in the next. Nobody passes them meanwhile, so that a sender with much to say gets no more of a full mailbox than one with
//! little.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;

use crate::mailbox::{
    BATCH_BYTES, BATCH_FRAMES, Bound, Bounds, Class, Displaced, Farewell, Letter, Mailbox, Refused,
};

/// A mailbox with a bell for its writer and a line of senders before it.
#[derive(Debug)]
pub(crate) struct Post {
    inside: Mutex<Inside>,
    /// Whose it is, as far as that is known ahead of any frame.
    pub(crate) caller: Option<Caller>,
}

/// Who has called, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller {
    /// From where.
    pub(crate) address: SocketAddr,
    /// Unix ms.
    pub(crate) since_ms: u64,
}

#[derive(Debug)]
struct Inside {
    /// The writer, while it waits for something to write.
    writer: Option<Waker>,
    mailbox: Mailbox,
    /// By class; telemetry never waits.
    lines: [Line; Class::Telemetry as usize],
}

/// Those who wait for room, in the order in which they came.
#[derive(Debug, Default)]
struct Line {
    /// Each with the bytes of his letter.
    waiting: VecDeque<(usize, oneshot::Sender<Turn>)>,
    /// Letters of those who were let in and have not gone on yet.
    let_in: Bound,
}

/// What the writer does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Write these; never empty.
    Write(Vec<Letter>),
    /// Everything was written: say farewell.
    Close(Farewell),
}

/// The right to push into a mailbox that was full. When it is dropped, the next in line gets it.
#[derive(Debug)]
pub(crate) struct Turn {
    post: Arc<Post>,
    class: Class,
    bytes: usize,
}

impl Post {
    /// An empty one.
    pub(crate) fn new(bounds: Bounds) -> Self {
        let inside = Inside { writer: None, mailbox: Mailbox::new(bounds), lines: Default::default() };
        Self { inside: Mutex::new(inside), caller: None }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a letter, unless others wait and this is not the sender's turn.
    ///
    /// # Errors
    /// Hands it back when there is no room.
    pub(crate) fn push(&self, letter: Letter, turn: Option<&Turn>) -> Result<Displaced, Refused> {
        let mut inside = self.lock();
        let is_its_turn = turn.is_some_and(|turn| std::ptr::eq(Arc::as_ptr(&turn.post), self));
        // The relay's own words have room of their own.
        let must_wait = !is_its_turn && letter.sender.is_some() && inside.has_line(letter.class);
        if must_wait && inside.mailbox.farewell().is_none() {
            return Err(Refused::Full(letter));
        }
        let displaced = inside.mailbox.push(letter)?;
        let writer = inside.writer.take();
        drop(inside);
        writer.into_iter().for_each(Waker::wake);
        Ok(displaced)
    }

    /// Ends it; see [`Mailbox::close`].
    pub(crate) fn close(&self, farewell: Farewell, finish: bool) {
        let mut inside = self.lock();
        inside.mailbox.close(farewell, finish);
        let (lines, writer) = (std::mem::take(&mut inside.lines), inside.writer.take());
        drop(inside);
        writer.into_iter().for_each(Waker::wake);
        // Whoever waits hears that there is nothing to wait for.
        drop(lines);
    }

    /// See [`Mailbox::backlog`].
    pub(crate) fn backlog(&self) -> (usize, Option<u64>) {
        self.lock().mailbox.backlog()
    }

    /// Letters that wait, by class.
    pub(crate) fn depth(&self) -> [usize; Class::ALL.len()] {
        self.lock().mailbox.depth()
    }

    /// Waits for something to write. Only the peer's own writer calls it.
    pub(crate) async fn next(self: &Arc<Self>) -> Next {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Whether the writer waits in [`next`](Self::next) and need not be asked before it is woken.
    pub(crate) fn is_quiet(&self) -> bool {
        self.lock().writer.is_some()
    }

    fn poll_next(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Next> {
        let mut inside = self.lock();
        let mut batch = Vec::with_capacity(inside.mailbox.waiting().min(BATCH_FRAMES));
        let mut bytes = 0;
        while batch.len() < BATCH_FRAMES && bytes < BATCH_BYTES {
            let Some(letter) = inside.mailbox.pop() else { break };
            bytes += letter.len();
            batch.push(letter);
        }
        let lines = [Class::Reliable, Class::Bulk].map(|class| (class, inside.has_line(class)));
        let next = match inside.mailbox.farewell() {
            _ if !batch.is_empty() => Poll::Ready(Next::Write(batch)),
            Some(farewell) => Poll::Ready(Next::Close(farewell)),
            None => Poll::Pending,
        };
        inside.writer = next.is_pending().then(|| cx.waker().clone());
        drop(inside);
        lines.iter().filter(|(_, has_line)| *has_line).for_each(|(class, _)| self.let_in(*class));
        next
    }

    /// Waits behind those who wait already for room for one letter of this class and length; `None` once the peer is being closed.
    pub(crate) async fn turn(self: &Arc<Self>, class: Class, bytes: usize) -> Option<Turn> {
        let comes = {
            let mut inside = self.lock();
            inside.mailbox.farewell().is_none().then_some(())?;
            let (turn, comes) = oneshot::channel();
            inside.lines[class as usize].waiting.push_back((bytes, turn));
            comes
        };
        self.let_in(class);
        comes.await.ok()
    }

    /// Lets in those who still wait, as far as there is room.
    fn let_in(self: &Arc<Self>, class: Class) {
        loop {
            let next = self.lock().next_in(class);
            let Some((bytes, next)) = next else { return };
            // Whoever has gone away meanwhile drops it, and it goes on to the next.
            drop(next.send(Turn { post: Arc::clone(self), class, bytes }));
        }
    }
}

impl Inside {
    /// Whether somebody waits for room, or has got it and not used it yet.
    fn has_line(&self, class: Class) -> bool {
        self.lines.get(class as usize).is_some_and(|line| line.let_in.frames > 0 || !line.waiting.is_empty())
    }

    /// The next who waits, if there is room for him too.
    fn next_in(&mut self, class: Class) -> Option<(usize, oneshot::Sender<Turn>)> {
        let line = &mut self.lines[class as usize];
        while line.waiting.front().is_some_and(|(_, waiter)| waiter.is_closed()) {
            line.waiting.pop_front();
        }
        if line.let_in.frames == BATCH_FRAMES || !self.mailbox.has_room(class, line.let_in) {
            return None;
        }
        let next = line.waiting.pop_front()?;
        line.let_in = Bound { frames: line.let_in.frames + 1, bytes: line.let_in.bytes + next.0 };
        Some(next)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut inside = self.post.lock();
        let let_in = &mut inside.lines[self.class as usize].let_in;
        // A mailbox that was closed meanwhile has forgotten who was let in.
        let_in.frames = let_in.frames.saturating_sub(1);
        let_in.bytes = let_in.bytes.saturating_sub(self.bytes);
        drop(inside);
        self.post.let_in(self.class);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::{Bound, Frame};
    use crate::router::ConnId;

    fn post() -> Arc<Post> {
        Arc::new(Post::new([Bound { frames: 1, bytes: 100 }; Class::ALL.len()]))
    }

    fn letter(sender: u64, n: u8) -> Letter {
        Letter { class: Class::Reliable, ..Letter::chunk(vec![n].into(), ConnId(sender), 0) }
    }

    async fn send(post: &Arc<Post>, mut letter: Letter) {
        let mut turn = None;
        while let Err(Refused::Full(back)) = post.push(letter, turn.as_ref()) {
            letter = back;
            turn = post.turn(Class::Reliable, 1).await;
        }
    }

    async fn take(post: &Arc<Post>) -> Vec<(u64, u8)> {
        match post.next().await {
            Next::Write(batch) => {
                batch.iter().map(|letter| (letter.sender.unwrap().0, byte_of(letter))).collect()
            }
            Next::Close(_) => Vec::new(),
        }
    }

    fn byte_of(letter: &Letter) -> u8 {
        let Frame::Chunk(bytes) = &letter.frame else { panic!("{letter:?}") };
        bytes[0]
    }

    #[tokio::test]
    async fn a_sender_waits_for_room_and_a_writer_for_mail() {
        let post = post();
        let sender = tokio::spawn({
            let post = Arc::clone(&post);
            async move {
                for n in 0..100 {
                    send(&post, letter(1, n)).await;
                }
                post.close(Farewell { code: 4010, reason: "done" }, true);
            }
        });
        let mut seen = Vec::new();
        while post.lock().mailbox.farewell().is_none() || post.depth() != [0; Class::ALL.len()] {
            seen.extend(take(&post).await);
        }
        sender.await.unwrap();
        assert_eq!(seen, (0..100).map(|n| (1, n)).collect::<Vec<_>>());
    }

    /// One floods, many have one thing to say: each of them is heard after at most one letter of every other sender.
    #[tokio::test]
    async fn whoever_waits_is_let_in_in_turn_and_nobody_passes_him() {
        let post = post();
        let flood = tokio::spawn({
            let post = Arc::clone(&post);
            async move {
                for n in 0..200 {
                    send(&post, letter(0, n)).await;
                }
            }
        });
        let mut quiet = Vec::new();
        let mut seen = Vec::new();
        while seen.len() < 300 {
            seen.extend(take(&post).await);
            if seen.len() == 20 {
                let send = |sender| {
                    let post = Arc::clone(&post);
                    async move { send(&post, letter(sender, 0)).await }
                };
                quiet.extend((1..=100).map(|sender| tokio::spawn(send(sender))));
            }
        }
        flood.await.unwrap();
        for sender in quiet {
            sender.await.unwrap();
        }
        let of_quiet: Vec<usize> = (0..300).filter(|at| seen[*at].0 != 0).collect();
        assert_eq!(of_quiet.len(), 100, "all were heard");
        assert!(
            of_quiet[99] - of_quiet[0] <= 101,
            "with no more than a turn of the flood between them: {seen:?}"
        );
        assert!(!post.lock().has_line(Class::Reliable));
    }

    /// Of letters of four bytes, three are below a bound of ten when they come, and five below one of five letters.
    #[tokio::test]
    async fn as_many_are_let_in_as_there_is_room_for() {
        for (bound, expected) in [
            (Bound { frames: 100, bytes: 10 }, vec![3, 3, 3, 3]),
            (Bound { frames: 5, bytes: 1_000 }, vec![5, 5, 2]),
            (Bound { frames: 100, bytes: 1_000 }, vec![12]),
        ] {
            let post = Arc::new(Post::new([bound; Class::ALL.len()]));
            let letter =
                |n: u8| Letter { class: Class::Reliable, ..Letter::chunk(vec![n; 4].into(), ConnId(1), 0) };
            let mut filling = 0;
            while post.push(letter(filling), None).is_ok() {
                filling += 1;
            }
            let senders: Vec<_> = (0..12)
                .map(|n| {
                    let (post, letter) = (Arc::clone(&post), letter(100 + n));
                    tokio::spawn(async move {
                        let turn = post.turn(Class::Reliable, letter.len()).await;
                        post.push(letter, turn.as_ref()).unwrap();
                    })
                })
                .collect();
            tokio::task::yield_now().await;
            let mut left = usize::from(filling);
            while left > 0 {
                left -= take(&post).await.len();
            }
            let (mut taken, mut seen) = (Vec::new(), Vec::new());
            while seen.len() < 12 {
                tokio::task::yield_now().await;
                let batch = take(&post).await;
                taken.push(batch.len());
                seen.extend(batch.into_iter().map(|(_, n)| n));
            }
            assert_eq!(taken, expected, "{bound:?}");
            assert_eq!(seen, (100..112).collect::<Vec<_>>(), "in the order in which they came");
            for sender in senders {
                sender.await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_turn_that_is_not_used_or_not_awaited_is_passed_on() {
        let post = post();
        post.push(letter(1, 0), None).unwrap();
        let gives_up = tokio::spawn({
            let post = Arc::clone(&post);
            async move { drop(post.turn(Class::Reliable, 1).await) }
        });
        let is_aborted = tokio::spawn({
            let post = Arc::clone(&post);
            async move { drop(post.turn(Class::Reliable, 1).await) }
        });
        tokio::task::yield_now().await;
        let sends = tokio::spawn({
            let post = Arc::clone(&post);
            async move { send(&post, letter(2, 7)).await }
        });
        tokio::task::yield_now().await;
        is_aborted.abort();
        assert_eq!(take(&post).await, [(1, 0)]);
        assert_eq!(take(&post).await, [(2, 7)]);
        gives_up.await.unwrap();
        sends.await.unwrap();
        assert!(is_aborted.await.unwrap_err().is_cancelled());
    }

    #[tokio::test]
    async fn a_close_wakes_whoever_waits_for_room() {
        let post = post();
        post.push(letter(1, 1), None).unwrap();
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let post = Arc::clone(&post);
                tokio::spawn(async move { drop(post.turn(Class::Reliable, 1).await) })
            })
            .collect();
        tokio::task::yield_now().await;
        post.close(Farewell { code: 4001, reason: "superseded" }, true);
        for waiter in waiters {
            waiter.await.unwrap();
        }
        assert_eq!(take(&post).await, [(1, 1)]);
        assert_eq!(post.next().await, Next::Close(Farewell { code: 4001, reason: "superseded" }));
    }
}
