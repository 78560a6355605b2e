//! What people have sent beside a job: single commands that are judged, and deeds that the agent has put into words itself. Both
//! go out between the lines of a job, and their replies are collected.

use std::collections::VecDeque;

use spoolway_agent_core::Moment;
use spoolway_agent_core::allow::{self, Circumstances, Role};
use spoolway_protocol::Fault;
use tokio::sync::oneshot;
use tracing::info;

use super::conversation::Conversation;
use crate::view::Refusal;

/// Most bytes of replies that are kept; the longest harmless report (`M503`) has about 6,000.
const REPLY_BYTES: usize = 24 * 1024;

/// Where the replies will be.
pub type Replies = oneshot::Receiver<Result<Vec<String>, Refusal>>;

/// When a deed may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeedTime {
    /// While no job is under way.
    Idle,
    /// Between the lines of a job as well.
    Always,
}

#[derive(Debug)]
enum What {
    /// One command as it was typed, and by whom.
    Typed(Role),
    /// Lines by the profile, which the desk has judged.
    Deed(DeedTime),
}

/// What is to be sent, and whoever waits for its replies.
#[derive(Debug)]
pub struct Aside {
    what: What,
    /// What has not been acknowledged.
    left: VecDeque<String>,
    heard: Vec<u8>,
    answer: oneshot::Sender<Result<Vec<String>, Refusal>>,
}

impl Aside {
    /// A command as it was typed, who sends it, and where its replies will be.
    #[must_use]
    pub fn new(role: Role, command: String) -> (Self, Replies) {
        Self::of(What::Typed(role), vec![command])
    }

    /// Lines by the profile: sent with nothing in between, or not at all.
    #[must_use]
    pub fn deed(when: DeedTime, lines: Vec<String>) -> (Self, Replies) {
        Self::of(What::Deed(when), lines)
    }

    fn of(what: What, lines: Vec<String>) -> (Self, Replies) {
        let (answer, replies) = oneshot::channel();
        (Self { what, left: lines.into(), heard: Vec::new(), answer }, replies)
    }

    pub(super) fn hear(&mut self, bytes: &[u8]) {
        let room = REPLY_BYTES - self.heard.len();
        self.heard.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    pub(super) fn refuse(self, fault: Fault, text: impl Into<String>) {
        drop(self.answer.send(Err(Refusal::new(fault, text))));
    }

    fn finish(self) {
        drop(self.answer.send(Ok(replies(&self.heard))));
    }
}

impl Conversation<'_> {
    pub(super) fn send_aside(&mut self, mut aside: Aside) {
        let now = self.bench.clock.now();
        match self.judge_aside(now, &aside) {
            Ok(None) => {}
            Ok(Some(line)) => aside.left = VecDeque::from([line]),
            Err((fault, text)) => return aside.refuse(fault, text),
        }
        let lines: Vec<&[u8]> = aside.left.iter().map(|line| line.as_bytes()).collect();
        match self.streamer.send_asides(&lines) {
            Ok(()) => {
                info!(lines = ?aside.left, what = ?aside.what, "to be sent by hand");
                self.on_guard.guard.handle_by_hand(now);
                self.asides.push_back(aside);
            }
            Err(error) => aside.refuse(super::faults::of_turn(error), error.to_string()),
        }
    }

    /// Takes back what nobody waits for any more, as long as none of it has gone out; whether there was any. A command of which somebody
    /// has been told that it failed is not to act later.
    pub(super) fn take_back(&mut self) -> bool {
        let (streamer, before) = (&mut self.streamer, self.asides.len());
        self.asides.retain(|aside| {
            let lines: Vec<&[u8]> = aside.left.iter().map(|line| line.as_bytes()).collect();
            !(aside.answer.is_closed() && streamer.withdraw_asides(&lines))
        });
        self.asides.len() < before
    }

    /// Whether it may be sent now; what was typed as it is sent.
    fn judge_aside(&self, now: Moment, aside: &Aside) -> Result<Option<String>, (Fault, String)> {
        let is_printing = self.run.as_ref().is_some_and(|run| !run.is_over());
        let role = match aside.what {
            What::Typed(role) => role,
            What::Deed(DeedTime::Idle) if is_printing => {
                return Err((Fault::Busy, "this is only done while no job is under way".to_owned()));
            }
            What::Deed(_) => return Ok(None),
        };
        let profile = &self.known.profile;
        let circumstances = Circumstances {
            role,
            is_printing,
            is_grbl: !profile.framing.numbered,
            maintenance: self.bench.is_maintained(now),
            limits: &profile.temperature.limits,
        };
        let typed = aside.left.front().map_or("", String::as_str);
        let judged = allow::judge(typed, &circumstances);
        judged.map(Some).map_err(|denied| (denied.fault(), denied.to_string()))
    }

    /// A command was acknowledged; older ones that were not are lost, as when the firmware began anew meanwhile.
    pub(super) fn end_aside(&mut self, command: &str) {
        let is_its = |aside: &Aside| aside.left.front().is_some_and(|line| line == command);
        let Some(place) = self.asides.iter().position(is_its) else { return };
        for lost in self.asides.drain(..place) {
            lost.refuse(Fault::FirmwareReset, "the printer began anew before it answered");
        }
        let Some(aside) = self.asides.front_mut() else { return };
        aside.left.pop_front();
        if aside.left.is_empty()
            && let Some(aside) = self.asides.pop_front()
        {
            aside.finish();
        }
    }

    pub(super) fn refuse_asides(&mut self, fault: Fault, text: &str) {
        self.asides.drain(..).for_each(|aside| aside.refuse(fault, text));
    }
}

/// The lines that are not mere acknowledgements, of this command or of lines of a job around it.
fn replies(heard: &[u8]) -> Vec<String> {
    let lines =
        heard.split(|&b| b == b'\n').map(|line| String::from_utf8_lossy(line.trim_ascii()).into_owned());
    lines.filter(|line| !line.is_empty() && !is_bare(line)).collect()
}

/// `ok`, `ok N4 P15 B3`, `ok 12`, `wait`, and the firmware's signs of life.
fn is_bare(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    if lower == "wait" || lower.starts_with("echo:busy:") || lower.starts_with("busy:") {
        return true;
    }
    let Some(rest) = lower.strip_prefix("ok") else { return false };
    rest.split(' ').all(|word| word.trim_start_matches(['n', 'p', 'b']).bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_from_acknowledgements() {
        let heard =
            b"ok\nok N4 P15 B3\necho:busy: processing\nok 12\r\nFIRMWARE_NAME:Marlin\n\nCap:EEPROM:1\n\
            ok T:20.1 /0.0 B:19.8 /0.0\nwait\nok\nhal";
        assert_eq!(
            replies(heard),
            ["FIRMWARE_NAME:Marlin", "Cap:EEPROM:1", "ok T:20.1 /0.0 B:19.8 /0.0", "hal"]
        );
    }

    #[test]
    fn a_flood_of_replies_stays_bounded() {
        let (mut aside, _) = Aside::new(Role::Viewer, "M503".to_owned());
        (0..1_000).for_each(|_| aside.hear(&[b'x'; 999]));
        assert_eq!(aside.heard.len(), REPLY_BYTES);
    }
}
