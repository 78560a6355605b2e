//! What arrived and has no room at the desk yet: it waits here, or comes again by itself.

use spoolway_protocol::session::NackCode;
use tokio::sync::mpsc::error::TrySendError;

use super::Session;
use crate::bus::{HELD, Inbound};

/// Emergency stops that are held beyond [`HELD`], so that their commands are answered.
const STOPS: usize = 16;

impl Session<'_> {
    /// Keeps a message until the desk has room. The socket is read on whatever the desk does, so that an emergency stop is
    /// found behind anything else; what then has no place comes again by itself.
    pub(super) fn hold(&mut self, mut message: Inbound) {
        self.stops.look(&mut message);
        self.deliver();
        let is_stop = matches!(message, Inbound::Command { has_stopped: true, .. });
        if self.held.len() < HELD || is_stop && self.held.len() < HELD + STOPS {
            return self.held.push_back(message);
        }
        match message {
            Inbound::Command { command, .. } => {
                let detail =
                    format!("command {} came while too many others wait; send it again", command.cmd_id);
                let to = self.mint.owner.clone();
                self.lanes.push_control(self.mint.refusal(to, None, NackCode::Busy, detail));
            }
            _ => tracing::debug!("a message was dropped, because the desk has no room for it"),
        }
    }

    /// Hands over what the desk has room for.
    pub(super) fn deliver(&mut self) {
        while let Some(message) = self.held.pop_front() {
            if let Err(TrySendError::Full(message) | TrySendError::Closed(message)) =
                self.ports.inbound.try_send(message)
            {
                return self.held.push_front(message);
            }
        }
    }
}
