//! How a conversation with a printer can end, at a real terminal: a board that plays one bad part, and the code that is told.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Write};
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{InputModes, OptionalActions, tcgetattr, tcsetattr};
use spoolway_agent::config::Safety;
use spoolway_agent::printer::{RunEnd, RunPhase, feeder};
use spoolway_firmware_profiles::Registry;
use spoolway_protocol::Fault;
use spoolway_protocol::printer::PrinterState;

use crate::thread::PrinterThread;

/// The part begins at this line of the job.
const CUE: &str = "G1 X2";
const JOB: &str = "G1 X1\nG1 X2\nG1 X3\nG1 X4\n";

/// What is wrong with a board.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    /// It says nothing any more.
    Silent,
    /// It stops itself.
    Halts,
    /// It starts anew.
    Resets,
    /// It asks for the line again, for ever.
    Refuses,
    /// Its counter cannot be set.
    NeverCounts,
    /// It is gone.
    Leaves,
    /// Nothing.
    Good,
    /// Nothing, and it can hold its sender back.
    HoldsBack,
}

/// Plays a board at the other end of a terminal; gives the end that a host opens, and where its settings can be seen.
fn board(part: Part) -> (PathBuf, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().into_string().unwrap());
    let mut modes = tcgetattr(&master).unwrap();
    modes.make_raw();
    tcsetattr(&master, OptionalActions::Now, &modes).unwrap();
    // Kept open, so that the board does not end with the first program that closes it.
    let held = File::options().read(true).write(true).open(&path).unwrap();
    let seen = held.try_clone().unwrap().into();
    std::thread::spawn(move || {
        let mut out = File::from(master.try_clone().unwrap());
        let mut counter = Counter { part, last: 0, has_begun: false };
        for line in BufReader::new(File::from(master)).lines().map_while(Result::ok) {
            let Some(answer) = counter.answer(&line) else { break };
            // Nobody reads any more.
            if out.write_all(answer.as_bytes()).is_err() {
                break;
            }
        }
        drop(held);
    });
    (path, seen)
}

/// A firmware that counts lines as Marlin does, up to the cue.
struct Counter {
    part: Part,
    last: u32,
    has_begun: bool,
}

impl Counter {
    /// What it says to a line; nothing when it goes.
    fn answer(&mut self, line: &str) -> Option<String> {
        let text = line.split('*').next().unwrap_or_default();
        let numbered = text.strip_prefix('N').and_then(|rest| rest.split_once(' ').or(Some((rest, ""))));
        let number = numbered.and_then(|(number, _)| number.parse::<u32>().ok());
        let command = numbered.map_or(text, |(_, command)| command);
        self.has_begun |= command == CUE;
        let resend = |next: u32| {
            format!(
                "Error:Line Number is not Last Line Number+1, Last Line: {}\nResend: {next}\nok\n",
                next - 1
            )
        };
        if self.has_begun {
            match self.part {
                Part::Silent => return Some(String::new()),
                Part::Halts => return Some("Error:Printer halted. kill() called!\n".to_owned()),
                Part::Resets if command == CUE => return Some("start\n".to_owned()),
                Part::Refuses => return Some(resend(self.last + 1)),
                Part::Leaves => return None,
                _ => {}
            }
        }
        Some(match number {
            None if command == "M115" => {
                let can = u8::from(self.part == Part::HoldsBack);
                format!("FIRMWARE_NAME:Marlin 2.1.2 MACHINE_TYPE:Bad\nCap:SERIAL_XON_XOFF:{can}\nok\n")
            }
            None if command.is_empty() => String::new(),
            None => "ok\n".to_owned(),
            Some(_) if self.part == Part::NeverCounts => resend(self.last + 1),
            Some(number) if command.starts_with("M110") || number == self.last + 1 => {
                self.last = number;
                "ok\n".to_owned()
            }
            Some(_) => resend(self.last + 1),
        })
    }
}

/// Marlin's profile with the patience of a test.
fn impatient() -> (tempfile::TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    let mut text = include_str!("../../../firmware-profiles/profiles/marlin.toml")
        .replace("id = \"marlin\"", "id = \"quick\"");
    for (was, is) in [
        ("max_silent_probes = 15", "max_silent_probes = 2"),
        ("silence_ms = 10000", "silence_ms = 400"),
        ("silence_with_busy_ms = 5000", "silence_with_busy_ms = 400"),
        ("resend_ms = 500", "resend_ms = 200"),
        ("settle_ms = 30", "settle_ms = 5"),
    ] {
        assert!(text.contains(was), "{was}");
        text = text.replace(was, is);
    }
    std::fs::write(folder.path().join("quick.toml"), text).unwrap();
    let (registry, broken) = Registry::load(Some(folder.path()));
    assert!(broken.is_empty(), "{broken:?}");
    (folder, registry)
}

/// A printer thread at a board.
struct Site {
    thread: PrinterThread,
    /// The line once more, to see how it is set.
    line: OwnedFd,
    _profiles: tempfile::TempDir,
}

impl Deref for Site {
    type Target = PrinterThread;

    fn deref(&self) -> &PrinterThread {
        &self.thread
    }
}

impl Site {
    fn start(part: Part) -> Self {
        let (profiles, registry) = impatient();
        let (path, line) = board(part);
        let safety = Safety { idle_heater_off_after_s: 0, stall_after_s: 0 };
        let thread = PrinterThread::start(path, safety, registry, "quick");
        Self { thread, line, _profiles: profiles }
    }

    fn print(&self) {
        self.thread.print(feeder::start(Cursor::new(JOB.as_bytes().to_vec())).unwrap());
    }

    /// The code and the words with which the run was interrupted.
    fn interrupted(&self) -> (Fault, String) {
        self.until("the run's end", |now| match &now.run.as_ref()?.phase {
            RunPhase::Ended(RunEnd::Interrupted(fault, text)) => Some((*fault, text.clone())),
            RunPhase::Ended(end) => panic!("{end:?}"),
            _ => None,
        })
    }

    fn finish(self) {
        self.thread.leave();
    }
}

#[test]
fn each_bad_part_interrupts_the_print_with_its_own_code() {
    for (part, fault, says) in [
        (Part::Silent, Fault::FirmwareSilent, "has said nothing"),
        (Part::Halts, Fault::FirmwareHalted, "kill() called"),
        (Part::Resets, Fault::FirmwareReset, "restarted"),
        (Part::Refuses, Fault::CommTooManyRefusals, "times in a row"),
        (Part::Leaves, Fault::PortLost, "/dev/pts/"),
    ] {
        let site = Site::start(part);
        site.print();
        let (found, text) = site.interrupted();
        assert_eq!(found, fault, "{part:?}: {text}");
        assert!(text.contains(says), "{part:?}: {text}");
        site.finish();
    }
}

#[test]
fn a_counter_that_cannot_be_set_is_told_before_anything_is_printed() {
    let site = Site::start(Part::NeverCounts);
    let fault = site.until("a fault", |now| now.fault.as_ref().map(|(fault, _)| *fault));
    assert_eq!(fault, Fault::CommSyncFailed);
    site.finish();
}

#[test]
fn an_emergency_stop_is_told_as_what_it_is() {
    let site = Site::start(Part::Good);
    site.until("the printer", |now| (now.state == PrinterState::Idle).then_some(()));
    site.printer.stop.pull();
    let state = site.until("the stop", |now| {
        now.fault.as_ref().filter(|_| now.state == PrinterState::Halted).map(|(fault, _)| *fault)
    });
    assert_eq!(state, Fault::Estop);
    site.finish();
}

#[test]
fn a_board_is_obeyed_that_says_that_it_can_hold_its_sender_back() {
    for (part, obeyed) in [(Part::Good, false), (Part::HoldsBack, true)] {
        let site = Site::start(part);
        site.until("the printer", |now| (now.state == PrinterState::Idle).then_some(()));
        let modes = tcgetattr(&site.line).unwrap().input_modes;
        assert_eq!(modes.contains(InputModes::IXON), obeyed, "{part:?}");
        site.finish();
    }
}
