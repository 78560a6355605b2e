//! What the streamer must know about one printer, drawn from its profile and its reported capabilities.

use std::time::Duration;

use spoolway_firmware_profiles::flow::{Ack, Window};
use spoolway_firmware_profiles::limits::TemperatureLimits;
use spoolway_firmware_profiles::profile::Emergency;
use spoolway_firmware_profiles::{HostWaits, Profile, Replies, Sequence};

use crate::gcode::Framing;

use super::brake::BrakeOptions;
use super::commands::Commands;
use super::reach::Reach;

/// Number that `M110` sets; the first line after it carries the next one. It is far from 0, so that a firmware that
/// asks for line 1 has certainly been reset, and of four digits, so that a line whose `N` was hit (`M1000 G1 ..`) is no
/// command that any firmware knows.
pub const FIRST_NUMBER: u32 = 1000;

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
    pub blocking: Commands,
    /// Sent when a job is paused, goes on, or is given up.
    pub scripts: Scripts,
    /// How many hot ends there are, as far as the firmware says so when it is asked who it is.
    pub hot_ends: usize,
    /// Stops everything at once.
    pub stop: Option<Signal>,
    /// Ends a wait for a temperature, where the firmware listens while it is blocked.
    pub break_wait: Option<Signal>,
    /// Stops motion and empties the planner, where the firmware listens while it is blocked.
    pub quick_stop: Option<Signal>,
    /// The same where that is a realtime byte, which resets the firmware.
    pub brake: Option<BrakeOptions>,
    /// Stops motion and keeps the planner, and goes on.
    pub hold: Option<(Signal, Signal)>,
    /// Answers a host prompt; `{choice}` stands for the button's number.
    pub prompt_reply: Option<String>,
    /// Asked for temperatures, where they do not come by themselves.
    pub query: Option<Query>,
    /// Whether the agent itself waits for temperatures, and what it asks with when no report comes.
    pub host_waits: Option<Vec<u8>>,
    /// Temperatures that may be asked for.
    pub limits: TemperatureLimits,
    /// Whether the port is to obey XON/XOFF.
    pub xon_xoff: bool,
}

/// A word to a firmware that may be busy: it goes ahead of everything that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// One byte that is taken out of the stream as it arrives.
    Byte(u8),
    /// A line without a number.
    Line(Vec<u8>),
}

impl Signal {
    fn of(text: &str) -> Self {
        Emergency::realtime_byte(text).map_or_else(|| Self::Line(text.as_bytes().to_vec()), Self::Byte)
    }

    /// Appends what goes over the wire.
    pub(super) fn write(&self, out: &mut Vec<u8>, prefix: &[u8]) {
        match self {
            Self::Byte(byte) => out.push(*byte),
            Self::Line(line) => {
                out.extend_from_slice(prefix);
                out.extend_from_slice(line);
                out.push(b'\n');
            }
        }
    }
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
    /// When it is given up, with `{tool}` in lines that are meant for each hot end.
    pub cancel: Vec<String>,
    /// Behind `pause`, with placeholders for the modal state.
    pub park: Vec<String>,
    /// Ahead of `resume`, the same.
    pub unpark: Vec<String>,
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
        let emergency = &profile.emergency;
        let listens = emergency.capability.as_deref().is_none_or(&has);
        let reports = profile.temperature.auto_report.as_ref().is_some_and(|auto| has(&auto.capability));
        let flow = &profile.flow;
        let xon_xoff = flow.xon_xoff && has("SERIAL_XON_XOFF");
        let heard = |text: &Option<String>| text.as_deref().filter(|_| listens).map(Signal::of);
        let asks = !profile.temperature.query.is_empty();
        let waits = match profile.temperature.host_waits {
            HostWaits::Never => false,
            HostWaits::WhenDeaf => !listens,
            HostWaits::Always => true,
        };
        let query = profile.temperature.query.clone().into_bytes();
        Self {
            framing: Framing::from(&profile.framing),
            replies: profile.replies.clone(),
            reach: Reach::of(profile, xon_xoff),
            numbered_acks: flow.window == Window::AdvancedOk || flow.ack == Ack::Received,
            verified: profile.framing.numbered && profile.recovery.sequence == Sequence::Verified,
            history_lines: profile.recovery.history_lines as usize,
            max_line_number: profile.framing.max_line_number,
            max_refusals: profile.recovery.max_refusals,
            max_silent_probes: profile.recovery.max_silent_probes,
            waits: Waits::from(&profile.timeouts),
            blocking: Commands::new(&profile.timeouts.blocking),
            scripts: Scripts {
                pause: lines(&profile.scripts.pause),
                resume: lines(&profile.scripts.resume),
                cancel: profile.scripts.cancel.clone(),
                park: profile.scripts.park.clone(),
                unpark: profile.scripts.unpark.clone(),
            },
            hot_ends: 1,
            stop: emergency.stop.as_deref().map(Signal::of),
            break_wait: heard(&emergency.break_wait),
            quick_stop: heard(&emergency.quick_stop).filter(|signal| matches!(signal, Signal::Line(_))),
            brake: brake(emergency, heard),
            hold: heard(&emergency.hold).zip(heard(&emergency.release)),
            prompt_reply: emergency.prompt_reply.clone(),
            query: (!reports && asks).then(|| Query {
                command: query.clone(),
                interval: millis(profile.temperature.query_interval_ms),
            }),
            host_waits: (waits && asks).then_some(query),
            limits: profile.temperature.limits,
            xon_xoff,
        }
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

/// Only where all of it is known.
fn brake(emergency: &Emergency, heard: impl Fn(&Option<String>) -> Option<Signal>) -> Option<BrakeOptions> {
    let reset = heard(&emergency.quick_stop).filter(|signal| matches!(signal, Signal::Byte(_)))?;
    let (hold, ask) = heard(&emergency.hold).zip(heard(&emergency.ask))?;
    Some(BrakeOptions { hold, ask, standing: emergency.standing.clone(), reset })
}

fn lines(text: &[String]) -> Vec<Vec<u8>> {
    text.iter().map(|line| line.clone().into_bytes()).collect()
}

fn millis(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}
