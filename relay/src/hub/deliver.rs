//! From a peer to the mailbox that its frame is for: mostly at once, otherwise when there is room.

use std::pin::Pin;
use std::sync::Arc;

use spoolway_protocol::hello::NackCode;
use spoolway_protocol::{Address, AgentId, BackendId};

use super::{Hub, SLOW};
use crate::mailbox::{Class, Displaced, Letter, Refused};
use crate::metrics::Metric;
use crate::post::{Post, Turn};
use crate::router::{Audience, ConnId, NoRoute, Router};

/// What is done with a letter that finds the mailbox full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// Its sender waits for its turn.
    Wait,
    /// Its sender is told `busy`.
    Busy,
}

/// Who gets a copy of a letter besides its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched<'a> {
    /// Nobody.
    No,
    /// Watchers, once the owner is there: events that the owner does not get yet will come again.
    WithOwner,
    /// Watchers.
    Always,
    /// Guests: it answers a command.
    Answer,
    /// Nobody; it is about this file, and a guest that sends it is its receiver.
    File(&'a str),
}

/// What became of a letter.
pub(crate) enum Sent<'a> {
    /// It is in the mailbox, or it went nowhere for this reason.
    Now(Result<(), NoRoute>),
    /// The mailbox is full, and this waits for its turn.
    Later(Pin<Box<dyn Future<Output = Result<(), NoRoute>> + Send + 'a>>),
}

/// What an offer to a mailbox has led to.
enum Offer {
    Ended(Result<(), NoRoute>),
    /// There was no room for this letter here.
    Full(Letter, Arc<Post>),
}

impl Sent<'_> {
    /// Waits until that is known.
    ///
    /// # Errors
    /// Says why it went nowhere.
    pub(crate) async fn done(self) -> Result<(), NoRoute> {
        match self {
            Self::Now(ended) => ended,
            Self::Later(waits) => waits.await,
        }
    }
}

impl Hub {
    /// Passes a frame of an agent to its owner; waits while the owner's mailbox is full, so that reading an agent stops when what its
    /// owner can take is spent.
    pub(crate) fn forward_agent<'a>(
        &'a self,
        (agent, conn): (&'a AgentId, ConnId),
        to: Address,
        letter: Letter,
        watched: Watched<'a>,
    ) -> Sent<'a> {
        let route = move |router: &Router<Arc<Post>>| match watched {
            Watched::Answer => router.route_answer(agent, conn, &to),
            Watched::File(file) => router.route_file(agent, conn, &to, file),
            _ => router.route_agent(agent, conn, &to),
        };
        self.deliver(letter, watched, WhenFull::Wait, route)
    }

    /// Passes a frame of a backend to an agent it owns. A full mailbox is `busy`, so that one slow agent does not hold up the
    /// others; only for chunks the backend waits.
    pub(crate) fn forward_backend<'a>(
        &'a self,
        (backend, conn): (&'a BackendId, ConnId),
        to: Address,
        letter: Letter,
    ) -> Sent<'a> {
        let when_full = if letter.class == Class::Bulk { WhenFull::Wait } else { WhenFull::Busy };
        let route =
            move |router: &Router<Arc<Post>>| router.route_backend(backend, conn, &to).map(Audience::only);
        self.deliver(letter, Watched::No, when_full, route)
    }

    /// Tells the owner and the watchers that an agent is here; waits while the owner's mailbox is full.
    pub(crate) async fn announce_up(&self, agent: &AgentId) {
        let Some((up, _)) = self.router().presence(agent) else { return };
        let letter = Letter::own(&*up, self.clock.ms());
        // Whoever has come in its place says so itself.
        let route = |router: &Router<Arc<Post>>| match router.presence(agent) {
            Some((now, audience)) if Arc::ptr_eq(&now, &up) => Ok(audience),
            _ => Err(NoRoute::Stale),
        };
        // Without an owner, its next process hears it.
        let _ = self.deliver(letter, Watched::Always, WhenFull::Wait, route).done().await;
    }

    /// Tells everybody that an agent is gone, unless it is back by then.
    pub(crate) async fn announce_down(&self, agent: &AgentId, audience: Audience<Arc<Post>>, down: String) {
        let route = |router: &Router<Arc<Post>>| match router.agent(agent) {
            Some(_) => Err(NoRoute::Stale),
            None => Ok(audience.clone()),
        };
        let letter = Letter::own(down, self.clock.ms());
        let _ = self.deliver(letter, Watched::Always, WhenFull::Wait, route).done().await;
    }

    /// Puts a letter into the mailbox to which `route` leads at that moment.
    fn deliver<'a>(
        &'a self,
        letter: Letter,
        mut watched: Watched<'a>,
        when_full: WhenFull,
        route: impl Fn(&Router<Arc<Post>>) -> Result<Audience<Arc<Post>>, NoRoute> + Send + Sync + 'a,
    ) -> Sent<'a> {
        let (mut letter, mut full) = match self.offer(letter, &mut watched, None, &route) {
            Offer::Ended(ended) => return Sent::Now(ended),
            Offer::Full(..) if when_full == WhenFull::Busy => {
                return Sent::Now(Err(NoRoute::Refused(NackCode::Busy)));
            }
            Offer::Full(letter, full) => (letter, full),
        };
        Sent::Later(Box::pin(async move {
            loop {
                self.metrics.count(Metric::Waits);
                let turn = full.turn(letter.class, letter.len()).await;
                match self.offer(letter, &mut watched, turn.as_ref(), &route) {
                    Offer::Ended(ended) => return ended,
                    Offer::Full(back, again) => (letter, full) = (back, again),
                }
            }
        }))
    }

    /// Tries it once.
    fn offer(
        &self,
        letter: Letter,
        watched: &mut Watched<'_>,
        turn: Option<&Turn>,
        route: impl Fn(&Router<Arc<Post>>) -> Result<Audience<Arc<Post>>, NoRoute>,
    ) -> Offer {
        // Look and push under the table's lock: what comes and goes between them would be told in the wrong order.
        let router = self.router();
        let Audience { server, watchers } = match route(&router) {
            Ok(audience) => audience,
            Err(NoRoute::Refused(NackCode::Offline)) => Audience { server: None, watchers: Vec::new() },
            Err(no_route) => return Offer::Ended(Err(no_route)),
        };
        let class = letter.class;
        let is_heard = *watched == Watched::Answer && !watchers.is_empty();
        if server.is_some() || matches!(watched, Watched::Always | Watched::Answer) {
            let watched = std::mem::replace(watched, Watched::No);
            self.copy_to(if watched == Watched::No { &[] } else { &watchers }, &letter);
        }
        let Some(post) = server else {
            return Offer::Ended(if is_heard { Ok(()) } else { self.nobody_home(class) });
        };
        match post.push(letter, turn) {
            Ok(displaced) => Offer::Ended(self.taken(class, displaced)),
            Err(Refused::Closed) => Offer::Ended(self.nobody_home(class)),
            Err(Refused::Full(back)) => Offer::Full(back, post),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is how a delivery ends")]
    fn taken(&self, class: Class, displaced: Displaced) -> Result<(), NoRoute> {
        self.metrics.displaced(class, displaced);
        Ok(())
    }

    /// What may be lost is dropped without a word when nobody is there.
    fn nobody_home(&self, class: Class) -> Result<(), NoRoute> {
        match class.is_lossy() {
            true => self.taken(class, Displaced { coalesced: false, dropped: 1 }),
            false => Err(NoRoute::Refused(NackCode::Offline)),
        }
    }

    /// Watchers never hold up an agent: one that is full is closed, and may subscribe again.
    fn copy_to(&self, watchers: &[Arc<Post>], letter: &Letter) {
        for post in watchers {
            match post.push(letter.clone(), None) {
                Ok(displaced) => self.metrics.displaced(letter.class, displaced),
                Err(Refused::Closed) => {}
                Err(Refused::Full(_)) => {
                    self.metrics.count(Metric::SlowPeers);
                    post.close(SLOW, false);
                }
            }
        }
    }
}
