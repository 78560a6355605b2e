//! The disk fills up in the middle of a print: the print goes on, nobody is lied to, and its end is told once there is room
//! to write it down.
//!
//! The disk is a small tmpfs, which only root may mount: it is run by name (`--include-ignored`). For others the store's own
//! test with a quota has to do (`agent/tests/store/faults.rs`).

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use spoolway_protocol::JobState;
use spoolway_tests::at_port::{AgentAtPort, BAUD, commands};
use spoolway_tests::pty::{PtyOptions, PtyPrinter};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
/// Room for one small job; this agent keeps no reserve.
const DISK: &str = "size=32m";
/// Moves of the part.
const MOVES: u64 = 3_000;

/// A file system of its own, as long as it lives.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", DISK, "tmpfs"])
            .arg(dir.path())
            .output()
            .unwrap();
        assert!(mounted.status.success(), "only root may: {}", String::from_utf8_lossy(&mounted.stderr));
        Self { dir }
    }

    /// Takes all room that is left; it is given back when the file is removed.
    fn fill(&self) -> PathBuf {
        let path = self.dir.path().join("filler");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 20, 4096, 1] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A process that still ends keeps it busy; the kernel lets go of it then.
        let _ = Command::new("umount").arg("--lazy").arg(self.dir.path()).status();
    }
}

#[test]
#[ignore = "needs root"]
fn a_print_outlives_a_full_disk_and_is_written_down_afterwards() {
    let disk = SmallDisk::mount();
    let mut options = PtyOptions::uart(BAUD);
    options.printer.speed = 5.0;
    options.printer.keep_executed = 1_000_000;
    let printer = PtyPrinter::open(options).unwrap().spawn().unwrap();
    let folder = tempfile::tempdir_in(disk.dir.path()).unwrap();
    let mut agent = AgentAtPort::start_in(folder, Path::new(DEMO), printer.path(), "marlin");
    agent.until_idle();
    let text: String = (0..MOVES).map(|n| format!("G1 X{}.{} Y5 F6000\n", n % 200, n % 10)).collect();
    let job = agent.print_text("part.gcode", &text);
    agent.until_job(&job, JobState::Printing);
    let filler = disk.fill();
    agent.until("the last line", || (agent.job(&job).commands_acked == MOVES).then_some(()));
    let full = agent.until("a fault that says why nothing is written", || agent.status().storage?.fault);
    assert_eq!(full.code, "disk.full");
    assert_eq!(agent.job(&job).state, JobState::Printing, "what is not written down is not told");

    // A job that would not fit is refused with its numbers, and the agent goes on.
    let refused = agent.client().job(&spoolway_agent::local::words::Request::Print {
        path: agent.folder().join("part.gcode"),
        name: None,
    });
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("0.0 MB free of 33.5 MB on the device"), "{refused}");

    std::fs::remove_file(filler).unwrap();
    agent.until("a store that takes records again", || {
        agent.status().storage.is_some_and(|storage| storage.fault.is_none()).then_some(())
    });
    agent.until_job(&job, JobState::Completed);
    agent.kill();
    agent.start_again();
    assert_eq!(agent.until_job(&job, JobState::Completed).commands_acked, MOVES, "the end was written down");
    agent.end();
    let run = printer.finish().unwrap();
    let done = commands(run.printer.executed());
    let wanted: Vec<_> = text.lines().collect();
    assert_eq!(done[..wanted.len()], wanted[..], "the print did not notice");
}
