//! The machine as it is: apt, dpkg and systemd by their own programs, agents by their sockets. No shell is in between.

use std::fs::{self, DirBuilder};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, flock};
use spoolway_protocol::printer::PrinterState;

use super::apply::{ApplyError, Places, RESTARTS, Updater};
use super::machine::{Health, Machine, Said, Seat};
use crate::config::load;
use crate::local::words::{Request, UpdateAction};
use crate::local::{Client, TalkError};
use crate::paths::{Instance, Paths, unit};

/// The package.
const PACKAGE: &str = "spoolway-agent";
/// Where it has its program.
const PROGRAM: &str = "/usr/bin/spoolway-agent";
/// Where the state folders of all agents are.
const STATES: &str = "/var/lib";
const OWN: &str = "/var/lib/spoolway-update";
/// This program, while an update is in hand.
const UPDATER: &str = "/var/lib/spoolway-update/updater";
const CACHE: &str = "/var/cache/spoolway-update";
/// Longest wait for what only asks or fetches, in seconds.
const PATIENCE_S: &str = "600";
/// Agents are looked at this often while packages are changed.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A package manager has so long before an agent that ends again and again is taken out of its way; ours waits for a minute by itself.
const SCRIPTS: Duration = Duration::from_secs(180);
/// An agent has so long to answer.
const ANSWER: Duration = Duration::from_secs(15);
/// Another package manager is waited for so long.
const LOCK: &str = "DPkg::Lock::Timeout=300";

/// Installs what the agents of this machine have asked for, as root.
///
/// # Errors
/// [`ApplyError`].
pub fn run() -> Result<(), ApplyError> {
    if !rustix::process::geteuid().is_root() {
        return Err(ApplyError::NotRoot);
    }
    let failed = |path: &str, source| ApplyError::Io { path: path.into(), source };
    DirBuilder::new().recursive(true).mode(0o755).create(OWN).map_err(|error| failed(OWN, error))?;
    DirBuilder::new().recursive(true).mode(0o700).create(CACHE).map_err(|error| failed(CACHE, error))?;
    let folder = fs::File::open(OWN).map_err(|error| failed(OWN, error))?;
    // One at a time; whoever comes second finds nothing left.
    flock(&folder, FlockOperation::LockExclusive).map_err(|error| failed(OWN, error.into()))?;
    let places = Places { state: OWN.into(), cache: CACHE.into() };
    Updater { machine: &Debian, places }.work()
}

/// This machine.
struct Debian;

impl Machine for Debian {
    fn seats(&self) -> Vec<Seat> {
        let folders = fs::read_dir(STATES).into_iter().flatten().flatten();
        let names = folders.filter_map(|folder| folder.file_name().into_string().ok());
        let instances = names.filter_map(|name| name.strip_prefix("spoolway@")?.parse::<Instance>().ok());
        let several = instances.map(|name| seat(&Paths::of_instance(&name), Some(&name)));
        std::iter::once(seat(&Paths::of_system(), None)).chain(several).collect()
    }

    fn ask(&self, seat: &Seat, action: UpdateAction) -> Said {
        match shown(&seat.unit, "ActiveState").as_deref() {
            Some("inactive" | "failed") => return Said::Away,
            Some("active") => {}
            state => return Said::Nothing(format!("it is {}", state.unwrap_or("in no state that is known"))),
        }
        let answer = talk(seat).and_then(|mut agent| agent.update(&Request::Update { action }));
        match answer {
            Ok(_) => Said::Yes,
            Err(TalkError::Refused(fault)) => Said::No { code: fault.code, text: fault.text },
            Err(error) => Said::Nothing(error.to_string()),
        }
    }

    fn health(&self, seat: &Seat) -> Option<Health> {
        let state = shown(&seat.unit, "ActiveState")?;
        if matches!(state.as_str(), "inactive" | "failed") {
            return None;
        }
        let number = |name| shown(&seat.unit, name).and_then(|text| text.parse::<u32>().ok());
        let mut health = Health {
            pid: None,
            restarts: restarts(&seat.unit),
            linked: false,
            printer: false,
            lacks: format!("{} is {state}", seat.unit),
        };
        let Some(pid) = number("MainPID").filter(|pid| *pid != 0 && state == "active") else {
            return Some(health);
        };
        // The file of a version that was replaced is "(deleted)".
        if fs::read_link(format!("/proc/{pid}/exe")).ok().as_deref() != Some(Path::new(PROGRAM)) {
            health.lacks = format!("{} does not run {PROGRAM} as it is installed", seat.unit);
            return Some(health);
        }
        match talk(seat).and_then(|mut agent| agent.status()) {
            Err(error) => health.lacks = format!("{} does not answer: {error}", seat.unit),
            Ok(status) => {
                health.pid = Some(pid);
                health.linked = status.link.up;
                let away = [PrinterState::Offline, PrinterState::Connecting];
                health.printer = !away.contains(&status.printer.state);
            }
        }
        Some(health)
    }

    fn installed(&self) -> Option<String> {
        let said =
            run_program("dpkg-query", &["-W", "-f", "${db:Status-Status} ${Version}", PACKAGE]).ok()?;
        said.strip_prefix("installed ").map(|version| version.trim().to_owned())
    }

    fn is_wanted(&self) -> bool {
        let said = run_program("dpkg-query", &["-W", "-f", "${db:Status-Want}", PACKAGE]);
        said.is_ok_and(|want| matches!(want.trim(), "install" | "hold"))
    }

    fn refresh(&self) -> Result<(), String> {
        let network = [
            // A source that is not reached is no mere warning.
            "-o",
            "APT::Update::Error-Mode=any",
            "-o",
            "Acquire::Retries=2",
            "-o",
            "Acquire::http::Timeout=60",
            "-o",
            "Acquire::https::Timeout=60",
        ];
        run_program(
            "timeout",
            &[&[PATIENCE_S, "apt-get", "-q", "-o", LOCK], &network[..], &["update"]].concat(),
        )
        .map(drop)
    }

    fn newest(&self) -> Option<String> {
        candidate(&run_program("apt-cache", &["policy", PACKAGE]).ok()?)
    }

    fn is_newer(&self, version: &str, than: &str) -> bool {
        run_program("dpkg", &["--compare-versions", version, "gt", than]).is_ok()
    }

    fn fetch(&self, version: &str, folder: &Path) -> Result<PathBuf, String> {
        let package = folder.join(format!("{PACKAGE}_{}.deb", version.replace(':', "%3a")));
        if describes(&package, version) {
            return Ok(package);
        }
        let part = folder.join("part");
        let said = |error: std::io::Error| error.to_string();
        drop(fs::remove_dir_all(&part));
        // The cache is closed to all but root, so to apt's own user as well; signature and digest are looked at in any case.
        DirBuilder::new().recursive(true).mode(0o755).create(&part).map_err(said)?;
        let wanted = format!("{PACKAGE}={version}");
        let apt =
            [PATIENCE_S, "apt-get", "-q", "-o", LOCK, "-o", "APT::Sandbox::User=root", "download", &wanted];
        run_in(&part, "timeout", &apt)?;
        let mut files = fs::read_dir(&part).map_err(said)?.flatten().map(|file| file.path());
        let file = files.next().ok_or("apt-get has fetched nothing")?;
        if !describes(&file, version) {
            return Err(format!("what apt-get has fetched is not {wanted}"));
        }
        fs::File::open(&file).and_then(|file| file.sync_all()).map_err(said)?;
        fs::rename(&file, &package).map_err(said)?;
        Ok(package)
    }

    fn install(&self, package: &Path) -> Result<(), String> {
        let file = package.to_str().ok_or("its name is no text")?;
        let options = ["-q", "-y", "--no-install-recommends", "--allow-downgrades", "--no-remove"];
        let dpkg = ["-o", LOCK, "-o", "Dpkg::Use-Pty=0", "-o", "Dpkg::Options::=--force-confold", "install"];
        let done = self.change("apt-get", &[&options[..], &dpkg[..], &[file]].concat());
        match (done, self.installed()) {
            // What apt finds too broken to touch, dpkg may still put right.
            (Err(trouble), None) => {
                self.change("dpkg", &["--force-confold", "-i", file]).map_err(|_| trouble.text())
            }
            // Another package of the machine is in trouble, and ours is whole.
            (Err(Trouble::Complaint(said)), Some(version)) if describes(package, &version) => {
                self.say(&said);
                Ok(())
            }
            (done, _) => done.map_err(Trouble::text),
        }
    }

    fn repair(&self) {
        if let Err(said) = self.change("dpkg", &["--force-confold", "--configure", "-a"]) {
            self.say(&said.text());
        }
    }

    fn stay(&self) -> Result<(), String> {
        let part = format!("{UPDATER}.part");
        let copied = fs::copy("/proc/self/exe", &part).and_then(|_| {
            fs::set_permissions(&part, fs::Permissions::from_mode(0o700))?;
            fs::File::open(&part)?.sync_all()?;
            fs::rename(&part, UPDATER)
        });
        copied.map_err(|error| format!("{UPDATER}: {error}"))
    }

    fn leave(&self) {
        // One that stays is a little old, and does the same.
        let _ = fs::remove_file(UPDATER);
    }

    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn since_boot(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
    }

    fn wait(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn say(&self, text: &str) {
        // Nobody reads it where it cannot be written.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

impl Debian {
    /// Runs a package manager to its end. The package has systemd start its agents anew, and waits a while until they are up. One whose
    /// scripts wait without an end for an agent that ends again and again is helped on: that one is stopped, and started behind it.
    fn change(&self, program: &str, arguments: &[&str]) -> Result<(), Trouble> {
        let units: Vec<_> = self.seats().into_iter().map(|seat| (restarts(&seat.unit), seat.unit)).collect();
        let failed = |error: std::io::Error| Trouble::Complaint(format!("{program}: {error}"));
        let mut command = command(Path::new("/"), program, arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(failed)?;
        let mut stderr = child.stderr.take().ok_or_else(|| failed(std::io::ErrorKind::BrokenPipe.into()))?;
        let said = std::thread::spawn(move || {
            let mut said = Vec::new();
            // What cannot be read is not told.
            let _ = stderr.read_to_end(&mut said);
            said
        });
        let (begun, mut stopped) = (Instant::now(), Vec::new());
        let status = loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                break status;
            }
            std::thread::sleep(LOOK_EVERY);
            if begun.elapsed() < SCRIPTS {
                continue;
            }
            let dies = |(first, unit): &&(u32, String)| restarts(unit).saturating_sub(*first) >= RESTARTS;
            let dying: Vec<_> = units.iter().filter(dies).map(|(_, unit)| unit.clone()).collect();
            for unit in dying {
                if !stopped.contains(&unit) {
                    drop(run_program("systemctl", &["stop", &unit]));
                    stopped.push(unit);
                }
            }
        };
        for unit in &stopped {
            drop(run_program("systemctl", &["start", "--no-block", unit]));
        }
        match stopped.first() {
            Some(unit) => Err(Trouble::Dies(format!("{unit} ends again and again"))),
            None if status.success() => Ok(()),
            None => {
                let said = said.join().unwrap_or_default();
                Err(Trouble::Complaint(complained(program, &String::from_utf8_lossy(&said))))
            }
        }
    }
}

/// Why a package manager has not done all of it.
enum Trouble {
    /// What it says, of whichever package.
    Complaint(String),
    /// An agent had to be stopped so that it came to its end.
    Dies(String),
}

impl Trouble {
    fn text(self) -> String {
        match self {
            Self::Complaint(text) | Self::Dies(text) => text,
        }
    }
}

/// How often systemd has started a unit again by itself.
fn restarts(unit: &str) -> u32 {
    shown(unit, "NRestarts").and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// An agent that is well answers at once. It may be in somebody else's hands, who would answer a byte at a time.
fn talk(seat: &Seat) -> Result<Client, TalkError> {
    Client::connect_for(&seat.socket, ANSWER)
}

fn seat(paths: &Paths, instance: Option<&Instance>) -> Seat {
    let loaded = load(paths, None, std::iter::empty(), &[]).ok();
    let socket = loaded.as_ref().map_or_else(|| paths.socket(), |loaded| loaded.config.socket.clone());
    let state = loaded.as_ref().map_or_else(|| paths.state.clone(), |loaded| loaded.config.state_dir.clone());
    let allows = loaded.is_some_and(|loaded| loaded.config.update.allow);
    Seat { unit: unit(instance), state, socket, allows }
}

fn shown(unit: &str, property: &str) -> Option<String> {
    let said = run_program("systemctl", &["show", "--value", "-p", property, unit]).ok()?;
    Some(said.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The candidate in what `apt-cache policy` says.
fn candidate(said: &str) -> Option<String> {
    let version = said.lines().find_map(|line| line.trim().strip_prefix("Candidate:"))?.trim();
    (version != "(none)").then(|| version.to_owned())
}

/// Whether a file is our package in this version.
fn describes(package: &Path, version: &str) -> bool {
    let Some(file) = package.to_str().filter(|_| package.exists()) else { return false };
    let said = run_program("dpkg-deb", &["-W", "--showformat=${Package} ${Version}", file]);
    said.is_ok_and(|said| said.trim() == format!("{PACKAGE} {version}"))
}

fn run_program(program: &str, arguments: &[&str]) -> Result<String, String> {
    run_in(Path::new("/"), program, arguments)
}

fn command(folder: &Path, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// What a program says; its complaint when it fails.
fn run_in(folder: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let output =
        command(folder, program, arguments).output().map_err(|error| format!("{program}: {error}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    // Who is held to a time is who complains.
    let named = if program == "timeout" { arguments.get(1).copied().unwrap_or(program) } else { program };
    Err(complained(named, &complaint))
}

/// The last words of a program that has failed, in a line that fits an event.
fn complained(program: &str, said: &str) -> String {
    const MOST_CHARS: usize = 300;
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let errors: Vec<_> = lines.clone().filter(|line| line.starts_with("E:")).collect();
    let words = if errors.is_empty() {
        lines.next_back().unwrap_or("it failed").to_owned()
    } else {
        errors.join(" ")
    };
    format!("{program}: {}", words.chars().take(MOST_CHARS).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_candidate_is_what_apt_would_install() {
        let said = "spoolway-agent:\n  Installed: 0.1.0-1\n  Candidate: 0.2.0-1\n  Version table:\n";
        assert_eq!(candidate(said).as_deref(), Some("0.2.0-1"));
        assert_eq!(candidate("spoolway-agent:\n  Candidate: (none)\n"), None);
        assert_eq!(candidate(""), None);
    }

    #[test]
    fn a_complaint_is_short_and_names_the_program() {
        let said = "Reading...\nE: Version '9' for 'spoolway-agent' was not found\n";
        assert_eq!(complained("apt-get", said), "apt-get: E: Version '9' for 'spoolway-agent' was not found");
        assert_eq!(complained("dpkg", "\n"), "dpkg: it failed");
        assert!(complained("dpkg", &"x".repeat(1_000)).len() < 400);
        assert!(run_in(Path::new("/"), "false", &[]).unwrap_err().starts_with("false: "));
        assert_eq!(run_in(Path::new("/"), "echo", &["a"]).unwrap(), "a\n");
    }
}
