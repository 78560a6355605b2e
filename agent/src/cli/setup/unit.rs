//! The agent's unit of systemd: whether there is one, and how it is stopped for a moment and started again.
//!
//! Before it is stopped a timer is set that starts it again. So it does not stay stopped when this program is killed or its terminal goes
//! away.

use std::path::PathBuf;
use std::process::Command;

use spoolway_protocol::Fault;

use crate::setup::{Attempt, Complaint};

/// The timer that starts it again.
const GUARD: &str = "spoolway-setup-guard";
/// How long it stays stopped at most: longer than it takes to ask at many ports.
pub(super) const GUARD_MINUTES: u32 = 10;

/// The programs of systemd.
#[derive(Debug)]
pub(super) struct Systemd {
    /// The agent's unit.
    unit: String,
    /// Where they are; else where the system finds them.
    folder: Option<PathBuf>,
}

impl Systemd {
    /// What looks after this unit.
    pub(super) fn of(unit: String) -> Self {
        Self { unit, folder: None }
    }

    /// Whether it knows the agent's unit.
    pub(super) fn is_loaded(&self) -> bool {
        let said = self.run("systemctl", &["show", "--property=LoadState", &self.unit]);
        said.is_ok_and(|said| says_loaded(&said))
    }

    /// Stops the agent, after there is somebody to start it again.
    pub(super) fn stop(&self) -> Attempt<()> {
        self.drop_guard();
        let (unit, after) = (format!("--unit={GUARD}"), format!("--on-active={GUARD_MINUTES}min"));
        self.run("systemd-run", &[&unit, &after, "--collect", "--quiet", "systemctl", "start", &self.unit])?;
        self.run("systemctl", &["stop", &self.unit]).map(drop)
    }

    /// Starts the agent now and with the machine; one that runs is started anew, and keeps the printer's port meanwhile.
    pub(super) fn start(&self) -> Attempt<()> {
        self.run("systemctl", &["enable", "--quiet", &self.unit])?;
        self.run("systemctl", &["restart", &self.unit])?;
        self.drop_guard();
        Ok(())
    }

    /// Takes the timer back, which may be that of a run before, or not be there.
    fn drop_guard(&self) {
        let _ = self.run("systemctl", &["stop", &format!("{GUARD}.timer")]);
    }

    fn run(&self, program: &str, words: &[&str]) -> Attempt<String> {
        let failed = |why: String| {
            let text = format!("`{program} {}` does not do it: {why}", words.join(" "));
            Complaint::of(Fault::AgentUnmanaged, text)
        };
        let path = self.folder.as_ref().map_or_else(|| PathBuf::from(program), |folder| folder.join(program));
        let output = Command::new(path).args(words).output().map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(failed(said.trim().lines().last().unwrap_or("no reason is given").to_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn says_loaded(said: &str) -> bool {
    said.lines().any(|line| line.trim() == "LoadState=loaded")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Programs that note what they are told; the one that is named fails.
    fn played(failing: &str) -> (tempfile::TempDir, Systemd) {
        let dir = tempfile::tempdir().unwrap();
        for program in ["systemctl", "systemd-run"] {
            let verdict = if program == failing { "echo one >&2; echo two >&2; exit 3" } else { "exit 0" };
            let script = format!(
                "#!/bin/sh\necho \"{program} $*\" >> '{}/said'\necho LoadState=loaded\n{verdict}\n",
                dir.path().display()
            );
            // Written by a process of its own: a program that this one has open for writing cannot be started.
            let script_file = dir.path().join("script");
            fs::write(&script_file, script).unwrap();
            let copied = Command::new("cp").arg(&script_file).arg(dir.path().join(program)).status().unwrap();
            assert!(copied.success());
            fs::set_permissions(dir.path().join(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let unit = "spoolway-agent@left.service".to_owned();
        let systemd = Systemd { unit, folder: Some(dir.path().to_owned()) };
        (dir, systemd)
    }

    fn said(dir: &tempfile::TempDir) -> Vec<String> {
        let said = fs::read_to_string(dir.path().join("said")).unwrap_or_default();
        said.lines().map(str::to_owned).collect()
    }

    #[test]
    fn it_is_stopped_only_once_a_timer_will_start_it_again() {
        let (dir, systemd) = played("");
        systemd.stop().unwrap();
        systemd.start().unwrap();
        assert_eq!(
            said(&dir),
            [
                "systemctl stop spoolway-setup-guard.timer",
                "systemd-run --unit=spoolway-setup-guard --on-active=10min --collect --quiet systemctl start spoolway-agent@left.service",
                "systemctl stop spoolway-agent@left.service",
                "systemctl enable --quiet spoolway-agent@left.service",
                "systemctl restart spoolway-agent@left.service",
                "systemctl stop spoolway-setup-guard.timer",
            ]
        );
        let (dir, systemd) = played("systemd-run");
        let complaint = systemd.stop().unwrap_err();
        assert_eq!(complaint.code, "agent.unmanaged");
        assert!(complaint.text.ends_with("does not do it: two"), "{}", complaint.text);
        assert!(!said(&dir).iter().any(|line| line == "systemctl stop spoolway-agent@left.service"));
    }

    #[test]
    fn the_timer_stays_until_the_agent_is_started() {
        let (dir, systemd) = played("systemctl");
        assert!(systemd.start().is_err());
        assert_eq!(said(&dir), ["systemctl enable --quiet spoolway-agent@left.service"]);
    }

    #[test]
    fn a_unit_is_there_when_systemd_has_loaded_it() {
        assert!(played("").1.is_loaded() && !played("systemctl").1.is_loaded());
        assert!(
            !Systemd { folder: Some("/no/such/folder".into()), ..Systemd::of(String::new()) }.is_loaded()
        );
        for said in ["LoadState=not-found\n", "LoadState=masked\n", "", "ActiveState=active\n"] {
            assert!(!says_loaded(said), "{said}");
        }
    }
}
