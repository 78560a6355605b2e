//! One agent process whose printer is unplugged and plugged in again: states, jobs, and a stranger in the old place.

use std::io::{BufRead, BufReader, Write};
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use spoolway_agent::local::TalkError;
use spoolway_agent::local::words::Request;
use spoolway_agent::store::{Position, Store, StoreOptions, StoredEvent};
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::{Fault, JobState};
use spoolway_tests::at_port::{AgentAtPort, BAUD, commands};
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread, ResetOnOpen};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
/// What leaves the machine safe, by the Marlin profile.
const CANCEL_SCRIPT: [&str; 4] = ["M104 S0", "M140 S0", "M107", "M84"];

/// An agent at a socket of this machine: a link that leads to whatever is plugged in.
struct Bench {
    agent: AgentAtPort,
}

impl Deref for Bench {
    type Target = AgentAtPort;

    fn deref(&self) -> &AgentAtPort {
        &self.agent
    }
}

impl Bench {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        Self { agent: AgentAtPort::start_in(dir, Path::new(DEMO), &socket, "auto") }
    }

    fn plug(&self, device: &Path) {
        symlink(device, self.port()).unwrap();
    }

    fn unplug(&self) {
        std::fs::remove_file(self.port()).unwrap();
    }

    /// Ends the agent; gives kind and details of every event that it has told, in order.
    fn end(mut self) -> Vec<(String, serde_json::Value)> {
        self.agent.end();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (store, _) = Store::open(self.folder(), &StoreOptions::default()).unwrap();
            let events = store.events_after(Position::default(), 10_000, u64::MAX).await.unwrap();
            store.close().await.unwrap();
            let told = |event: StoredEvent| {
                (event.event.kind, serde_json::from_str(&event.event.data_json).unwrap())
            };
            events.into_iter().map(told).collect()
        })
    }
}

fn board(speed: f64) -> PtyThread {
    let mut options = PtyOptions::uart(BAUD);
    options.printer.speed = speed;
    options.printer.reply_latency_us = 0;
    options.printer.keep_executed = 1_000_000;
    options.reset_on_open = ResetOnOpen::First;
    PtyPrinter::open(options).unwrap().spawn().unwrap()
}

fn executed(board: PtyThread) -> Vec<String> {
    commands(board.finish().unwrap().printer.executed())
}

fn job(lines: usize) -> String {
    (0..lines).map(|n| format!("G1 X{} Y{}.{:03} F3000\n", n % 200, n % 170, n % 1000)).collect()
}

/// A terminal without anything behind it: opened, and silent.
fn terminal() -> (OwnedFd, PathBuf) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().to_string_lossy().into_owned());
    let mut terminal = rustix::termios::tcgetattr(&master).unwrap();
    terminal.make_raw();
    rustix::termios::tcsetattr(&master, rustix::termios::OptionalActions::Now, &terminal).unwrap();
    (master, path)
}

/// A board of another make that knows only what is needed to be taken for a printer.
fn stranger() -> PathBuf {
    let (master, path) = terminal();
    // Kept open, so that the board does not end with the first program that closes it.
    let held = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    std::thread::spawn(move || {
        let _held = held;
        let mut out = std::fs::File::from(master.try_clone().unwrap());
        let mut last = 0;
        for line in BufReader::new(std::fs::File::from(master)).lines().map_while(Result::ok) {
            let numbered = line.strip_prefix('N').map(|rest| {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                rest[..end].parse::<u64>().unwrap()
            });
            let answer = match numbered {
                _ if line.is_empty() => continue,
                None if line == "M115" => {
                    "FIRMWARE_NAME:Marlin 2.1.2 MACHINE_TYPE:Somebody else's UUID:1234\nok\n".to_owned()
                }
                None => "ok\n".to_owned(),
                Some(number) if line.contains("M110") || number == last + 1 => {
                    last = number;
                    "ok\n".to_owned()
                }
                Some(_) => format!(
                    "Error:Line Number is not Last Line Number+1, Last Line: {last}\nResend: {}\nok\n",
                    last + 1
                ),
            };
            out.write_all(answer.as_bytes()).unwrap();
        }
    });
    path
}

#[test]
fn a_printer_that_is_unplugged_and_plugged_in_again_loses_no_job() {
    let bench = Bench::start();
    bench.until_printer(&PrinterState::Offline);
    let first_board = board(20.0);
    bench.plug(first_board.path());
    bench.until_printer(&PrinterState::Idle);
    let (text, next) = (job(20_000), job(40));
    let first = bench.print_text("first.gcode", &text);
    let second = bench.print_text("second.gcode", &next);
    bench.until("some lines", || (bench.job(&first).line >= 50).then_some(()));

    bench.unplug();
    let half = executed(first_board);
    let whole: Vec<String> = text.lines().map(str::to_owned).collect();
    assert!(!half.is_empty() && half.len() < whole.len());
    assert_eq!(half, whole[..half.len()], "each line once and in order, up to the pulled cable");
    let interrupted = bench.until_job(&first, JobState::Interrupted);
    assert!(interrupted.reason.unwrap().contains("went away"));
    let status = bench.until_printer(&PrinterState::Offline);
    assert!(status.printer.fault.unwrap().code.starts_with("port."));
    match bench.client().emergency_stop() {
        Err(TalkError::Refused(fault)) => assert_eq!(fault.code, Fault::PrinterEstopUnsent.code()),
        unheard => panic!("a stop that nobody can hear is {unheard:?}"),
    }

    // Something that says nothing yet: the port is open, and that is all that is known.
    let (mute, path) = terminal();
    bench.plug(&path);
    bench.until_printer(&PrinterState::Connecting);
    bench.unplug();
    drop(mute);
    bench.until_printer(&PrinterState::Offline);

    let second_board = board(200.0);
    bench.plug(second_board.path());
    bench.until_printer(&PrinterState::Idle);
    let waiting = bench.job(&second);
    assert_eq!(waiting.state, JobState::Queued, "nothing starts by itself while the bed is not clear");
    let reason = waiting.reason.unwrap();
    assert!(reason.ends_with(&format!("`spoolway-agent cancel {first}` gives it up")), "{reason}");
    let needs = bench.status().needs_a_person.unwrap();
    assert_eq!((needs.job_id.as_str(), needs.state), (first.as_str(), JobState::Interrupted));
    bench.client().job(&Request::Cancel { job_id: Some(first.parse().unwrap()) }).unwrap();
    bench.until_job(&second, JobState::Completed);
    let events = bench.end();

    let next: Vec<String> = next.lines().map(str::to_owned).collect();
    let done = executed(second_board);
    let (script, printed) = done.split_at(CANCEL_SCRIPT.len());
    assert_eq!(script, CANCEL_SCRIPT, "made safe, and nothing moved");
    assert_eq!(printed, next);
    let wanted = ["idle", "printing", "offline", "connecting", "offline", "idle"];
    let states: Vec<&str> = events
        .iter()
        .filter(|(kind, _)| kind == "printer.state")
        .map(|(_, data)| data["to"].as_str().unwrap())
        .collect();
    let mut seen = states.iter();
    assert!(wanted.iter().all(|state| seen.any(|told| told == state)), "{states:?}");
}

#[test]
fn a_stranger_in_the_old_place_is_told_and_prints_only_when_a_person_says_so() {
    let bench = Bench::start();
    let first = board(200.0);
    bench.plug(first.path());
    bench.until_printer(&PrinterState::Idle);
    bench.unplug();
    first.finish().unwrap();
    bench.until_printer(&PrinterState::Offline);

    bench.plug(&stranger());
    let status = bench.until("the stranger to be told", || {
        let status = bench.status();
        let fault = status.printer.fault.as_ref()?;
        (fault.code == "printer.changed").then_some(status)
    });
    assert_eq!(status.printer.state, PrinterState::Error);
    let fault = status.printer.fault.unwrap();
    assert!(fault.text.contains("somebody else's"), "{fault:?}");
    let id = bench.print_text("part.gcode", &job(5));
    let waiting = bench.until("the job to wait", || {
        Some(bench.job(&id)).filter(|job| job.state == JobState::Queued && job.reason.is_some())
    });
    assert!(waiting.reason.unwrap().contains("somebody else's"));

    let accepted = bench.client().accept_printer().unwrap();
    assert!(accepted.contains("somebody else's"), "{accepted}");
    bench.until_job(&id, JobState::Completed);
    let events = bench.end();
    let changes: Vec<_> = events.iter().filter(|(kind, _)| kind == "printer.fingerprint_changed").collect();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(changes[0].1["to"].as_str().unwrap().contains("somebody else's"));
}
