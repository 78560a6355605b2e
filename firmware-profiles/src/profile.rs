//! The shape of one firmware profile: everything the agent must know about a dialect, as data.

use serde::Deserialize;

use crate::flow::Flow;
use crate::hand::Hand;
use crate::limits::{Machine, TemperatureLimits};
use crate::reply::Replies;

/// One firmware dialect, as a profile file says it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Version of this schema; today always 1.
    pub schema: u32,
    /// Stable lower-case name, equal to the file's stem.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Whether a source or a recorded conversation backs this profile.
    pub status: Status,
    /// Where the facts come from: firmware files, documents, recorded conversations.
    #[serde(default)]
    pub sources: Vec<String>,
    /// How a printer that speaks this dialect is recognised.
    #[serde(default)]
    pub identify: Identify,
    /// How the port is opened.
    pub serial: Serial,
    /// How a command becomes bytes.
    pub framing: Framing,
    /// How much may be on its way before a reply comes.
    pub flow: Flow,
    /// What the firmware says, and what it means.
    pub replies: Replies,
    /// What the firmware guarantees, and how a fault is mended.
    pub recovery: Recovery,
    /// How long what may take.
    pub timeouts: Timeouts,
    /// How a firmware that is busy can still be reached.
    #[serde(default)]
    pub emergency: Emergency,
    /// Commands sent by the agent itself at the turns of a job.
    #[serde(default)]
    pub scripts: Scripts,
    /// What may be asked of the machine while it prints nothing.
    #[serde(default)]
    pub hand: Hand,
    /// Temperature reporting and its limits.
    pub temperature: Temperature,
    /// What a file is held against before it is printed.
    #[serde(default)]
    pub machine: Machine,
}

/// Whether a profile is backed by evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// A firmware source or a recorded conversation backs it.
    Verified,
    /// Neither: it runs with one line in flight whatever its flow says.
    Unverified,
}

/// How a printer that speaks this dialect is recognised. Texts match at the start, without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identify {
    /// Lines printed after a reset that only this dialect prints (`Grbl 1.1`).
    #[serde(default)]
    pub banners: Vec<String>,
    /// Beginnings of the `FIRMWARE_NAME` value of M115.
    #[serde(default)]
    pub firmware_names: Vec<String>,
    /// Beginnings of the `MACHINE_TYPE` value of M115; when given, one must match as well.
    #[serde(default)]
    pub machine_types: Vec<String>,
    /// Capabilities (`Cap:NAME:1`) that must all be on.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// USB ids of the port, `vendor:product` in small hexadecimal digits (`1d50:6029`); when given, one must match as well.
    #[serde(default)]
    pub usb: Vec<String>,
    /// Among several that match, the greatest wins.
    #[serde(default)]
    pub priority: i32,
}

/// How the port is opened.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serial {
    /// Rates to try, in bits per second, the likeliest first.
    pub bauds: Vec<u32>,
    /// Whether the board may reset when the port is opened (DTR).
    pub resets_on_open: bool,
    /// How long to wait for a boot banner before speaking, in milliseconds.
    pub boot_wait_ms: u32,
    /// Whether the port is opened with odd parity once before it is opened with none: some USB adapters keep the parity of
    /// the program before.
    #[serde(default)]
    pub parity_workaround: bool,
}

/// How a command becomes bytes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Framing {
    /// What is sent ahead of every command (Flashforge: `~`).
    #[serde(default)]
    pub prefix: String,
    /// Whether lines carry `N<n>` numbers.
    pub numbered: bool,
    /// The check that closes a numbered line.
    pub checksum: Checksum,
    /// Longest line the firmware takes, in bytes, with number and checksum, without the line feed.
    pub max_line_bytes: u32,
    /// Greatest line number; numbering starts anew before it is reached (65535 where only 16 bits are compared).
    pub max_line_number: u32,
}

impl Framing {
    /// Longest command that still fits a line, in bytes, when prefix, the greatest number and checksum are added.
    #[must_use]
    pub fn max_command_bytes(&self) -> u32 {
        let number = if self.numbered {
            // `N`, the digits, a space.
            self.max_line_number.checked_ilog10().unwrap_or(0) + 3
        } else {
            0
        };
        let checksum = match self.checksum {
            Checksum::None => 0,
            // `*255`
            Checksum::Xor8 => 4,
        };
        let prefix = u32::try_from(self.prefix.len()).unwrap_or(u32::MAX);
        self.max_line_bytes.saturating_sub(prefix).saturating_sub(number + checksum)
    }
}

/// The check that closes a numbered line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checksum {
    /// None at all.
    None,
    /// `*` and the decimal XOR of all bytes before it.
    Xor8,
}

/// What the firmware guarantees, and how a fault is mended.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// Whether the firmware refuses a line whose number is not the one it expects.
    pub sequence: Sequence,
    /// What the firmware does with a numbered line that it has already accepted.
    pub duplicate: Duplicate,
    /// Lines kept for being sent again.
    pub history_lines: u32,
    /// How often one line may be refused in a row before the job is given up.
    pub max_refusals: u32,
    /// How many probes in a row may stay without any sign of life before the job is given up.
    pub max_silent_probes: u32,
    /// How a print that was interrupted can be continued; left out: it cannot, as far as is known.
    #[serde(default)]
    pub print: PrintRecovery,
}

/// How a print that was interrupted can be continued once the printer has forgotten where it is. The default is that it
/// cannot.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrintRecovery {
    /// Homes the axes that can be homed without touching a part on the bed (`G28 X Y`).
    #[serde(default)]
    pub home: Vec<String>,
    /// Homes the height away from the part, on machines whose end stop is not at the bed. Left out on all others.
    #[serde(default)]
    pub home_z: Vec<String>,
    /// Tells the firmware at which height the nozzle is, without moving it; `{z}` stands for the height in millimetres
    /// (`G92 Z{z}`). Left out where the firmware does not move on from a height that it was told.
    #[serde(default)]
    pub set_z: Option<String>,
    /// How far the nozzle is raised above the part before it moves to the side, in millimetres.
    #[serde(default)]
    pub lift_mm: f64,
    /// Filament pushed out where the axes were homed, so that the nozzle is full again, in millimetres.
    #[serde(default)]
    pub prime_mm: f64,
    /// Turns the stored compensation of the bed on, where the file had the bed measured.
    #[serde(default)]
    pub level: Vec<String>,
    /// Whether another tool than the first may be selected over a part.
    #[serde(default)]
    pub tools: bool,
    /// What a person can do where the agent does not continue a print by itself.
    #[serde(default)]
    pub by_hand: Option<String>,
}

impl PrintRecovery {
    /// What may stand in braces in `set_z`.
    pub const HEIGHT: &str = "z";

    /// Whether there is any way to know the height again.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        self.set_z.is_some() || !self.home_z.is_empty()
    }
}

/// Whether the firmware checks that line numbers follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sequence {
    /// It does: a lost line is always noticed and a repeated one never executed.
    Verified,
    /// It does not: a time-out with lines on their way is never guessed away.
    Unverified,
}

/// What the firmware does with a numbered line that it has already accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicate {
    /// Refuses it and names the line it expects (Marlin, Prusa).
    Refused,
    /// Acknowledges and drops it (Repetier).
    Skipped,
    /// Executes it again.
    Executed,
}

/// How long what may take, in milliseconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// Without any line from a firmware that should be talking, it is asked whether it still has our lines.
    pub silence_ms: u32,
    /// The same once the firmware has been seen to print `busy` while it works.
    pub silence_with_busy_ms: u32,
    /// For a command listed in `blocking`, while the firmware prints nothing at all.
    pub blocking_ms: u32,
    /// How long to wait for the reply that follows a `Resend` or a probe.
    pub resend_ms: u32,
    /// How long replies must have been quiet before a refused line is sent again.
    pub settle_ms: u32,
    /// Commands that may block for long.
    #[serde(default)]
    pub blocking: Vec<String>,
}

/// How a firmware that is busy can still be reached.
///
/// A text of exactly one character, neither ASCII letter, digit nor white space, is a realtime byte (see
/// [`Emergency::realtime_byte`]);
/// every other text is a command line.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emergency {
    /// Capability that says that the commands below act while the queue is blocked; left out: they always do.
    #[serde(default)]
    pub capability: Option<String>,
    /// Stops everything at once (`M112`, or a realtime byte written `\u0018`).
    #[serde(default)]
    pub stop: Option<String>,
    /// Ends a wait for a temperature or for a person (`M108`).
    #[serde(default)]
    pub break_wait: Option<String>,
    /// Stops motion and empties the planner (`M410`). A realtime byte resets the firmware, so it is only sent once the machine
    /// stands: it needs `hold`, `ask` and `standing`.
    #[serde(default)]
    pub quick_stop: Option<String>,
    /// Asks where the machine is, as a realtime byte (`?`).
    #[serde(default)]
    pub ask: Option<String>,
    /// How the answer to `ask` begins when the machine stands (`<Hold:0`).
    #[serde(default)]
    pub standing: Vec<String>,
    /// Feed hold and resume as realtime bytes (`!`, `~`).
    #[serde(default)]
    pub hold: Option<String>,
    /// See `hold`.
    #[serde(default)]
    pub release: Option<String>,
    /// Whether a DTR pulse resets the board as a last resort.
    #[serde(default)]
    pub dtr_reset: bool,
    /// Answers a host prompt; `{choice}` stands for the number of the button, from 0 (`M876 S{choice}`).
    #[serde(default)]
    pub prompt_reply: Option<String>,
}

impl Emergency {
    /// The byte to write, alone and without a line feed, when `text` is a realtime command; `None` when it is a line.
    ///
    /// Characters stand for the byte of the same number, so `\u0084` is the single byte 0x84 (grbl 1.1
    /// `realtime commands`) and not its UTF-8 form.
    #[must_use]
    pub fn realtime_byte(text: &str) -> Option<u8> {
        let mut characters = text.chars();
        let (first, None) = (characters.next()?, characters.next()) else { return None };
        let ordinary = first.is_ascii_alphanumeric() || first.is_ascii_whitespace();
        if ordinary { None } else { u8::try_from(first).ok() }
    }
}

/// Commands sent by the agent itself at the turns of a job.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scripts {
    /// After the port has been identified.
    #[serde(default)]
    pub connect: Vec<String>,
    /// When a job is paused.
    #[serde(default)]
    pub pause: Vec<String>,
    /// Before a paused job goes on.
    #[serde(default)]
    pub resume: Vec<String>,
    /// Behind `pause`: takes the head away from the part. Left out as a whole when a placeholder in it or in `unpark` is
    /// unknown: `{x}`, `{y}`, `{z}` and `{e}` are where the job stands, `{f}` is its feed rate, `{positioning}` its `G90` or
    /// `G91`, `{extruder}` its `M82` or `M83`.
    #[serde(default)]
    pub park: Vec<String>,
    /// Ahead of `resume`, when the head was parked: takes it back and restores the modes of the job.
    #[serde(default)]
    pub unpark: Vec<String>,
    /// When a job is cancelled or was interrupted: leaves the machine safe (heaters, fan and steppers off). A line with
    /// `{tool}` is sent once for each hot end, and not at all where there is only one.
    pub cancel: Vec<String>,
}

impl Scripts {
    /// What may stand in braces in `park` and `unpark`. What is put there is at most 12 characters long.
    pub const PLACEHOLDERS: [&str; 7] = ["x", "y", "z", "e", "f", "positioning", "extruder"];
    /// What may stand in braces in `cancel`: the number of a hot end.
    pub const TOOL: &str = "tool";
}

/// Temperature reporting and its limits.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Temperature {
    /// Command that is asked for a report (`M105`).
    pub query: String,
    /// Shortest time between two queries, in milliseconds.
    pub query_interval_ms: u32,
    /// Reports that come by themselves, where the firmware has them.
    #[serde(default)]
    pub auto_report: Option<AutoReport>,
    /// Whether the agent itself waits for temperatures, so that a pause or a cancel acts at once during a heat-up.
    #[serde(default)]
    pub host_waits: HostWaits,
    /// What may be asked for.
    pub limits: TemperatureLimits,
}

/// Who waits for a temperature that a job asks to be waited for: `M109` then becomes `M104` and `M190` becomes `M140`, and the
/// lines behind them are held back until the reports say that it has been reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostWaits {
    /// The firmware.
    #[default]
    Never,
    /// The agent, where the firmware does not listen while it waits.
    WhenDeaf,
    /// The agent.
    Always,
}

/// Reports that come by themselves.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoReport {
    /// Capability that must be on.
    pub capability: String,
    /// Command that turns the reports on (`M155 S2`).
    pub command: String,
}
