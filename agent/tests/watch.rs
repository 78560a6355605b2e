//! `spoolway-agent status --watch` as a process of its own: it draws again and again, and ends when it is interrupted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::File;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

fn watch(home: &tempfile::TempDir, out: Stdio) -> Child {
    // Whoever has the tests run in the background ignores Ctrl-C, and what they start would as well.
    let mut command = Command::new("/usr/bin/env");
    command.args([
        "--default-signal=INT",
        env!("CARGO_BIN_EXE_spoolway-agent"),
        "--socket",
        "/nowhere/agent.sock",
        "status",
        "--watch",
    ]);
    command.env_clear().env("HOME", home.path()).env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn on_a_terminal_it_draws_until_it_is_interrupted_and_asks_an_agent_that_is_away_again() {
    let home = tempfile::tempdir().unwrap();
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().to_string_lossy().into_owned());
    let slave = File::options().read(true).write(true).open(path).unwrap();
    let mut child = watch(&home, slave.into());
    let (mut drawn, mut screen) = (String::new(), File::from(master));
    // Each drawing ends so; a third is one that was drawn over another.
    while drawn.matches("\x1b[?7h").count() < 3 {
        let mut piece = [0; 4096];
        let count = screen.read(&mut piece).unwrap();
        drawn.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::INT.as_raw()));
    assert_eq!(drawn.matches("no agent answers at /nowhere/agent.sock").count(), 3, "{drawn:?}");
    assert!(drawn.contains("A\r") && drawn.contains("Ctrl-C ends it."), "{drawn:?}");
}

#[test]
fn without_a_terminal_it_names_what_programs_use() {
    let home = tempfile::tempdir().unwrap();
    let output = watch(&home, Stdio::piped()).wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(64), &b""[..]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--watch") && said.contains("status --json"), "{said}");
}
