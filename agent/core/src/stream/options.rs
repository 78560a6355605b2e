//! What the streamer must know about one printer, drawn from its profile and its reported capabilities.

use std::time::Duration;

use spoolway_firmware_profiles::flow::{Ack, Window as Rule};
use spoolway_firmware_profiles::profile::Status;
use spoolway_firmware_profiles::{Profile, Replies, Sequence};

use crate::gcode::Framing;
use crate::gcode::line::is_command;

/// Number that `M110` sets; the first line after it carries the next one. It is far from 0, so that a firmware that
/// asks for line 1 has certainly been reset, and of four digits, so that a line whose `N` was hit (`M1000 G1 ..`) is no
/// command that any firmware knows.
pub const FIRST_NUMBER: u32 = 1000;

/// How far a window reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Un-acknowledged bytes, everything counted, at most.
    pub bytes: usize,
    /// Un-acknowledged lines at most.
    pub lines: usize,
}

/// Everything the streamer needs to know.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    /// How commands become bytes.
    pub framing: Framing,
    /// How replies are read.
    pub replies: Replies,
    /// How far the window reaches.
    pub reach: Reach,
    /// Whether an acknowledgement's line number names the line that it acknowledges.
    pub numbered_acks: bool,
    /// Whether the firmware refuses a line that does not follow the last one.
    pub verified: bool,
    /// Lines kept for being sent again.
    pub history_lines: usize,
    /// Greatest line number.
    pub max_line_number: u32,
    /// How often one line may be refused in a row.
    pub max_refusals: u32,
    /// How many probes in a row may stay without any sign of life.
    pub max_silent_probes: u32,
    /// Time-outs.
    pub waits: Waits,
    /// Commands that may block for long.
    pub blocking: Vec<Vec<u8>>,
    /// Sent when a job is paused, goes on, or is given up.
    pub scripts: Scripts,
    /// Stops everything at once.
    pub stop: Option<Vec<u8>>,
    /// Ends a wait for a temperature, where the firmware listens while it is blocked.
    pub break_wait: Option<Vec<u8>>,
    /// Stops motion and empties the planner, where the firmware listens while it is blocked.
    pub quick_stop: Option<Vec<u8>>,
    /// Asked for temperatures, where they do not come by themselves.
    pub query: Option<Query>,
}

/// Time-outs; see the profile's own words.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// Silence before a probe.
    pub silence: Duration,
    /// The same once `busy` has been seen.
    pub silence_with_busy: Duration,
    /// The same while a blocking command runs.
    pub blocking: Duration,
    /// For the reply that follows a request or a probe.
    pub resend: Duration,
    /// Quiet before a refused line is sent again.
    pub settle: Duration,
}

/// Commands at the turns of a job.
#[derive(Debug, Clone, Default)]
pub struct Scripts {
    /// When it is paused.
    pub pause: Vec<Vec<u8>>,
    /// Before it goes on.
    pub resume: Vec<Vec<u8>>,
    /// When it is given up.
    pub cancel: Vec<Vec<u8>>,
}

/// A question that is asked again and again.
#[derive(Debug, Clone)]
pub struct Query {
    /// The command.
    pub command: Vec<u8>,
    /// Shortest time between two.
    pub interval: Duration,
}

impl StreamOptions {
    /// Draws the options from a profile; `has` tells whether the firmware reported a capability as on.
    #[must_use]
    pub fn from_profile(profile: &Profile, has: impl Fn(&str) -> bool) -> Self {
        let listens = profile.emergency.capability.as_deref().is_none_or(&has);
        let reports = profile.temperature.auto_report.as_ref().is_some_and(|auto| has(&auto.capability));
        let flow = &profile.flow;
        Self {
            framing: Framing::from(&profile.framing),
            replies: profile.replies.clone(),
            reach: reach(profile),
            numbered_acks: flow.window == Rule::AdvancedOk || flow.ack == Ack::Received,
            verified: profile.framing.numbered && profile.recovery.sequence == Sequence::Verified,
            history_lines: profile.recovery.history_lines as usize,
            max_line_number: profile.framing.max_line_number,
            max_refusals: profile.recovery.max_refusals,
            max_silent_probes: profile.recovery.max_silent_probes,
            waits: Waits::from(&profile.timeouts),
            blocking: lines(&profile.timeouts.blocking),
            scripts: Scripts {
                pause: lines(&profile.scripts.pause),
                resume: lines(&profile.scripts.resume),
                cancel: lines(&profile.scripts.cancel),
            },
            stop: profile.emergency.stop.clone().map(String::into_bytes),
            break_wait: profile.emergency.break_wait.clone().filter(|_| listens).map(String::into_bytes),
            quick_stop: profile.emergency.quick_stop.clone().filter(|_| listens).map(String::into_bytes),
            query: (!reports && !profile.temperature.query.is_empty()).then(|| Query {
                command: profile.temperature.query.clone().into_bytes(),
                interval: millis(profile.temperature.query_interval_ms),
            }),
        }
    }

    /// Whether a command may block for long.
    pub(super) fn is_blocking(&self, command: &[u8]) -> bool {
        self.blocking.iter().any(|word| is_command(command, word))
    }
}

/// Rules that widen a window beyond the ring keep to the ring: never wrong, at worst slower.
fn reach(profile: &Profile) -> Reach {
    let flow = &profile.flow;
    let ring = flow.rx_bytes.saturating_sub(1) as usize;
    let lines = flow.max_lines.max(1) as usize;
    match flow.window {
        _ if profile.status == Status::Unverified => Reach { bytes: ring, lines: 1 },
        Rule::OneLine => Reach { bytes: ring, lines: 1 },
        Rule::Bytes
        | Rule::BytesAndQueue
        | Rule::AdvancedOk
        | Rule::CharacterCount
        | Rule::UsbBackPressure => Reach { bytes: ring, lines },
    }
}

impl From<&spoolway_firmware_profiles::profile::Timeouts> for Waits {
    fn from(timeouts: &spoolway_firmware_profiles::profile::Timeouts) -> Self {
        Self {
            silence: millis(timeouts.silence_ms),
            silence_with_busy: millis(timeouts.silence_with_busy_ms),
            blocking: millis(timeouts.blocking_ms),
            resend: millis(timeouts.resend_ms),
            settle: millis(timeouts.settle_ms),
        }
    }
}

fn lines(text: &[String]) -> Vec<Vec<u8>> {
    text.iter().map(|line| line.clone().into_bytes()).collect()
}

fn millis(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}
