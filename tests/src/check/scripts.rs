//! What a host may say beside the job: its own questions, and the scripts of the profile.

use spoolway_firmware_profiles::{HostWaits, Profile};

use crate::printer::Executed;

/// Questions and settings of the host; none of them moves or heats anything.
const HOST_COMMANDS: [&[u8]; 10] =
    [b"M105", b"M110", b"M113", b"M115", b"M118", b"M155", b"M555", b"M601", b"M876", b"$I"];

/// What may stand between the lines of a job.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Whether lines carry numbers, so that one without is noise.
    pub numbered: bool,
    /// Whether the host waits for temperatures.
    pub host_waits: bool,
    /// Sent when a job is given up.
    pub cancel: Vec<String>,
    /// Sent when a job is paused or goes on: each up to its first placeholder. Empty when nobody paused.
    pub pause: Vec<String>,
}

impl Rules {
    /// The rules of a profile; `paused` says whether the job was paused at all.
    #[must_use]
    pub fn of(profile: &Profile, paused: bool) -> Self {
        let scripts = &profile.scripts;
        let around = [&scripts.pause, &scripts.park, &scripts.unpark, &scripts.resume];
        let pause = around.into_iter().flatten().filter(|_| paused);
        Self {
            numbered: profile.framing.numbered,
            host_waits: profile.temperature.host_waits != HostWaits::Never,
            cancel: scripts.cancel.clone(),
            pause: pause.map(|line| line.split('{').next().unwrap_or_default().to_owned()).collect(),
        }
    }

    /// Whether a line that was carried out can be of the host at all.
    #[must_use]
    pub fn is_of_host(&self, line: &Executed) -> bool {
        !self.numbered || line.number.is_some()
    }

    /// Whether this is a question or a setting of the host.
    #[must_use]
    pub fn is_host_command(text: &[u8]) -> bool {
        HOST_COMMANDS.iter().any(|word| {
            text.strip_prefix(*word).is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_digit))
        })
    }

    /// Whether this belongs to the cancel script: from its first line on nothing else may come.
    #[must_use]
    pub fn is_cancel_script(&self, text: &[u8]) -> bool {
        self.cancel.iter().any(|line| line.as_bytes() == text)
    }

    /// Whether this belongs to a script around a pause.
    #[must_use]
    pub fn is_pause_script(&self, text: &[u8]) -> bool {
        // A line that is nothing but a placeholder restores a mode.
        let modes = [&b"G90"[..], b"G91", b"M82", b"M83"];
        self.pause.iter().any(|line| match line.as_bytes() {
            b"" => modes.contains(&text),
            line => text.starts_with(line),
        })
    }
}
