//! Lines in doubt, from the wire to the person: a board that falls silent in the middle, and that cannot be asked which
//! lines it has carried out.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use spoolway_agent::local::TalkError;
use spoolway_agent::local::words::Request;
use spoolway_agent::view::JobView;
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::{Doubt, JobState};
use spoolway_tests::demo::house::{House, PrinterPlan};

use crate::patience::{client, until};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
/// From this line on the board says nothing.
const MUTE_AT: &str = "G1 X3";
/// Ends the board.
const END: &str = "M999";
const JOB: &str = "G1 X1\nG1 X2\nG1 X3\nG1 X4\nG1 X5\n";

/// A firmware that nobody knows: `ok` for each line, and no promise to check numbers.
struct Board {
    path: PathBuf,
    /// Holds the terminal open, whoever comes and goes.
    _slave: File,
    executed: Receiver<String>,
    /// Ends its silence.
    speak: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Board {
    /// `loses` says whether it also does not carry out what it does not answer.
    fn start(loses: bool) -> Self {
        let master: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().into_string().unwrap());
        let slave = File::options().read(true).write(true).open(&path).unwrap();
        let mut modes = tcgetattr(&slave).unwrap();
        modes.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &modes).unwrap();
        let (sender, executed) = channel();
        let speak = Arc::new(AtomicBool::new(false));
        let may_speak = Arc::clone(&speak);
        let thread = std::thread::spawn(move || serve(File::from(master), loses, &may_speak, &sender));
        Self { path, _slave: slave, executed, speak, thread }
    }
}

fn serve(master: File, loses: bool, may_speak: &AtomicBool, executed: &Sender<String>) {
    let mut replies = master.try_clone().unwrap();
    let mut fell_silent = false;
    for line in BufReader::new(master).lines() {
        let Ok(line) = line else { return };
        let command = command_of(&line);
        if command == END {
            return;
        }
        fell_silent |= command == MUTE_AT;
        let mute = fell_silent && !may_speak.load(Ordering::Acquire);
        if mute && loses {
            continue;
        }
        executed.send(command.to_owned()).unwrap();
        let answer = match command {
            _ if mute => continue,
            "M115" => "FIRMWARE_NAME:Homemade 1.0\nok\n",
            "M105" => "ok T:20.0 /0.0 B:20.0 /0.0\n",
            _ => "ok\n",
        };
        replies.write_all(answer.as_bytes()).unwrap();
    }
}

/// Without number and checksum.
fn command_of(line: &str) -> &str {
    let line = line.trim().split('*').next().unwrap_or_default();
    match line.strip_prefix('N') {
        Some(rest) => rest.split_once(' ').map_or("", |(_, command)| command),
        None => line,
    }
}

fn until_job(house: &House, id: &str, state: JobState) -> JobView {
    until(house, &format!("job {state}"), || {
        client(house).jobs().unwrap().into_iter().find(|job| job.job_id.as_str() == id && job.state == state)
    })
}

/// A job that is paused because of lines in doubt is resumed as a person says; the lines that the board carried out.
fn print_with(doubt: Doubt) -> Vec<String> {
    let board = Board::start(doubt == Doubt::Lost);
    let plan = PrinterPlan::Real { port: board.path.clone(), baud: 115_200 };
    let house = House::start(Path::new(DEMO), b"", &plan).unwrap();
    until(&house, "an idle printer", || {
        (client(&house).status().unwrap().printer.state == PrinterState::Idle).then_some(())
    });
    let file = house.socket().with_file_name("job.gcode");
    std::fs::write(&file, JOB).unwrap();
    let id = client(&house).job(&Request::Print { path: file, name: None }).unwrap().job_id.to_string();

    let job = until_job(&house, &id, JobState::Paused);
    let reason = job.reason.unwrap();
    assert!(reason.contains("lines 3 to 3 ") && reason.contains("--doubt"), "{reason}");
    assert_eq!(client(&house).status().unwrap().printer.state, PrinterState::Paused);
    match client(&house).job(&Request::Resume { job_id: None, doubt: None }) {
        Err(TalkError::Refused(fault)) => assert_eq!(fault.code, "comm.uncertain"),
        other => panic!("{other:?}"),
    }
    board.speak.store(true, Ordering::Release);
    client(&house).job(&Request::Resume { job_id: None, doubt: Some(doubt) }).unwrap();
    until_job(&house, &id, JobState::Completed);
    drop(house);
    let mut stop = File::options().write(true).open(&board.path).unwrap();
    stop.write_all(format!("{END}\n").as_bytes()).unwrap();
    board.thread.join().unwrap();
    board.executed.try_iter().filter(|line| line.starts_with("G1")).collect()
}

#[test]
fn lines_that_were_lost_are_sent_again_when_a_person_says_so() {
    assert_eq!(print_with(Doubt::Lost), JOB.lines().collect::<Vec<_>>());
}

#[test]
fn lines_that_were_carried_out_are_not_sent_again_when_a_person_says_so() {
    assert_eq!(print_with(Doubt::Executed), JOB.lines().collect::<Vec<_>>());
}
