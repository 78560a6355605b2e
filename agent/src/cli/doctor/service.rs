//! The agent's process: who looks after it, and whether it is the program that lies on the disk.

use std::path::Path;
use std::process::Command;

use spoolway_protocol::Fault;

use super::report::Step;
use super::sources::text;

/// The unit of the only agent of a machine.
pub(super) const UNIT: &str = "spoolway-agent.service";
/// What is asked of systemd.
const PROPERTIES: &str = "--property=LoadState,ActiveState,SubState,UnitFileState,NRestarts,Result,MainPID";
/// Is there where systemd runs (sd_booted(3)).
const BOOTED: &str = "run/systemd/system";

/// As it is typed.
fn short(name: &str) -> &str {
    name.trim_end_matches(".service")
}

fn read_log(name: &str) -> String {
    let name = short(name);
    format!("Read why: `journalctl -u {name} -n 50`, then `sudo systemctl start {name}`.")
}

fn restart(name: &str) -> String {
    format!("Start it anew: `sudo systemctl restart {}`; a print goes on.", short(name))
}

/// What systemd says of the unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unit {
    load: String,
    active: String,
    sub: String,
    file: String,
    result: String,
    restarts: u64,
    /// The agent's process, while it runs.
    pub(super) pid: Option<u32>,
}

/// Asks systemd; `None` where it does not run or does not answer.
pub(super) fn look(root: &Path, systemctl: &Path, name: &str) -> Option<Unit> {
    root.join(BOOTED).exists().then_some(())?;
    let output = Command::new(systemctl).args(["show", PROPERTIES, name]).output().ok()?;
    output.status.success().then(|| read(&String::from_utf8_lossy(&output.stdout)))
}

fn read(said: &str) -> Unit {
    let mut unit = Unit::default();
    for (key, value) in said.lines().filter_map(|line| line.split_once('=')) {
        match key {
            "LoadState" => unit.load = value.to_owned(),
            "ActiveState" => unit.active = value.to_owned(),
            "SubState" => unit.sub = value.to_owned(),
            "UnitFileState" => unit.file = value.to_owned(),
            "Result" => unit.result = value.to_owned(),
            "NRestarts" => unit.restarts = value.parse().unwrap_or(0),
            "MainPID" => unit.pid = value.parse().ok().filter(|pid| *pid != 0),
            _ => {}
        }
    }
    unit
}

/// How the unit does. `answers`: an agent does, whoever has started it.
pub(super) fn service(unit: Option<&Unit>, name: &str, answers: bool) -> Step {
    let Some(unit) = unit else { return Step::skipped("service", "systemd does not say anything of it") };
    if unit.load != "loaded" {
        let text = format!("systemd has no unit of it that it can use ({})", unit.load);
        return Step::skipped("service", text);
    }
    match (unit.active.as_str(), unit.sub.as_str()) {
        ("active", _) => active(unit, short(name)),
        (_, "auto-restart") => {
            let text =
                format!("it ends again and again ({}); started anew {} times", unit.result, unit.restarts);
            Step::failed("service", Fault::AgentUnmanaged, text).with_help(read_log(name))
        }
        ("activating" | "reloading", _) => {
            Step::warning("service", "it is being started", "Ask again in a moment.")
        }
        _ if answers => Step::skipped("service", "the agent that answers was not started by systemd"),
        ("failed", _) => {
            let text = format!("it has failed ({}), and nothing starts it again", unit.result);
            Step::failed("service", Fault::AgentUnmanaged, text).with_help(read_log(name))
        }
        (state, _) => {
            let help = format!("Start it: `sudo systemctl enable --now {}`.", short(name));
            Step::failed("service", Fault::AgentUnmanaged, format!("it does not run ({state})"))
                .with_help(help)
        }
    }
}

fn active(unit: &Unit, name: &str) -> Step {
    if unit.restarts > 0 {
        let text = format!("it runs, and had to be started anew {} times", unit.restarts);
        let help = format!("Read why it has ended: `journalctl -u {name} -p warning`.");
        return Step::warning("service", text, help);
    }
    if unit.file == "disabled" {
        let help = format!("Have it started with the machine: `sudo systemctl enable {name}`.");
        return Step::warning("service", "it runs, and will not after the next start of this machine", help);
    }
    Step::ok("service", "it runs, and has never ended by itself")
}

/// Programs and the system they run on.
#[derive(Debug, Clone, Default)]
pub(super) struct Versions {
    /// Of the agent that runs.
    pub(super) running: Option<String>,
    /// Of this program.
    here: String,
    /// Whether the file of the running program is not on the disk any more; `None` where that is not shown.
    is_replaced: Option<bool>,
    system: Vec<String>,
}

/// Reads what runs. `pid` is the agent's.
pub(super) fn versions(root: &Path, running: Option<String>, pid: Option<u32>) -> Versions {
    let exe = pid.and_then(|pid| std::fs::read_link(root.join(format!("proc/{pid}/exe"))).ok());
    let release = text(&root.join("etc/os-release")).unwrap_or_default();
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let kernel = text(&root.join("proc/sys/kernel/osrelease")).map(|kernel| format!("Linux {kernel}"));
    let model = text(&root.join("proc/device-tree/model"));
    let model = model.map(|model| model.trim_end_matches('\0').to_owned());
    Versions {
        running,
        here: env!("CARGO_PKG_VERSION").to_owned(),
        is_replaced: exe.map(|exe| is_deleted(&exe)),
        system: [pretty.map(|name| name.trim_matches('"').to_owned()), kernel, model]
            .into_iter()
            .flatten()
            .collect(),
    }
}

/// How the kernel marks a file that was taken away under a process (proc_pid_exe(5)).
fn is_deleted(exe: &Path) -> bool {
    exe.to_string_lossy().ends_with(" (deleted)")
}

/// Whether what runs is what is installed.
pub(super) fn version(versions: &Versions, name: &str) -> Step {
    let Versions { running, here, is_replaced, system } = versions;
    let system = system.iter().map(|part| format!(", {part}")).collect::<String>();
    match running {
        Some(running) if running != here => {
            let text = format!("the agent that runs is {running}, and the program here is {here}{system}");
            Step::warning("version", text, restart(name))
        }
        Some(running) if *is_replaced == Some(true) => {
            let text = format!(
                "the agent that runs ({running}) has been replaced on the disk since it was started{system}"
            );
            Step::warning("version", text, restart(name))
        }
        _ => Step::ok("version", format!("{here}{system}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::super::sources::tests::Tree;
    use super::*;

    fn unit(active: &str, sub: &str, more: &str) -> Unit {
        read(&format!("LoadState=loaded\nActiveState={active}\nSubState={sub}\nResult=exit-code\n{more}"))
    }

    #[test]
    fn each_state_of_the_unit_is_told() {
        for (unit, answers, verdict, part) in [
            (unit("active", "running", "NRestarts=0\nUnitFileState=enabled\n"), true, Verdict::Ok, "it runs"),
            (unit("active", "running", "NRestarts=3\n"), true, Verdict::Warning, "anew 3 times"),
            (unit("active", "running", "UnitFileState=disabled\n"), true, Verdict::Warning, "next start"),
            (unit("activating", "start", ""), false, Verdict::Warning, "being started"),
            (
                unit("activating", "auto-restart", "NRestarts=9\n"),
                false,
                Verdict::Failed,
                "(exit-code); started anew 9",
            ),
            (unit("failed", "failed", ""), false, Verdict::Failed, "failed (exit-code)"),
            (unit("inactive", "dead", ""), false, Verdict::Failed, "does not run (inactive)"),
            (unit("inactive", "dead", ""), true, Verdict::Skipped, "not started by systemd"),
            (read("LoadState=not-found\n"), true, Verdict::Skipped, "not-found"),
        ] {
            let step = service(Some(&unit), "spoolway-agent@left.service", answers);
            assert_eq!(step.verdict, verdict, "{step:?}");
            assert!(step.text.contains(part), "{step:?}");
            let is_failed = verdict == Verdict::Failed;
            assert_eq!(step.code.as_deref(), is_failed.then_some("agent.unmanaged"), "{step:?}");
            assert_eq!(
                step.help.is_some(),
                matches!(verdict, Verdict::Failed | Verdict::Warning),
                "{step:?}"
            );
        }
        assert_eq!(service(None, UNIT, true).verdict, Verdict::Skipped);
    }

    #[test]
    fn systemd_is_asked_only_where_it_runs() {
        let tree = Tree::new();
        let echo = Path::new("/bin/echo");
        assert_eq!(look(tree.root(), echo, UNIT), None);
        tree.file("run/systemd/system/x", "");
        assert!(look(tree.root(), echo, UNIT).is_some_and(|unit| unit.pid.is_none()));
        assert_eq!(look(tree.root(), Path::new("/bin/false"), UNIT), None);
        assert_eq!(look(tree.root(), Path::new("/no/such/program"), UNIT), None);
        assert_eq!(read("MainPID=700\n").pid, Some(700));
        assert_eq!(read("MainPID=0\n").pid, None);
    }

    #[test]
    fn an_agent_that_is_not_the_installed_one_is_told() {
        let tree = Tree::new();
        tree.file("etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n");
        tree.file("proc/sys/kernel/osrelease", "6.1.21-v8+\n");
        tree.file("proc/device-tree/model", "Raspberry Pi 3 Model B\0");
        tree.link("proc/700/exe", "/usr/bin/spoolway-agent");
        tree.link("proc/701/exe", "/usr/bin/spoolway-agent (deleted)");
        let here = || Some(env!("CARGO_PKG_VERSION").to_owned());
        for (running, pid, verdict, part) in [
            (here(), Some(700), Verdict::Ok, "Debian GNU/Linux 12, Linux 6.1.21-v8+, Raspberry Pi 3 Model B"),
            (here(), Some(701), Verdict::Warning, "replaced on the disk"),
            (Some("0.0.1".to_owned()), Some(700), Verdict::Warning, "runs is 0.0.1"),
            (None, None, Verdict::Ok, env!("CARGO_PKG_VERSION")),
        ] {
            let step = version(&versions(tree.root(), running, pid), UNIT);
            assert_eq!(step.verdict, verdict, "{step:?}");
            assert!(step.text.contains(part), "{step:?}");
            assert_eq!(step.help.is_some(), verdict == Verdict::Warning, "{step:?}");
        }
    }
}
