//! Leaving: a relay that is about to go spreads those who come back, and holds nobody who has drawn a time to another one.

use std::time::Duration;

use spoolway_agent_core::moment::Moment;
use spoolway_protocol::session::Drain;

use super::super::End;
use super::super::failure::{Failure, Retry, Stage};
use super::Session;

/// The relay asked everybody to leave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    pub(super) at: Moment,
    redial_at: Moment,
}

impl Session<'_> {
    /// Draws the time of the next connection; this one is used for as long as the relay keeps it.
    pub(super) fn drain(&mut self, now: Moment, drain: &Drain) {
        let after_ms = self.jitter.between(0, drain.spread_ms);
        tracing::info!(after_ms, "the relay asks to connect anew");
        let after = |ms| now + Duration::from_millis(ms);
        self.leave = Some(Leave { at: after(after_ms.min(drain.within_ms)), redial_at: after(after_ms) });
    }

    pub(super) fn lost(&self, text: impl Into<String>) -> End {
        self.gone(Failure::unreachable(Stage::Session, text))
    }

    /// After a request to leave, however the session ends, the next one begins at the time that was drawn.
    pub(super) fn gone(&self, failure: Failure) -> End {
        match (self.leave, failure.retry) {
            (Some(leave), Retry::Backoff(_) | Retry::Spread(_)) => {
                End::Lost(Failure { retry: Retry::At(leave.redial_at), ..failure })
            }
            _ => End::Lost(failure),
        }
    }
}
