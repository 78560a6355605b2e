//! The service manager: what it is told of the agent, the printer's port that it keeps for the next process, and whether
//! there will be a next one (`sd_notify(3)`, `sd_listen_fds(3)`).

use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use sd_notify::NotifyState;
use spoolway_protocol::telemetry::Readings;
use tokio::process::Command;
use tracing::{debug, warn};

use crate::printer::inherit;

/// The port's name among the descriptors that are kept.
const PORT: &str = "printer";
/// Longest wait for systemd to say what it is about to do.
const PATIENCE: Duration = Duration::from_secs(2);

/// The local socket answers and the printer is looked after: who waits for the agent may go on.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// How often the service manager wants to hear that the agent is alive, if it does: twice within its patience, and once more.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    let mut patience_us = 0;
    let is_watched = sd_notify::watchdog_enabled(false, &mut patience_us);
    is_watched.then(|| Duration::from_micros(patience_us) / 3).filter(|interval| !interval.is_zero())
}

/// The agent is alive, and how it goes, for whoever asks the service manager; every user of the machine may.
pub(crate) fn alive(readings: &Readings) {
    notify(&[NotifyState::Watchdog, NotifyState::Status(&in_a_line(readings))]);
}

fn in_a_line(readings: &Readings) -> String {
    let state = readings.state.as_ref().map_or_else(|| "starting".to_owned(), ToString::to_string);
    let whole = readings.pct.map_or_else(String::new, |percent| format!(", {percent:.0} % of the print"));
    state + &whole
}

/// From now on it only tidies up.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Keeps this port open, in the place of any other.
pub(crate) fn keep_port(line: BorrowedFd<'_>) {
    release_port();
    told(sd_notify::notify_with_fds(false, &[NotifyState::FdStore, NotifyState::FdName(PORT)], &[line]));
}

/// The port is gone: nobody need keep it any more.
pub(crate) fn release_port() {
    notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(PORT)]);
}

/// The port among the descriptors that were kept for this process.
pub(crate) fn inherited_port() -> Option<OwnedFd> {
    let kept = sd_notify::listen_fds_with_names(false).map_err(|error| warn!(%error, "descriptors")).ok()?;
    let (descriptor, _) = kept.into_iter().find(|(_, name)| name == PORT)?;
    debug!("the port was kept open by the service manager");
    Some(inherit(descriptor))
}

/// Whether the port stays open until another process takes it over. systemd says so when it restarts the agent, and not
/// when it stops it for good, for a shutdown too; another manager that keeps ports is taken at its word.
pub(crate) async fn will_go_on() -> bool {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return false;
    }
    let cgroup = own_cgroup();
    let Some(unit) = cgroup.as_deref().and_then(unit_of) else { return true };
    match asked(&unit, &["list-jobs", "--no-legend", "--plain"]).await {
        Ok(jobs) => is_restarted(&jobs, unit.name),
        Err(error) => {
            warn!(%error, "systemd does not say whether the agent is to start again; it is taken to be");
            true
        }
    }
}

/// Whether the agent is started again when it ends with a failure. A manager that is not systemd and keeps ports is taken to do
/// so.
pub(crate) async fn starts_again() -> bool {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return false;
    }
    let Some(cgroup) = own_cgroup() else { return true };
    let Some(unit) = unit_of(&cgroup) else { return true };
    match asked(&unit, &["show", "--property=Restart", "--value"]).await {
        Ok(word) => restarts_after_failure(word.trim()),
        Err(error) => {
            warn!(%error, "systemd does not say whether the agent would be started again; it is taken not to be");
            false
        }
    }
}

/// What `Restart=` says (`systemd.service(5)`).
fn restarts_after_failure(word: &str) -> bool {
    matches!(word, "always" | "on-failure")
}

/// The control group, if systemd has started this very process.
fn own_cgroup() -> Option<String> {
    let is_systemd = std::env::var("SYSTEMD_EXEC_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    std::fs::read_to_string("/proc/self/cgroup").ok().filter(|_| is_systemd)
}

/// What systemd says of a unit (`systemctl(1)`). A stop is told to every process of the unit, so a
/// question that was asked too early is taken along and has to be asked again.
async fn asked(unit: &Unit<'_>, words: &[&str]) -> std::io::Result<String> {
    let asked = async {
        loop {
            let mut command = Command::new("systemctl");
            command.args(unit.is_of_a_user.then_some("--user"));
            command.args(words).arg(unit.name).kill_on_drop(true);
            let output = command.output().await?;
            if output.status.signal().is_none() {
                return Ok::<_, std::io::Error>(output);
            }
        }
    };
    let output = tokio::time::timeout(PATIENCE, asked).await??;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(std::io::Error::other(format!("{}: {said}", output.status)))
    }
}

/// A unit of systemd.
#[derive(Debug, PartialEq)]
struct Unit<'a> {
    name: &'a str,
    is_of_a_user: bool,
}

/// The unit that a process belongs to, by its control group (`cgroups(7)`).
fn unit_of(cgroup: &str) -> Option<Unit<'_>> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    let name = path.rsplit('/').find(|name| name.ends_with(".service"))?;
    Some(Unit { name, is_of_a_user: path.starts_with("/user.slice/") })
}

/// Lines of number, unit, kind and state. A restart that has been taken in hand is called so until the old process is gone.
fn is_restarted(jobs: &str, unit: &str) -> bool {
    jobs.lines().any(|job| {
        let mut words = job.split_whitespace().skip(1);
        words.next() == Some(unit) && matches!(words.next(), Some("restart" | "try-restart" | "start"))
    })
}

/// Without a service manager nothing happens.
fn notify(state: &[NotifyState<'_>]) {
    told(sd_notify::notify(false, state));
}

fn told(result: std::io::Result<()>) {
    if let Err(error) = result {
        warn!(%error, "the service manager does not listen");
    }
}

#[cfg(test)]
mod tests {
    use spoolway_protocol::printer::PrinterState;

    use super::*;

    #[test]
    fn a_line_says_how_it_goes_and_names_no_file() {
        let line = |state, pct| in_a_line(&Readings { state, pct, ..Readings::default() });
        assert_eq!(line(None, None), "starting");
        assert_eq!(line(Some(PrinterState::Idle), None), "idle");
        assert_eq!(line(Some(PrinterState::Printing), Some(41.6)), "printing, 42 % of the print");
    }

    #[test]
    fn a_unit_is_known_by_its_control_group() {
        let system = "0::/system.slice/spoolway-agent.service\n";
        assert_eq!(unit_of(system), Some(Unit { name: "spoolway-agent.service", is_of_a_user: false }));
        let instance =
            "1:name=systemd:/\n0::/system.slice/system-spoolway.slice/spoolway-agent@left.service\n";
        assert_eq!(unit_of(instance).unwrap().name, "spoolway-agent@left.service");
        let user = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/spoolway-agent.service\n";
        assert_eq!(unit_of(user), Some(Unit { name: "spoolway-agent.service", is_of_a_user: true }));
        assert_eq!(unit_of("0::/user.slice/user-1000.slice/session-2.scope\n"), None);
        assert_eq!(unit_of(""), None);
    }

    #[test]
    fn only_some_units_are_started_again_after_a_failure() {
        for (word, is_started) in
            [("always", true), ("on-failure", true), ("no", false), ("on-success", false), ("", false)]
        {
            assert_eq!(restarts_after_failure(word), is_started, "{word}");
        }
    }

    #[test]
    fn only_a_restart_goes_on() {
        let unit = "spoolway-agent.service";
        let job = |kind: &str| format!("1203 {unit} {kind} running\n");
        assert!(is_restarted(&job("restart"), unit) && is_restarted(&job("start"), unit));
        assert!(!is_restarted(&job("stop"), unit), "stopped, or the machine is shut down");
        assert!(!is_restarted("", unit), "a signal that somebody sent");
        assert!(!is_restarted("7 other.service restart running\n", unit));
    }
}
