//! The command line as an operator uses it: exit codes, and a relay in a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn relay(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spoolway-relay"));
    command.arg("--folder").arg(folder);
    command
}

fn code_of(folder: &Path, args: &[&str]) -> (i32, String) {
    let Output { status, stderr, .. } = relay(folder).args(args).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn exit_codes_say_what_went_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    assert_eq!(code_of(folder, &["--version"]).0, 0);
    assert_eq!(code_of(folder, &["dance"]).0, 64);
    assert_eq!(code_of(folder, &["config", "check"]).0, 0);
    let (code, error) = code_of(folder, &["config", "check", "--set", "limits.max_sockets=0"]);
    assert!(code == 78 && error.contains("limits.max_sockets"), "{code} {error}");
    let (code, error) = code_of(folder, &["run"]);
    assert!(code == 78 && error.contains("certs init"), "{code} {error}");
    assert_eq!(code_of(folder, &["certs", "init", "--host", "relay.example", "192.0.2.1"]).0, 0);
    let (code, error) = code_of(folder, &["certs", "init"]);
    assert!(code == 1 && error.contains("exists already"), "{code} {error}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, error) = code_of(folder, &["run", "--listen", &address]);
    assert!(code == 69 && error.contains(&address), "{code} {error}");
    std::fs::write(folder.join("relay.toml"), "[session]\nhb_ms = \"soon\"\n").unwrap();
    let (code, error) = code_of(folder, &["agent", "list"]);
    assert!(code == 78 && error.contains("relay.toml") && error.contains("soon"), "{code} {error}");
}

#[test]
fn a_process_runs_until_it_is_asked_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(code_of(dir.path(), &["certs", "init"]).0, 0);
    let mut child = relay(dir.path())
        .args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--set", "log.format=json"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("relay is up")));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(log.any(|line| line.unwrap().contains("relay is down")));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
