//! `spoolway-agent detect` as a process of its own, at a board that knows one question.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

fn terminal() -> (OwnedFd, PathBuf) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().to_string_lossy().into_owned());
    let mut modes = rustix::termios::tcgetattr(&master).unwrap();
    modes.make_raw();
    rustix::termios::tcsetattr(&master, rustix::termios::OptionalActions::Now, &modes).unwrap();
    (master, path)
}

/// Answers M115 and then ends with the terminal.
fn board(master: OwnedFd) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut out = File::from(master.try_clone().unwrap());
        let mut lines = BufReader::new(File::from(master)).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "M115"));
        let answer = "FIRMWARE_NAME:Marlin 2.1.2 (Jan 1 2024) MACHINE_TYPE:RepRap UUID:cede2a2f\nok\n";
        out.write_all(answer.as_bytes()).unwrap();
        // Until the other end has closed the terminal.
        lines.for_each(drop);
    })
}

fn detect(folder: &Path, words: &[&str]) -> Output {
    let config = folder.join("agent.toml");
    std::fs::write(&config, "").unwrap();
    Command::new(env!("CARGO_BIN_EXE_spoolway-agent"))
        .arg("--config")
        .arg(config)
        .arg("--socket")
        .arg(folder.join("agent.sock"))
        .arg("detect")
        .args(words)
        .env_clear()
        .env("HOME", folder)
        .output()
        .unwrap()
}

#[test]
fn a_printer_is_found_without_an_agent_and_told_for_people_and_programs() {
    let folder = tempfile::tempdir().unwrap();
    for json in [false, true] {
        let (master, path) = terminal();
        let board = board(master);
        let port = path.to_str().unwrap();
        let words: Vec<&str> = if json { vec![port, "--json"] } else { vec![port] };
        let output = detect(folder.path(), &words);
        let (said, complained) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{said}{complained}");
        board.join().unwrap();
        if json {
            let row: serde_json::Value = serde_json::from_str(&said).unwrap();
            assert_eq!(row["outcome"], "printer");
            assert_eq!((&row["port"], &row["baud"]), (&port.into(), &115_200.into()));
            assert_eq!(row["profile"], "marlin");
        } else {
            for part in ["printer: Marlin 2.1.2", "on RepRap", "[printer]", port, "baud = 115200"] {
                assert!(said.contains(part), "{part} is not in\n{said}");
            }
        }
    }
}

#[test]
fn a_port_that_somebody_has_open_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (_master, path) = terminal();
    let _held = File::options().read(true).write(true).open(&path).unwrap();
    let output = detect(folder.path(), &[path.to_str().unwrap()]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("left alone") && said.contains(&format!("process {}", std::process::id())),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(69));
}

#[test]
fn a_port_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = detect(folder.path(), &["/dev/no-such-printer"]);
    let complained = String::from_utf8(output.stderr).unwrap();
    assert!(
        complained.contains("/dev/no-such-printer") && complained.contains("[port.missing]"),
        "{complained}"
    );
    assert_eq!(output.status.code(), Some(69));
}
