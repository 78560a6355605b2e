//! Replaces the agent's key: carries between the machine, the identity folder, the relay and the store.

use std::sync::Arc;
use std::time::Duration;

use spoolway_agent_core::moment::Moment;
use spoolway_agent_core::rotation::{Link, Offer, OfferAnswer, Rotation, RotationOutput};
use spoolway_protocol::audit::{Audit, Via};
use spoolway_protocol::event::EventData;
use spoolway_protocol::identity::{ROTATE_PATH, Rotated};
use spoolway_protocol::pairing::Problem;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::{Fault, Raw};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::desk::event;
use crate::identity::Identity;
use crate::pairing::body_of;
use crate::store::{Durability, Store};
use crate::uplink::{Poster, RelaySettings};
use crate::view::{LinkView, Refusal};

/// Wishes that may wait; one is carried out at a time.
const WISHES: usize = 4;
/// How often it is looked whether a key has become old.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// Somebody wishes for a new key.
#[derive(Debug)]
struct Wish {
    by: By,
    answer: oneshot::Sender<Result<(), Refusal>>,
}

/// On whose word.
#[derive(Debug, Clone)]
pub struct By {
    /// By which way.
    pub via: Via,
    /// Who.
    pub actor: String,
}

/// Has the key replaced; clones share it.
#[derive(Debug, Clone)]
pub struct Rotator(mpsc::Sender<Wish>);

/// Where the wishes arrive.
#[derive(Debug)]
pub struct Wishes(mpsc::Receiver<Wish>);

impl Rotator {
    /// A handle, and the end at which its wishes arrive.
    #[must_use]
    pub fn new() -> (Self, Wishes) {
        let (wishes, inbox) = mpsc::channel(WISHES);
        (Self(wishes), Wishes(inbox))
    }

    /// Replaces the key; the agent signs with the new one when this returns.
    ///
    /// # Errors
    /// It cannot be now, or it is not finished: then it goes on by itself.
    pub async fn rotate(&self, by: By) -> Result<(), Refusal> {
        let (answer, said) = oneshot::channel();
        let full = |_| Refusal::new(Fault::IdentityRotating, "the key is being changed already");
        self.0.try_send(Wish { by, answer }).map_err(full)?;
        let stopping =
            |_| Refusal::new(Fault::AgentRestarted, "the agent is stopping; it goes on after a start");
        said.await.map_err(stopping)?
    }
}

/// What it works with.
pub struct RotationParts {
    /// The keys.
    pub identity: Arc<Identity>,
    /// The clock.
    pub clock: Clock,
    /// Where the owner's events are.
    pub store: Store,
    /// The relay, if there is one.
    pub relay: watch::Receiver<Option<RelaySettings>>,
    /// How the link stands.
    pub link: watch::Receiver<LinkView>,
}

/// Runs for as long as the agent; it may be dropped at any time.
pub async fn run(parts: RotationParts, wishes: Wishes) {
    let seed = parts
        .identity
        .agent_id()
        .as_bytes()
        .iter()
        .fold(0, |seed: u64, byte| seed << 5 ^ seed >> 59 ^ u64::from(*byte));
    let machine = Rotation::new(parts.identity.on_disk(), seed);
    Shell { parts, machine, wishes: wishes.0, waiting: None }.work().await;
}

/// Tells the owner of a change that a crash has cut short, before anything is signed with the new key. What fails is tried again later.
pub async fn tell_first(identity: &Identity, store: &Store, clock: &Clock) {
    if identity.on_disk().is_untold
        && tell(identity, store, clock, None).await
        && let Err(error) = identity.adopt()
    {
        warn!(%error, "the change of the key is told once more");
    }
}

struct Shell {
    parts: RotationParts,
    machine: Rotation,
    wishes: mpsc::Receiver<Wish>,
    waiting: Option<Wish>,
}

impl Shell {
    async fn work(mut self) {
        loop {
            let link = self.link();
            let (now, unix_ms) = (self.parts.clock.now(), self.parts.clock.trusted_unix_ms());
            self.machine.handle_link(now, link);
            match self.machine.poll_output(now, unix_ms) {
                RotationOutput::Prepare => {
                    let prepared =
                        self.on_disk(|identity| identity.prepare().map_err(|error| error.to_string()));
                    self.machine.handle_prepared(prepared.await);
                }
                RotationOutput::Post(offer) => {
                    let answer = self.post(offer).await;
                    if let OfferAnswer::Refused { code, detail, .. } = &answer {
                        warn!(
                            code,
                            detail,
                            help = Fault::IdentityRefused.help(),
                            "the relay does not take the new key"
                        );
                    }
                    self.machine.handle_answer(self.parts.clock.now(), answer);
                }
                RotationOutput::Switch => {
                    let since_ms = unix_ms.unwrap_or_else(|| self.parts.clock.unix_ms());
                    let switched = self.on_disk(move |identity| {
                        identity.switch(since_ms).map(|()| since_ms).map_err(|error| error.to_string())
                    });
                    self.machine.handle_switched(now, switched.await);
                }
                RotationOutput::Tell => {
                    let by = self.waiting.as_ref().map(|wish| wish.by.clone());
                    let is_told = tell(&self.parts.identity, &self.parts.store, &self.parts.clock, by).await;
                    self.machine.handle_told(now, is_told);
                }
                RotationOutput::Adopt => {
                    let adopted =
                        self.on_disk(|identity| identity.adopt().map_err(|error| error.to_string())).await;
                    match &adopted {
                        Ok(()) => info!(kid = %self.parts.identity.key().kid(), "the agent has a new key"),
                        Err(error) => warn!(error, "the new key is not used yet"),
                    }
                    self.machine.handle_adopted(now, adopted.is_ok());
                }
                RotationOutput::Said(said) => {
                    let said = said.map_err(|refusal| Refusal::new(refusal.fault, refusal.detail));
                    self.waiting.take().into_iter().for_each(|wish| drop(wish.answer.send(said.clone())));
                }
                RotationOutput::Wait(until) => {
                    if !self.wait(now, until).await {
                        return;
                    }
                }
            }
        }
    }

    /// Whether there is anybody left to work for.
    async fn wait(&mut self, now: Moment, until: Option<Moment>) -> bool {
        let wait = until.map_or(LOOK_EVERY, |until| until.since(now).min(LOOK_EVERY));
        tokio::select! {
            wish = self.wishes.recv() => match wish {
                None => return false,
                Some(wish) => self.take(wish),
            },
            Ok(()) = self.parts.link.changed() => {}
            Ok(()) = self.parts.relay.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
        true
    }

    fn take(&mut self, wish: Wish) {
        let clock = &self.parts.clock;
        match self.machine.handle_wish(clock.now(), clock.trusted_unix_ms()) {
            Ok(()) => self.waiting = Some(wish),
            Err(refusal) => drop(wish.answer.send(Err(Refusal::new(refusal.fault, refusal.detail)))),
        }
    }

    fn link(&mut self) -> Link {
        let is_named = self.parts.relay.borrow_and_update().is_some();
        let view = self.parts.link.borrow_and_update();
        let refused = [Fault::RelayBadSignature, Fault::RelayKeyRetired].map(Fault::code);
        let is_key_refused = view.fault.as_ref().is_some_and(|fault| refused.contains(&fault.code.as_str()));
        Link { is_named, is_up: view.up, is_key_refused }
    }

    /// Something that may wait for the disk.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Identity) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let identity = Arc::clone(&self.parts.identity);
        let done = tokio::task::spawn_blocking(move || work(&identity)).await;
        done.unwrap_or_else(|error| Err(error.to_string()))
    }

    async fn post(&self, offer: Offer) -> OfferAnswer {
        let identity = &self.parts.identity;
        let offered = match offer {
            Offer::Next => identity.offer_next(),
            Offer::Last => identity.offer_last(),
        };
        let relay = self.parts.relay.borrow().clone();
        let lost = |fault, detail: &str| OfferAnswer::Lost { fault, detail: detail.to_owned() };
        let Some(((key, rotate), relay)) = offered.zip(relay) else {
            return lost(Fault::RelayUnreachable, "there is no relay, or nothing to tell it");
        };
        let mut poster = Poster::new(relay, self.parts.clock.clone(), key);
        let answered = match poster.post(ROTATE_PATH, Raw::of(&rotate).get()).await {
            Ok(answered) => answered,
            Err(error) => return lost(error.fault, &error.text),
        };
        match body_of::<Rotated>(&answered) {
            Ok(rotated) if rotated.agent_id == rotate.agent_id => OfferAnswer::Taken,
            Ok(_) => lost(Fault::RelayProto, "the relay speaks of another agent"),
            Err(Problem { code, detail }) => {
                OfferAnswer::Refused { code, detail, retry_after_ms: answered.retry_after_ms }
            }
        }
    }
}

/// Stores the event for the owner, and on whose word the key was changed.
async fn tell(identity: &Identity, store: &Store, clock: &Clock, by: Option<By>) -> bool {
    let Some(changed) = identity.changed() else { return true };
    let By { via, actor } = by.unwrap_or(By { via: Via::Agent, actor: "agent".to_owned() });
    let detail = Some(format!("{} to {}", changed.kid_old, changed.kid));
    let audit =
        Audit { actor, via, action: "identity.rotate".to_owned(), ok: true, detail, extra: Extra::default() };
    let events = [EventData::IdentityChanged(Box::new(changed)), EventData::Audit(audit)];
    let rows = events.map(|data| event(&data, None, &clock.stamp())).into();
    match store.commit(rows, Durability::Promise).await {
        Ok(_) => true,
        Err(error) => {
            warn!(%error, "the owner is told of the new key later");
            false
        }
    }
}
