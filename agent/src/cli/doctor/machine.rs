//! Everything at this machine, in the order in which it is mended: each thing is looked at within a bound, and then judged.

use std::path::PathBuf;

use super::report::Step;
use super::sources::within;
use super::{Failure, Spoken, access, disk, ports, power, printer, service, settings, trouble};
use crate::config::Loaded;
use access::Meant;
use service::Unit;

/// Where the facts are.
pub(super) struct Sources {
    root: PathBuf,
    systemctl: PathBuf,
    /// The unit that starts the agent that is meant; none where it is not the system's.
    unit: Option<String>,
}

impl Sources {
    pub(super) fn of_this_machine(unit: Option<String>) -> Self {
        Self { root: "/".into(), systemctl: "systemctl".into(), unit }
    }
}

/// Looks at all of it. What needs a configuration is left out where that cannot be used.
pub(super) fn steps(
    from: &Sources,
    loaded: Result<&Loaded, &Failure>,
    spoken: Result<&Spoken, &Failure>,
) -> Vec<Step> {
    let unit = unit(from);
    let said = spoken.ok();
    let mut steps = vec![settings::config(loaded)];
    if let Ok(loaded) = loaded {
        steps.push(profile(loaded));
    }
    steps.push(match &from.unit {
        Some(name) => service::service(unit.as_ref(), name, said.is_some()),
        None => Step::skipped("service", "another agent is meant than the system's"),
    });
    steps.push(version(from, said, unit.as_ref()));
    if let Ok(loaded) = loaded {
        steps.extend(at_port(from, loaded, said, unit.as_ref()));
    }
    steps.push(printer::printer(spoken.map(|spoken| &spoken.status)));
    steps.extend(computer(from));
    if let Ok(loaded) = loaded {
        steps.extend(disks(from, loaded, said));
    }
    steps
}

/// What has not answered in time.
fn late(step: &'static str) -> Step {
    Step::warning(
        step,
        "the system has not answered in time",
        "Ask again. What hangs on is broken, or is a disk in a network that is away.",
    )
}

fn unit(from: &Sources) -> Option<Unit> {
    let (root, systemctl, name) = (from.root.clone(), from.systemctl.clone(), from.unit.clone()?);
    within(move || service::look(&root, &systemctl, &name))?
}

fn profile(loaded: &Loaded) -> Step {
    let (folder, choice) = (loaded.config.profiles.folder.clone(), loaded.config.printer.profile.clone());
    let found = within(move || settings::look(folder.as_deref(), &choice));
    found.map_or_else(|| late("profile"), |profiles| settings::profile(&profiles))
}

fn version(from: &Sources, said: Option<&Spoken>, unit: Option<&Unit>) -> Step {
    let root = from.root.clone();
    let (running, pid) = (said.map(|said| said.status.version.clone()), pid(said, unit));
    let found = within(move || service::versions(&root, running, pid));
    let name = from.unit.as_deref().unwrap_or(service::UNIT);
    found.map_or_else(|| late("version"), |versions| service::version(&versions, name))
}

/// The agent's process.
fn pid(said: Option<&Spoken>, unit: Option<&Unit>) -> Option<u32> {
    said.and_then(|said| said.pid).or_else(|| unit?.pid)
}

fn at_port(from: &Sources, loaded: &Loaded, said: Option<&Spoken>, unit: Option<&Unit>) -> Vec<Step> {
    let (root, choice) = (from.root.clone(), loaded.config.printer.port.clone());
    // An agent that has its printer knows best where it is.
    let printer = said.map(|said| &said.status.printer).filter(|printer| printer.firmware.is_some());
    let used = printer.map(|printer| PathBuf::from(&printer.port));
    let Some(found) = within(move || ports::look(&root, &choice, used.as_deref())) else {
        return vec![late("port")];
    };
    let mut steps = vec![ports::there(&found)];
    let Some(port) = found.meant else {
        steps.extend(["access", "holder", "driver", "usb"].map(|step| Step::skipped(step, "no port")));
        return steps;
    };
    let meant = match pid(said, unit) {
        Some(pid) => Meant::Process(pid),
        None if unit.is_some() => Meant::System,
        None => Meant::Me,
    };
    let (root, device) = (from.root.clone(), port.device.clone());
    match within(move || access::look(&root, &device, meant)).flatten() {
        Some(access) => steps.extend([access::allowed(&access), access::holder(&access)]),
        None => steps.push(late("access")),
    }
    let root = from.root.clone();
    match within(move || trouble::look(&root, &port)) {
        Some(behind) => steps.extend([trouble::driver(&behind), trouble::usb(&behind)]),
        None => steps.push(late("driver")),
    }
    steps
}

fn computer(from: &Sources) -> Vec<Step> {
    let root = from.root.clone();
    let power = within(move || power::look(&root));
    power.map_or_else(|| vec![late("power")], |power| vec![power::supply(power), power::heat(power)])
}

fn disks(from: &Sources, loaded: &Loaded, said: Option<&Spoken>) -> Vec<Step> {
    let (root, folder) = (from.root.clone(), loaded.config.state_dir.clone());
    let reserve_bytes = loaded.config.spool.reserve_bytes;
    let storage = said.and_then(|said| said.status.storage.as_ref());
    let mut steps = match within(move || disk::look(&root, &folder, reserve_bytes)) {
        Some(found) => vec![disk::room(&found, storage), disk::file_system(&found)],
        None => vec![late("disk")],
    };
    steps.push(disk::writes(storage));
    steps
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::Exit;
    use super::super::super::status::tests::full;
    use super::super::report::{Report, Verdict};
    use super::super::sources::tests::Tree;
    use super::*;
    use crate::config::{Flag, load};
    use crate::paths::Paths;

    /// A Raspberry Pi with a board on which all is well.
    fn good() -> Tree {
        let tree = Tree::new();
        tree.plug("ttyUSB0", "1-1.2", "1a86:7523", "ch341-uart");
        tree.file("sys/class/tty/ttyUSB0/dev", "188:0\n");
        tree.link("dev/serial/by-path/platform-usb-0:1.2:1.0-port0", "../../ttyUSB0");
        tree.file("proc/700/status", "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n");
        tree.file("proc/700/comm", "spoolway-agent\n");
        tree.link("proc/700/fd/9", "/dev/ttyUSB0");
        tree.link("proc/700/exe", "/usr/bin/spoolway-agent");
        tree.file("proc/self/mountinfo", "1 0 179:2 / / rw - ext4 /dev/root rw\n");
        tree.link("sys/dev/block/179:2", "../../devices/block/mmcblk0/mmcblk0p2");
        tree.file("sys/fs/ext4/mmcblk0p2/errors_count", "0\n");
        tree.file("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n");
        tree.file("sys/class/thermal/thermal_zone0/temp", "48312\n");
        tree.file("run/systemd/system/x", "");
        tree
    }

    fn settings(dir: &Path) -> Loaded {
        let folder = || dir.to_owned();
        let paths = Paths { config: folder(), state: folder(), runtime: folder() };
        // The disk of the test has room for this.
        let reserve = Flag { key: "spool.reserve_bytes".into(), value: "1".into() };
        load(&paths, None, std::iter::empty(), &[reserve]).unwrap()
    }

    fn spoken() -> Spoken {
        let mut status = full();
        status.version = env!("CARGO_PKG_VERSION").to_owned();
        status.printer.port = "/dev/ttyUSB0".into();
        status.printer.alarms.clear();
        if let Some(storage) = &mut status.storage {
            storage.fault = None;
        }
        Spoken { id: "7Z".into(), status, pid: Some(700) }
    }

    fn look(tree: &Tree, loaded: Result<&Loaded, &Failure>, spoken: Result<&Spoken, &Failure>) -> Vec<Step> {
        // It says back what it is asked, which is no state of a unit.
        let from = Sources {
            root: tree.root().to_owned(),
            systemctl: "/bin/echo".into(),
            unit: Some(service::UNIT.into()),
        };
        steps(&from, loaded, spoken)
    }

    fn verdict(steps: &[Step], name: &str) -> Verdict {
        steps.iter().find(|step| step.step == name).unwrap().verdict
    }

    fn names(steps: &[Step]) -> Vec<&'static str> {
        steps.iter().map(|step| step.step).collect()
    }

    #[test]
    fn a_machine_on_which_all_is_well_is_told_line_by_line() {
        let (tree, dir) = (good(), tempfile::tempdir().unwrap());
        let (loaded, spoken) = (settings(dir.path()), spoken());
        let steps = look(&tree, Ok(&loaded), Ok(&spoken));
        assert_eq!(
            names(&steps),
            [
                "config",
                "profile",
                "service",
                "version",
                "port",
                "access",
                "holder",
                "driver",
                "usb",
                "printer",
                "power",
                "heat",
                "disk",
                "filesystem",
                "writes"
            ]
        );
        for step in steps.iter().filter(|step| step.step != "service") {
            assert_eq!(step.verdict, Verdict::Ok, "{step:?}");
        }
        assert_eq!(verdict(&steps, "service"), Verdict::Skipped);
    }

    #[test]
    fn one_thing_that_is_wrong_is_one_line_and_the_others_are_looked_at() {
        let (tree, dir) = (good(), tempfile::tempdir().unwrap());
        let loaded = settings(dir.path());
        tree.file("proc/812/comm", "octoprint\n");
        tree.link("proc/812/fd/4", "/dev/ttyUSB0");
        tree.file("sys/devices/platform/soc/soc:firmware/get_throttled", "10001\n");
        let away = Failure::new(Exit::Unavailable, "no agent answers", None, "Start it.");
        let steps = look(&tree, Ok(&loaded), Err(&away));
        let bad: Vec<_> = steps.iter().filter(|step| step.verdict > Verdict::Skipped).collect();
        let bad: Vec<_> = bad.iter().map(|step| (step.step, step.verdict)).collect();
        // Without an agent its process is a stranger as well.
        assert_eq!(
            bad,
            [("holder", Verdict::Failed), ("printer", Verdict::Warning), ("power", Verdict::Warning)]
        );
        let failure = Report::of(None, steps).show(true, &mut Vec::new()).unwrap_err();
        assert_eq!((failure.code(), failure.exit()), (Some("port.busy"), Exit::Unavailable));
    }

    #[test]
    fn without_a_port_nothing_behind_it_is_looked_at_and_without_a_configuration_the_rest_is() {
        let dir = tempfile::tempdir().unwrap();
        let loaded = settings(dir.path());
        let away = Failure::new(Exit::Unavailable, "no agent answers", None, "Start it.");
        let steps = look(&Tree::new(), Ok(&loaded), Err(&away));
        assert_eq!(verdict(&steps, "port"), Verdict::Failed);
        for name in ["access", "holder", "driver", "usb"] {
            assert_eq!(verdict(&steps, name), Verdict::Skipped, "{name}");
        }
        let broken = Failure::of(spoolway_protocol::Fault::ConfigBroken, "line 3");
        let steps = look(&good(), Err(&broken), Err(&away));
        assert_eq!(names(&steps), ["config", "service", "version", "printer", "power", "heat"]);
        let failure = Report::of(None, steps).show(true, &mut Vec::new()).unwrap_err();
        assert_eq!((failure.code(), failure.exit()), (Some("config.broken"), Exit::Configuration));
    }

    #[test]
    fn the_operators_page_has_every_step() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operate.md");
        let page = std::fs::read_to_string(page).unwrap();
        let rows = page.lines().skip_while(|line| !line.starts_with("| step | ")).skip(2);
        let rows = rows.take_while(|line| line.starts_with("| `"));
        let listed: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
        let (tree, dir) = (good(), tempfile::tempdir().unwrap());
        let (loaded, spoken) = (settings(dir.path()), spoken());
        let mut steps = names(&look(&tree, Ok(&loaded), Ok(&spoken)));
        steps.push("clock");
        assert_eq!(listed, steps);
    }

    #[test]
    fn what_does_not_answer_in_time_is_told_and_no_failure() {
        let step = late("disk");
        assert_eq!((step.verdict, step.help.is_some()), (Verdict::Warning, true));
    }
}
