//! How the link stands: what people are shown, what is logged once, and what an outage came to.

use spoolway_agent_core::moment::Moment;
use spoolway_protocol::Fault;
use spoolway_protocol::event::LinkSession;
use tokio::sync::watch;

use super::failure::{Failure, Retry, Stage};
use crate::clock::Clock;
use crate::config::RelayUrl;
use crate::view::{FaultView, LinkView};

/// Longest reason of an outage.
const REASON_CHARS: usize = 400;

/// The link as it is shown.
pub(super) struct Standing {
    clock: Clock,
    relay: RelayUrl,
    view: watch::Sender<LinkView>,
    logged: Option<(Stage, Fault)>,
    outage: Option<Outage>,
}

/// A time without a session.
#[derive(Debug)]
struct Outage {
    since: Moment,
    attempts: u32,
    first: String,
    last: String,
}

impl Standing {
    pub(super) fn new(clock: Clock, relay: RelayUrl, view: watch::Sender<LinkView>) -> Self {
        let shown = LinkView {
            relay: Some(relay.to_string()),
            since_ms: clock.unix_ms(),
            since_boot_ms: clock.now().as_millis(),
            ..LinkView::default()
        };
        view.send_replace(shown);
        Self { clock, relay, view, logged: None, outage: None }
    }

    /// A connection is tried.
    pub(super) fn handle_attempt(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.attempts = outage.attempts.saturating_add(1);
        }
    }

    /// A session stands. Returns what the outage before it came to, if there was one.
    pub(super) fn handle_up(&mut self, session: &str) -> Option<LinkSession> {
        let outage = self.outage.take().map(|outage| outage.told(self.clock.now()));
        self.logged = None;
        self.view.send_modify(|view| {
            view.up = true;
            view.session = Some(session.to_owned());
            view.since_ms = self.clock.unix_ms();
            view.since_boot_ms = self.clock.now().as_millis();
            view.fault = None;
        });
        match &outage {
            Some(outage) => tracing::info!(
                relay = %self.relay, session, down_ms = outage.down_ms, attempts = outage.attempts,
                "connected to the relay again"
            ),
            None => tracing::info!(relay = %self.relay, session, "connected to the relay"),
        }
        outage
    }

    /// There is no session, and why. The log hears of each reason once.
    pub(super) fn handle_down(&mut self, failure: &Failure) {
        let text = self.text(failure);
        let reason = failure.to_string();
        match &mut self.outage {
            Some(outage) => outage.last = reason,
            None => {
                let (since, last) = (self.clock.now(), reason.clone());
                // What ends a session is no attempt; what keeps the first one from beginning is.
                let attempts = u32::from(!self.view.borrow().up);
                self.outage = Some(Outage { since, attempts, first: reason, last });
            }
        }
        let told = (failure.stage, failure.fault);
        if self.logged.replace(told) == Some(told) {
            tracing::debug!(relay = %self.relay, stage = %failure.stage, code = failure.fault.code(), "{text}");
        } else {
            tracing::warn!(
                relay = %self.relay, stage = %failure.stage, code = failure.fault.code(),
                help = failure.fault.help(), "{text}"
            );
        }
        self.show_down(Some(FaultView::new(failure.fault, text)));
    }

    /// The agent stops.
    pub(super) fn handle_stop(&mut self) {
        self.show_down(None);
    }

    fn show_down(&mut self, fault: Option<FaultView>) {
        self.view.send_modify(|view| {
            if view.up {
                view.since_ms = self.clock.unix_ms();
                view.since_boot_ms = self.clock.now().as_millis();
            }
            view.up = false;
            view.session = None;
            view.fault = fault;
        });
    }

    fn text(&self, failure: &Failure) -> String {
        let slowly = match failure.retry {
            Retry::Slowly(_) => " (tried again every 5 minutes)",
            Retry::Backoff(_) | Retry::Spread(_) | Retry::At(_) => "",
        };
        format!("{}: {}{slowly}", self.relay.host, failure.text)
    }
}

impl Outage {
    fn told(self, now: Moment) -> LinkSession {
        let reason = match self.first == self.last {
            true => self.first,
            false => format!("{}; then {}", self.first, self.last),
        };
        LinkSession {
            down_ms: u64::try_from(now.since(self.since).as_millis()).unwrap_or(u64::MAX),
            reason: reason.chars().take(REASON_CHARS).collect(),
            attempts: self.attempts,
            extra: Default::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> (Standing, watch::Receiver<LinkView>) {
        let (view, shown) = watch::channel(LinkView::default());
        let relay = "wss://relay.example:8443".parse().unwrap();
        (Standing::new(Clock::start().unwrap(), relay, view), shown)
    }

    #[test]
    fn the_view_names_the_host_and_the_fault() {
        let (mut standing, shown) = standing();
        assert_eq!(shown.borrow().relay.as_deref(), Some("wss://relay.example:8443"));
        standing.handle_down(&Failure::new(Stage::Login, Fault::RelayRevoked, "revoked"));
        let fault = shown.borrow().fault.clone().unwrap();
        assert_eq!(fault.code, "relay.revoked");
        assert!(fault.text.starts_with("relay.example: revoked") && fault.text.contains("5 minutes"));
        standing.handle_up("s1");
        assert!(shown.borrow().up && shown.borrow().fault.is_none());
        standing.handle_stop();
        assert!(!shown.borrow().up && shown.borrow().session.is_none());
    }

    #[test]
    fn an_outage_tells_how_it_began_and_what_kept_it() {
        let (mut standing, _shown) = standing();
        assert_eq!(standing.handle_up("s1"), None);
        standing.handle_down(&Failure::unreachable(Stage::Session, "silent"));
        for _ in 0..2 {
            standing.handle_attempt();
            standing.handle_down(&Failure::unreachable(Stage::Tcp, "refused"));
        }
        standing.handle_attempt();
        let outage = standing.handle_up("s2").unwrap();
        assert_eq!((outage.attempts, outage.reason.as_str()), (3, "session: silent; then tcp: refused"));
        assert_eq!(standing.handle_up("s3"), None);
    }

    #[test]
    fn an_outage_has_no_more_to_say_than_has_room_in_an_event() {
        let (mut standing, _shown) = standing();
        standing.handle_down(&Failure::unreachable(Stage::Tcp, "x".repeat(9_999)));
        let outage = standing.handle_up("s1").unwrap();
        assert_eq!(outage.reason.len(), REASON_CHARS);
    }

    #[test]
    fn attempts_before_the_first_session_count() {
        let (mut standing, _shown) = standing();
        standing.handle_attempt();
        standing.handle_down(&Failure::unreachable(Stage::Name, "unknown"));
        standing.handle_attempt();
        let outage = standing.handle_up("s1").unwrap();
        assert_eq!((outage.attempts, outage.reason.as_str()), (2, "name: unknown"));
    }
}
