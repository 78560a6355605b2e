//! Who owns this agent, as the relay says it: what was kept for one backend is never told to another.

use spoolway_protocol::{Address, Fault, Seq};
use tokio::sync::oneshot;

use super::failure::{Failure, Retry, Stage};
use super::stops::Stops;
use super::{End, Uplink};
use crate::bus::Inbound;
use crate::store::{Durability, OWNER, Store, StoreError, Write};

/// Whether events are kept for somebody else than this one. Where it was nobody until now, it is this one.
pub(super) async fn is_another(store: &Store, owner: &Address) -> Result<bool, Failure> {
    let failed = |error: StoreError| Failure::unreachable(Stage::Store, error.to_string());
    let now = owner.to_string();
    match store.meta(OWNER).await.map_err(failed)? {
        Some(before) => Ok(before != now),
        None => {
            let first = vec![Write::PutMeta { key: OWNER.to_owned(), value: now }];
            store.commit(first, Durability::Promise).await.map(|_| false).map_err(failed)
        }
    }
}

impl Uplink {
    /// Stays away until the desk has dropped what belongs to the owner before; then it logs in with cursors that are the new one's.
    pub(super) async fn change_owner(&mut self, owner: Address) -> End {
        let text = format!("{owner} owns this agent now; what belongs to the owner before is to end first");
        let failure = Failure::new(Stage::Login, Fault::OwnerChanges, text);
        self.standing.handle_down(&failure);
        let (done, changed) = oneshot::channel();
        let inbound = self.parts.inbound.clone();
        let asked = async {
            inbound.send(Inbound::Owner { owner, done }).await.ok()?;
            changed.await.ok()
        };
        let answered = tokio::select! {
            () = self.stop.cancelled() => return End::Stopped,
            answered = asked => answered,
        };
        if answered.is_none() {
            return End::DeskGone;
        }
        // What the desk still had to say was for the owner before: receipts, and words about its files.
        while self.parts.outbound.try_recv().is_ok() {}
        self.away.forget();
        // The new owner counts its commands from the beginning.
        self.stops = Stops::new(self.parts.stop.clone(), Seq(0));
        End::Lost(Failure { retry: Retry::At(self.parts.clock.now()), ..failure })
    }
}
