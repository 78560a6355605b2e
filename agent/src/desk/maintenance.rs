//! The maintenance window: a person at the machine opens it for some minutes, and it closes by itself.
//!
//! Its end is a time of the monotonic clock of this boot, so that no change of the wall clock makes it longer; another boot
//! closes it, another run of the agent does not. No backend opens it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use spoolway_agent_core::Moment;
use spoolway_protocol::audit::{Audit, Via};
use spoolway_protocol::event::EventData;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::{BootId, Fault};
use tracing::{info, warn};

use super::book::json;
use super::clerk::Clerk;
use super::events::event;
use super::restore::meta;
use crate::local::words::MaintenanceAction;
use crate::printer::Order;
use crate::store::{StoreError, Write};
use crate::view::{MaintenanceView, Refusal};

/// Name of the window in the store.
const WINDOW: &str = "maintenance";
/// Longest window, in minutes.
pub(crate) const MINUTES_MAX: u32 = 120;
/// Longest reason, in characters.
const REASON_CHARS: usize = 200;

/// A window that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    boot: BootId,
    until_ms: u64,
    by: String,
    reason: Option<String>,
}

impl Window {
    fn until(&self) -> Moment {
        Moment::from_millis(self.until_ms)
    }

    fn is_open(&self, boot: &BootId, now: Moment) -> bool {
        self.boot == *boot && now < self.until()
    }

    fn view(&self, now: Moment) -> MaintenanceView {
        MaintenanceView {
            left_s: (self.until() - now).as_secs(),
            by: self.by.clone(),
            reason: self.reason.clone(),
        }
    }
}

impl Clerk {
    /// The window of an earlier run of the agent, if it is still open.
    pub(super) async fn restore_maintenance(&mut self) -> Result<(), StoreError> {
        let Some(text) = self.store.meta(WINDOW).await? else { return Ok(()) };
        let window: Option<Window> = serde_json::from_str(&text).ok();
        match window {
            Some(window) if window.is_open(self.clock.boot_id(), self.clock.now()) => {
                warn!(
                    by = window.by,
                    left_s = window.view(self.clock.now()).left_s,
                    "maintenance window is still open"
                );
                self.tell_window(window.until()).await;
                self.window = Some(window);
            }
            Some(window) => {
                self.close_window(&window.by, Via::Agent, "over before the agent was started").await
            }
            None => {}
        }
        Ok(())
    }

    /// Does what a person at the machine wants of the window; gives what it is then.
    pub(super) async fn maintain(
        &mut self,
        action: MaintenanceAction,
        by: String,
    ) -> Result<Option<MaintenanceView>, Refusal> {
        match action {
            MaintenanceAction::Open { minutes, reason } => {
                self.open_maintenance(minutes, reason, by).await.map(Some)
            }
            MaintenanceAction::Close => {
                self.close_maintenance(&by).await;
                Ok(None)
            }
            MaintenanceAction::Show => Ok(self.maintenance_view()),
        }
    }

    async fn open_maintenance(
        &mut self,
        minutes: u32,
        reason: Option<String>,
        by: String,
    ) -> Result<MaintenanceView, Refusal> {
        if !(1..=MINUTES_MAX).contains(&minutes) {
            let text = format!("a maintenance window lasts from 1 to {MINUTES_MAX} minutes, not {minutes}");
            return Err(Refusal::new(Fault::CommandBadArgs, text));
        }
        let now = self.clock.now();
        let until = now + Duration::from_secs(u64::from(minutes) * 60);
        let reason = reason.map(|text| text.chars().take(REASON_CHARS).collect::<String>());
        let boot = self.clock.boot_id().clone();
        let window = Window { boot, until_ms: until.as_millis(), by, reason };
        let detail = format!("{minutes} min: {}", window.reason.as_deref().unwrap_or("no reason given"));
        let writes = vec![
            meta(WINDOW, json(&window)),
            self.write_audit(&window.by, Via::Cli, "maintenance.open", &detail),
        ];
        // What is not written down is not opened.
        let stored = self.promise(writes).await;
        stored.map_err(|error| Refusal::new(Fault::DiskFull, format!("not written down: {error}")))?;
        warn!(minutes, "maintenance window opened");
        self.tell_window(until).await;
        let view = window.view(now);
        self.window = Some(window);
        Ok(view)
    }

    /// Closes the window, if one is open.
    async fn close_maintenance(&mut self, by: &str) {
        if self.window.take().is_some() {
            self.tell_window(Moment::ZERO).await;
            self.close_window(by, Via::Cli, "by hand").await;
        }
    }

    /// The window closes by itself; the printer thread knows its end without being told.
    pub(super) async fn watch_window(&mut self) {
        let now = self.clock.now();
        if let Some(window) = self.window.take_if(|window| now >= window.until()) {
            self.close_window(&window.by, Via::Agent, "its time was over").await;
        }
    }

    pub(super) fn maintenance_view(&self) -> Option<MaintenanceView> {
        let now = self.clock.now();
        let window = self.window.as_ref().filter(|window| now < window.until())?;
        Some(window.view(now))
    }

    async fn close_window(&mut self, by: &str, via: Via, detail: &str) {
        info!(%via, detail, "maintenance window closed");
        let writes = vec![meta(WINDOW, "null"), self.write_audit(by, via, "maintenance.close", detail)];
        drop(self.promise(writes).await);
    }

    async fn tell_window(&self, until: Moment) {
        drop(self.orders.send(Order::Maintain { until }).await);
    }

    /// Who did what, for later.
    pub(super) fn write_audit(&self, actor: &str, via: Via, action: &str, detail: &str) -> Write {
        let audit = EventData::Audit(Audit {
            actor: actor.to_owned(),
            via,
            action: action.to_owned(),
            ok: true,
            detail: Some(detail.to_owned()),
            extra: Extra::default(),
        });
        event(&audit, None, &self.clock.stamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_belongs_to_its_boot_and_to_the_monotonic_clock() {
        let boot = |name: &str| BootId::new(name).unwrap();
        let window = Window { boot: boot("this"), until_ms: 60_000, by: "uid 1000".to_owned(), reason: None };
        for (name, now_ms, is_open) in [
            ("this", 0, true),
            ("this", 59_999, true),
            ("this", 60_000, false),
            ("other", 0, false),
            ("other", 59_999, false),
        ] {
            assert_eq!(window.is_open(&boot(name), Moment::from_millis(now_ms)), is_open, "{name} {now_ms}");
        }
        assert_eq!(window.view(Moment::from_millis(30_000)).left_s, 30);
        let again: Window = serde_json::from_str(&json(&window)).unwrap();
        assert_eq!(again, window);
    }
}
