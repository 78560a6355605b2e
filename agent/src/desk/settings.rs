//! Settings of the owner: over the machine's own for the few keys that are its to set, each change a revision, kept until another owner comes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use spoolway_protocol::Fault;
use spoolway_protocol::command::Actor;
use spoolway_protocol::config::{ConfigApplied, ConfigSetArgs};
use spoolway_protocol::event::EventData;
use spoolway_protocol::raw::Extra;
use tracing::{info, warn};

use super::book::json;
use super::clerk::Clerk;
use super::events::event;
use super::hand::check_role;
use super::restore::meta;
use crate::config::{Preflight, with_remote};
use crate::store::{Store, StoreError, Write};
use crate::view::Refusal;

/// Name of what the owner has set, in the store.
pub(super) const SETTINGS: &str = "settings";

/// What the owner has set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    rev: u64,
    set: BTreeMap<String, Value>,
}

/// What was set in an earlier run, and what holds with it. A version that knows a key no more goes on without all of it, and says so.
pub(super) async fn restore(store: &Store, own: &Preflight) -> Result<(Settings, Preflight), StoreError> {
    let kept = store.meta(SETTINGS).await?.and_then(|text| serde_json::from_str(&text).ok());
    let settings: Settings = kept.unwrap_or_default();
    match with_remote(own, &settings.set) {
        Ok(rules) => Ok((settings, rules)),
        Err(why) => {
            warn!(%why, rev = settings.rev, "what the owner has set does not hold any more");
            Ok((Settings { rev: settings.rev, ..Settings::default() }, own.clone()))
        }
    }
}

impl Clerk {
    /// Sets what the owner wants, whole or not at all; either way it is told.
    pub(super) async fn set_config(&mut self, actor: &Actor, args: ConfigSetArgs) -> Result<(), Refusal> {
        check_role(actor, false)?;
        let mut next = Settings { rev: args.rev, ..self.settings.clone() };
        for (key, value) in args.patch {
            if value.is_null() {
                next.set.remove(&key);
            } else {
                next.set.insert(key, value);
            }
        }
        if next == self.settings {
            // A crash came between this and its result.
            return Ok(());
        }
        if args.rev != self.settings.rev + 1 {
            let text = format!("the settings are at revision {}, so the next is one more", self.settings.rev);
            return Err(Refusal::new(Fault::PreconditionFailed, text));
        }
        let rules = match with_remote(&self.own_rules, &next.set) {
            Ok(rules) => rules,
            Err(why) => {
                let told = self.applied(&self.settings, Some(why.clone()));
                self.note(vec![told]).await;
                return Err(Refusal::new(Fault::CommandBadArgs, why));
            }
        };
        let writes = vec![meta(SETTINGS, json(&next)), self.applied(&next, None)];
        let stored = self.promise(writes).await;
        stored.map_err(|error| Refusal::new(Fault::DiskFull, format!("not written down: {error}")))?;
        info!(role = actor.role, rev = next.rev, set = ?next.set, "the owner has set something");
        (self.settings, self.preflight_rules) = (next, rules);
        Ok(())
    }

    /// Nothing that the owner before has set holds any more.
    pub(super) fn forget_settings(&mut self) {
        (self.settings, self.preflight_rules) = (Settings::default(), self.own_rules.clone());
    }

    fn applied(&self, settings: &Settings, error: Option<String>) -> Write {
        let applied = EventData::ConfigApplied(ConfigApplied {
            rev: settings.rev,
            ok: error.is_none(),
            error,
            set: settings.set.clone(),
            extra: Extra::default(),
        });
        event(&applied, None, &self.clock.stamp())
    }
}
