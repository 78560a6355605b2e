//! The agent's unit of systemd: whether there is one, and how it is stopped for a moment and started again.
//!
//! Before it is stopped a timer is set that starts it again. So it does not stay stopped when this program is killed or its terminal goes
//! away.

use std::process::Command;

use spoolway_protocol::Fault;

use crate::setup::{Attempt, Complaint};

/// The unit.
const UNIT: &str = "spoolway-agent.service";
/// The timer that starts it again.
const GUARD: &str = "spoolway-setup-guard";
/// How long it stays stopped at most: longer than it takes to ask at many ports.
pub(super) const GUARD_MINUTES: u32 = 10;

/// Whether systemd knows the unit.
pub(super) fn is_loaded() -> bool {
    let said = run("systemctl", &["show", "--property=LoadState", UNIT]);
    said.is_ok_and(|said| says_loaded(&said))
}

fn says_loaded(said: &str) -> bool {
    said.lines().any(|line| line.trim() == "LoadState=loaded")
}

/// Stops it, after there is somebody to start it again.
pub(super) fn stop() -> Attempt<()> {
    // That of a run before, which has not been over for long.
    let _ = run("systemctl", &["stop", &format!("{GUARD}.timer")]);
    let (unit, after) = (format!("--unit={GUARD}"), format!("--on-active={GUARD_MINUTES}min"));
    run("systemd-run", &[&unit, &after, "--collect", "--quiet", "systemctl", "start", UNIT])?;
    run("systemctl", &["stop", UNIT]).map(drop)
}

/// Starts it now and with the machine; one that runs is started anew, and keeps the printer's port meanwhile.
pub(super) fn start() -> Attempt<()> {
    run("systemctl", &["enable", "--quiet", UNIT])?;
    run("systemctl", &["restart", UNIT])?;
    let _ = run("systemctl", &["stop", &format!("{GUARD}.timer")]);
    Ok(())
}

fn run(program: &str, words: &[&str]) -> Attempt<String> {
    let failed = |why: String| {
        Complaint::of(Fault::AgentUnmanaged, format!("`{program} {}` does not do it: {why}", words.join(" ")))
    };
    let output = Command::new(program).args(words).output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(said.trim().lines().last().unwrap_or("no reason is given").to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_there_when_systemd_has_loaded_it() {
        assert!(says_loaded("LoadState=loaded\n"));
        for said in ["LoadState=not-found\n", "LoadState=masked\n", "", "ActiveState=active\n"] {
            assert!(!says_loaded(said), "{said}");
        }
    }

    #[test]
    fn what_a_program_says_of_its_failure_is_told() {
        let missing = run("/no/such/program", &["a"]).unwrap_err();
        assert!(missing.text.contains("`/no/such/program a`"), "{}", missing.text);
        let failed = run("sh", &["-c", "echo one >&2; echo two >&2; exit 3"]).unwrap_err();
        assert!(failed.text.ends_with("does not do it: two"), "{}", failed.text);
        assert_eq!(run("sh", &["-c", "echo yes"]).unwrap(), "yes\n");
    }
}
