//! What a terminal of the kernel does not have: the parity bit and the line that resets a board. An observer at the agent's
//! system calls sees what it asks of its port.
//!
//! The observer is `strace`, which not every machine has: it is run by name (`--include-ignored`).

use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use spoolway_agent::local::words::Request;
use spoolway_protocol::JobState;
use spoolway_tests::at_port::AgentAtPort;
use spoolway_tests::pty::{PtyOptions, PtyPrinter};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");

/// Every `ioctl` of an agent, written down until it is dropped.
struct Observer {
    child: Child,
    /// It ends with whoever hears it no more.
    _says: BufReader<ChildStderr>,
    record: PathBuf,
}

impl Observer {
    fn attach(agent: &AgentAtPort) -> Self {
        let record = agent.folder().join("ioctl.txt");
        let mut child = Command::new("strace")
            .args(["-f", "-v", "-e", "trace=ioctl", "-o"])
            .arg(&record)
            .args(["-p", &agent.id().unwrap().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is needed");
        let mut says = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        says.read_line(&mut said).unwrap();
        assert!(said.contains("attached"), "{said}");
        Self { child, _says: says, record }
    }

    /// The calls whose text has this in it, in order.
    fn calls(&self, with: &str) -> Vec<String> {
        let record = std::fs::read_to_string(&self.record).unwrap_or_default();
        record.lines().filter(|line| line.contains(with)).map(str::to_owned).collect()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs strace"]
fn a_board_that_does_not_answer_gets_odd_parity_first_and_then_none() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let agent = AgentAtPort::start_in(dir, Path::new(DEMO), &socket, "malyan");
    drop(agent.client());
    let observer = Observer::attach(&agent);
    let silent = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&silent).unwrap();
    unlockpt(&silent).unwrap();
    symlink(ptsname(&silent, Vec::new()).unwrap().to_str().unwrap(), &socket).unwrap();
    let set = agent.until("parity to be set and taken back", || {
        let set: Vec<_> = observer.calls("TCSETS").iter().map(|call| call.contains("PARODD")).collect();
        set.contains(&true).then_some(set).filter(|set| set.last() == Some(&false))
    });
    assert!(set.windows(2).any(|pair| pair == [true, false]), "{set:?}");
}

#[test]
#[ignore = "needs strace"]
fn a_firmware_without_a_sign_of_having_stopped_is_reset_through_dtr() {
    // This one takes it for a line like any other, and says nothing of it.
    let mut options = PtyOptions::of_profile("teacup").unwrap();
    options.printer.speed = 1.0;
    let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
    let agent = AgentAtPort::start(Path::new(DEMO), board.path(), "teacup");
    agent.until_idle();
    let job = agent.print_text("dwell.gcode", "G1 X1\nG4 P600000\nG1 X2\n");
    agent.until("the dwell", || (agent.job(&job).commands_acked == 1).then_some(()));
    let observer = Observer::attach(&agent);
    agent.client().ask(&Request::Estop).unwrap();
    let pulse = agent.until("DTR to fall and rise", || {
        let pulse = observer.calls("TIOCM_DTR");
        (pulse.len() >= 2).then_some(pulse)
    });
    assert!(pulse[0].contains("TIOCMBIC") && pulse[1].contains("TIOCMBIS"), "{pulse:?}");
    agent.until_job(&job, JobState::Interrupted);
}
