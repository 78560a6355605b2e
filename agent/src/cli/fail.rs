//! What went wrong, told in one block: what and where, the stable code, what to try; and the exit code for it.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use spoolway_protocol::Fault;

use super::Whereabouts;
use super::paint::{Paint, plain, wrap};
use crate::config::{KeepError, LoadConfigError};
use crate::explain;
use crate::explain::program::{ALREADY_RUNNING, UNREACHABLE};
use crate::identity::OpenIdentityError;
use crate::local::{BindSocketError, LockStateError, TalkError};
use crate::view::Refusal;

/// How a command ends when it does not end well; the numbers are those of sysexits.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It was tried and failed.
    Runtime = 1,
    /// It was asked for in the wrong way.
    Usage = 64,
    /// The agent or a device is not there.
    Unavailable = 69,
    /// The configuration is wrong.
    Configuration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    text: String,
    code: Option<String>,
    help: String,
    is_silent: bool,
}

impl Failure {
    /// A failure with its words.
    #[must_use]
    pub fn new(exit: Exit, text: impl Into<String>, code: Option<String>, help: impl Into<String>) -> Self {
        Self { exit, text: text.into(), code, help: help.into(), is_silent: false }
    }

    /// A failure that has a fault.
    #[must_use]
    pub fn of(fault: Fault, text: impl Into<String>) -> Self {
        Self::new(exit_of(Some(fault)), text, Some(fault.code().to_owned()), fault.help())
    }

    pub(super) fn homeless() -> Self {
        Self::new(
            Exit::Configuration,
            "there is no place for the agent's files: HOME is not set",
            Some(Fault::ConfigBroken.code().to_owned()),
            "Set HOME, or start the agent with systemd, which says where files go.",
        )
    }

    /// A file of the system's agent is closed to this user.
    pub(super) fn not_of_the_group(file: &str) -> Self {
        Self::new(
            Exit::Configuration,
            format!("{file} is what this machine's agent goes by, and this user may not read it"),
            None,
            "Say it as root (`sudo spoolway-agent ...`), or join the agent's group (`sudo usermod -aG spoolway $USER`) and log in again.",
        )
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    pub(super) fn help(&self) -> &str {
        &self.help
    }

    /// Whether the reader has simply gone, as `head` does; that is no failure.
    pub(super) fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// The same, with what is to be typed as it is typed for this agent.
    pub(super) fn named(self, whereabouts: &Whereabouts) -> Self {
        Self { text: whereabouts.typed(&self.text), help: whereabouts.typed(&self.help), ..self }
    }

    /// Prints the block on standard error.
    pub(super) fn print(&self) {
        let paint = Paint::of(&io::stderr());
        // Nobody is left to hear that standard error is gone.
        let _ = io::Write::write_all(&mut io::stderr().lock(), self.block(paint).as_bytes());
    }

    fn block(&self, paint: Paint) -> String {
        let code = self.code.as_ref().map_or_else(String::new, |code| format!(" [{code}]"));
        // Whoever reads a log searches it for whole sentences; a terminal has its width.
        let width = if io::stderr().is_terminal() { 80 - 7 } else { usize::MAX };
        let text = format!("{}{code}", self.text);
        let lines: Vec<_> = text.lines().flat_map(|line| wrap(&plain(line), width)).collect();
        let mut block = format!("{} {}\n", paint.red("error:"), lines.join("\n       "));
        if !self.help.is_empty() {
            block.push_str(&format!(
                "{} {}\n",
                paint.bold("  try:"),
                wrap(&plain(&self.help), 80 - 7).join("\n       ")
            ));
        }
        if let Some(code) = self.code.as_ref().filter(|code| explain::is_known(code)) {
            block.push_str(&format!("{} `spoolway-agent explain {code}`\n", paint.bold(" more:")));
        }
        block
    }
}

/// The exit code that a fault calls for.
pub(super) fn exit_of(fault: Option<Fault>) -> Exit {
    match fault {
        Some(Fault::ConfigBroken | Fault::ProfileBad | Fault::ProfileUnknown | Fault::EnrolRefused) => {
            Exit::Configuration
        }
        Some(
            Fault::PortMissing
            | Fault::PortBusy
            | Fault::PortPermission
            | Fault::PortLost
            | Fault::PrinterEstopUnsent
            | Fault::FirmwareSilent
            | Fault::NetworkDns
            | Fault::NetworkTcp
            | Fault::ProxyUnreachable
            | Fault::RelayUnreachable,
        ) => Exit::Unavailable,
        _ => Exit::Runtime,
    }
}

impl From<LoadConfigError> for Failure {
    fn from(error: LoadConfigError) -> Self {
        let mut failure = Self::of(Fault::ConfigBroken, error.to_string());
        if let LoadConfigError::Read { .. } = error {
            failure.help = "Name a file that exists and that this user may read.".to_owned();
        }
        failure
    }
}

impl From<KeepError> for Failure {
    fn from(error: KeepError) -> Self {
        let help = match &error {
            KeepError::Changed(_) => "Look at what it says now, and say it again.",
            KeepError::Held(_) => "Go on with the other command, or end it first.",
            KeepError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "Say it as root (`sudo spoolway-agent ...`)."
            }
            KeepError::Io { .. } => "Look at the disk and at who may write there.",
        };
        Self::new(Exit::Runtime, error.to_string(), None, help)
    }
}

impl From<TalkError> for Failure {
    fn from(error: TalkError) -> Self {
        let text = error.to_string();
        let unreachable =
            |help| Self::new(Exit::Unavailable, text.clone(), Some(UNREACHABLE.to_owned()), help);
        match error {
            TalkError::Unreachable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                unreachable(
                    "Join the group that owns the socket (usually `sudo usermod -aG spoolway $USER`, then log in again), or use sudo.",
                )
            }
            TalkError::Unreachable { .. } => unreachable(
                "Start the agent (`sudo systemctl start spoolway-agent`, or `spoolway-agent run`), or name its socket with --socket.",
            ),
            TalkError::Broken { .. } => {
                unreachable("Look at the agent's log (`journalctl -u spoolway-agent`) and ask again.")
            }
            TalkError::Strange { .. } => {
                Self::new(Exit::Runtime, text, None, "Use the version of this program that the agent runs.")
            }
            TalkError::Refused(fault) => {
                Self::new(exit_of(Fault::from_code(&fault.code)), fault.text, Some(fault.code), fault.help)
            }
        }
    }
}

impl From<OpenIdentityError> for Failure {
    fn from(error: OpenIdentityError) -> Self {
        Self::new(Exit::Runtime, error.to_string(), None, error.help())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let is_silent = error.kind() == io::ErrorKind::BrokenPipe;
        Self {
            is_silent,
            ..Self::new(Exit::Runtime, format!("the output cannot be written: {error}"), None, "")
        }
    }
}

impl From<anyhow::Error> for Failure {
    /// The agent's own end; the errors that an operator can mend say how.
    fn from(error: anyhow::Error) -> Self {
        let mut failure = error.chain().find_map(known).unwrap_or_else(|| {
            let help = "Look at the lines of the log before this one (`journalctl -u spoolway-agent`).";
            Self::new(Exit::Runtime, "", None, help)
        });
        failure.text = format!("{error:#}");
        failure
    }
}

/// What is to be said of a cause that has advice of its own.
fn known(cause: &(dyn std::error::Error + 'static)) -> Option<Failure> {
    let runtime = |code: Option<&str>, help: &str| {
        Some(Failure::new(Exit::Runtime, cause.to_string(), code.map(str::to_owned), help))
    };
    if let Some(refusal) = cause.downcast_ref::<Refusal>() {
        return Some(Failure::of(refusal.fault, cause.to_string()));
    }
    if let Some(error) = cause.downcast_ref::<OpenIdentityError>() {
        return runtime(None, &error.help());
    }
    if let Some(LockStateError::Taken { .. }) = cause.downcast_ref() {
        let help = "Use the agent that runs (`spoolway-agent status`), or give this one a folder and a socket of its own.";
        return runtime(Some(ALREADY_RUNNING), help);
    }
    match cause.downcast_ref::<BindSocketError>()? {
        BindSocketError::Taken(_) => runtime(
            Some(ALREADY_RUNNING),
            "Use the agent that runs (`spoolway-agent status`), or give this one a socket of its own with --socket.",
        ),
        BindSocketError::NotASocket(_) => {
            runtime(None, "Remove the file, or choose another socket with --socket.")
        }
        BindSocketError::Io { .. } => {
            runtime(None, "Choose a short path in a folder that this user may write, with --socket.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_says_what_code_and_what_to_try() {
        let failure = Failure::of(Fault::PortMissing, "/dev/ttyUSB0 is not there\x1b[2J");
        let block = failure.block(Paint::none());
        let mut lines = block.lines();
        assert_eq!(lines.next(), Some("error: /dev/ttyUSB0 is not there?[2J [port.missing]"));
        assert!(lines.next().unwrap().starts_with("  try: Switch the printer on"));
        assert!(block.lines().all(|line| line.chars().count() <= 80), "{block}");
        assert!(block.ends_with("\n more: `spoolway-agent explain port.missing`\n"), "{block}");
        let newer = Failure::new(Exit::Runtime, "no", Some("of.tomorrow".to_owned()), "Wait.");
        assert_eq!(newer.block(Paint::none()), "error: no [of.tomorrow]\n  try: Wait.\n");
        assert_eq!(failure.exit(), Exit::Unavailable);
    }

    #[test]
    fn the_agents_own_end_is_told_by_its_cause() {
        use anyhow::Context as _;
        let refusal: anyhow::Result<()> = Err(Refusal::new(Fault::ProfileUnknown, "no profile `x`").into());
        let failure = Failure::from(refusal.context("the agent cannot start").unwrap_err());
        assert_eq!(failure.exit(), Exit::Configuration);
        assert_eq!(failure.text, "the agent cannot start: no profile `x`");
        assert_eq!(failure.code.as_deref(), Some("profile.unknown"));
    }
}
