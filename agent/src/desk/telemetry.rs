//! How often the owner wishes telemetry: kept until it says otherwise, or until another owner comes.

use std::time::Duration;

use spoolway_agent_core::Moment;
use spoolway_protocol::telemetry::{TelemConfigArgs, TelemWished};
use spoolway_protocol::{Fault, Raw};
use tracing::info;

use super::book::json;
use super::clerk::Clerk;
use super::restore::meta;
use crate::bus::Wishes;
use crate::store::{Store, StoreError};
use crate::uplink::pace;
use crate::view::Refusal;

/// Name of the wishes in the store.
pub(super) const WISHES: &str = "telemetry";

/// What was wished in an earlier run of the agent.
pub(super) async fn restore(store: &Store) -> Result<Wishes, StoreError> {
    let kept = store.meta(WISHES).await?.and_then(|text| serde_json::from_str(&text).ok());
    Ok(Wishes { rates: kept.unwrap_or_default(), watched_until: Moment::ZERO })
}

impl Clerk {
    /// Takes the owner's wishes; gives what is in force then.
    pub(super) async fn configure_telemetry(&mut self, args: &TelemConfigArgs) -> Result<Raw, Refusal> {
        let before = self.wishes.borrow().clone();
        let (rates, clamped) = pace::wished(&before.rates, args);
        let watched_until = match rates.watch_ttl_ms {
            Some(ttl_ms) => self.clock.now() + Duration::from_millis(ttl_ms),
            None => before.watched_until,
        };
        let told = TelemWished {
            idle_ms: rates.idle_ms,
            printing_ms: rates.printing_ms,
            watch_ms: rates.watch_ms,
            watch_ttl_ms: rates.watch_ttl_ms,
            clamped: clamped.into_iter().map(str::to_owned).collect(),
            extra: Default::default(),
        };
        let rates = TelemConfigArgs { watch_ttl_ms: None, ..rates };
        if rates != before.rates {
            let stored = self.promise(vec![meta(WISHES, json(&rates))]).await;
            stored.map_err(|error| Refusal::new(Fault::DiskFull, format!("not written down: {error}")))?;
            info!(
                idle_ms = rates.idle_ms,
                printing_ms = rates.printing_ms,
                watch_ms = rates.watch_ms,
                "telemetry is wanted at another rate"
            );
        }
        self.wishes.send_replace(Wishes { rates, watched_until });
        Ok(Raw::of(&told))
    }

    /// Nobody watches any more; the rates stay.
    pub(super) fn end_watch(&self) {
        self.wishes.send_if_modified(|wishes| {
            let was_watched = wishes.watched_until > Moment::ZERO;
            wishes.watched_until = Moment::ZERO;
            was_watched
        });
    }
}
