//! The whole agent prints the gear on the simulated printer of every dialect behind a terminal, with every fault that the
//! dialect's link can have; it finds out by itself which firmware that is, where that can be found out.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use spoolway_agent::local::Client;
use spoolway_agent::local::words::Request;
use spoolway_firmware_profiles::registry::Registry;
use spoolway_firmware_profiles::{HostWaits, Profile};
use spoolway_protocol::JobState;
use spoolway_protocol::printer::PrinterState;
use spoolway_tests::expected::Comparer;
use spoolway_tests::printer::{ExecutedSink, PrinterFaults};
use spoolway_tests::process::ChildProcess;
use spoolway_tests::pty::{PtyOptions, PtyPrinter};
use spoolway_tests::wire::LaneFaults;
use spoolway_tests::world::{self, Kind};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(240);
/// Prints at the same time: most of the time a faulty print waits for a time-out.
const AT_ONCE: usize = 20;
/// These cannot be told from others by what they say, so the configuration names them.
const NAMED: [&str; 2] = ["generic", "marlin-cdc"];

#[test]
fn every_profile_prints_the_gear_on_its_own_printer_with_every_fault_that_applies() {
    let profiles = world::profiles();
    assert!(!profiles.is_empty());
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(profile) = profiles.get(next.fetch_add(1, Ordering::Relaxed)) {
            let began = Instant::now();
            match print(profile) {
                Ok(()) => println!("{profile}: {:.1} s", began.elapsed().as_secs_f64()),
                Err(why) => failed.lock().unwrap().push(format!("{profile}: {why}")),
            }
        }
    };
    std::thread::scope(|scope| {
        (0..AT_ONCE).for_each(|_| drop(scope.spawn(work)));
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// A board with every fault that its link can have, as `world::Kind` lists them; where only a person could say what became of
/// a line, replies are late but not lost.
fn faulty(id: &str, kind: Kind, says_wait: bool) -> PtyOptions {
    let late = PrinterFaults {
        delayed_reply: 0.002,
        delay_max_us: 5_000,
        stall: 0.002,
        stall_max_us: 5_000,
        ..PrinterFaults::default()
    };
    let mut options = PtyOptions::of_profile(id).unwrap();
    if kind == Kind::Checked {
        options.printer.faults = PrinterFaults {
            // About one in a print: where no `wait` follows, each is found by a time-out only.
            lost_ok: 0.000_05,
            duplicated_ok: 0.000_3,
            garbled_reply: 0.000_05,
            spurious_resend: 0.000_3,
            ..late
        };
        options.printer.wait_interval_us = 1_000_000 * u64::from(says_wait);
        // Without a need for a checksum damage passes unseen where it hits the `*`; a byte that comes twice never does.
        options.damage = match options.printer.dialect.needs_checksum() {
            true => LaneFaults {
                corrupt_bit: 4e-6,
                corrupt_byte: 4e-6,
                lose: 4e-6,
                duplicate: 4e-6,
                insert: 4e-6,
            },
            false => LaneFaults { duplicate: 2e-5, ..LaneFaults::default() },
        };
    } else {
        options.printer.faults = late;
    }
    options.seed = 11;
    options
}

fn print(id: &str) -> Result<(), String> {
    let registry = Registry::built_in();
    let profile = &registry.get(id).unwrap().profile;
    let kind = Kind::of(profile, &PtyOptions::of_profile(id).unwrap().printer);
    let options = faulty(id, kind, !profile.replies.wait.is_empty());
    let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut agent = start_agent(dir.path(), board.path(), if NAMED.contains(&id) { id } else { "auto" });
    let gear = file_for(profile, dir.path());
    let printed = print_with(&dir.path().join("agent.sock"), &gear, id);
    agent.ask_to_end();
    let ended = agent.wait(HANG).map_err(|error| error.to_string());
    let log = agent.log_tail();
    let run = board.finish().unwrap();
    printed.map_err(|why| format!("{why}\n{log}"))?;
    ended?;
    let file = std::fs::read(&gear).unwrap().into();
    let mut comparer = match profile.temperature.host_waits {
        HostWaits::Never => Comparer::new(file),
        HostWaits::WhenDeaf | HostWaits::Always => Comparer::with_host_waits(file),
    };
    let numbered = profile.framing.numbered;
    // A line that lost its number on the way was never the agent's.
    let executed = run.printer.executed().iter().filter(|line| !numbered || line.number.is_some());
    executed.for_each(|line| comparer.executed(line));
    match comparer.finish().difference {
        None => Ok(()),
        Some(difference) => Err(format!("{difference:?}\n{log}")),
    }
}

/// The gear; for a machine without heaters the same without what they are to do, which is refused there.
fn file_for(profile: &Profile, dir: &Path) -> PathBuf {
    let gear = Path::new(env!("CARGO_MANIFEST_DIR")).join("gcode/gear.gcode");
    if profile.temperature.limits.hotend_max > 0.0 {
        return gear;
    }
    let text = std::fs::read_to_string(&gear).unwrap();
    let heats = |line: &&str| ["M104", "M109", "M140", "M190"].iter().any(|word| line.starts_with(word));
    let cold = dir.join("gear-cold.gcode");
    std::fs::write(&cold, text.lines().filter(|line| !heats(line)).collect::<Vec<_>>().join("\n")).unwrap();
    cold
}

fn start_agent(dir: &Path, device: &Path, profile: &str) -> ChildProcess {
    spoolway_relay_tools::certs::init(&dir.join("tls"), &["localhost".to_owned()]).unwrap();
    let words = [
        "agent".to_owned(),
        format!("--folder={}", dir.display()),
        // Nobody listens there.
        "--relay=wss://localhost:9".to_owned(),
        format!("--ca={}", dir.join("tls/ca.pem").display()),
        format!("--port={}", device.display()),
        "--baud=1000000".to_owned(),
        format!("--profile={profile}"),
    ];
    ChildProcess::spawn("agent", Path::new(DEMO), &words, &dir.join("agent.log")).unwrap()
}

fn print_with(socket: &Path, file: &Path, profile: &str) -> Result<(), String> {
    let mut client = until("the agent's socket", || Client::connect(socket).ok())?;
    let status = until("an idle printer", || {
        client.status().ok().filter(|status| status.printer.state == PrinterState::Idle)
    })?;
    if status.printer.profile.as_deref() != Some(profile) {
        return Err(format!("taken for {:?} ({:?})", status.printer.profile, status.printer.firmware));
    }
    let job = client
        .job(&Request::Print { path: file.to_owned(), name: None })
        .map_err(|error| error.to_string())?
        .job_id;
    let ended = until("the end of the job", || {
        let job = client.jobs().ok()?.into_iter().find(|view| view.job_id == job)?;
        let over = matches!(
            job.state,
            JobState::Completed
                | JobState::Failed
                | JobState::Interrupted
                | JobState::Cancelled
                | JobState::Paused
        );
        over.then_some(job)
    })?;
    if ended.state == JobState::Completed { Ok(()) } else { Err(format!("{ended:?}")) }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
    let hung = Instant::now() + HANG;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > hung {
            return Err(format!("waited for {what}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
