//! The command line as an operator uses it: exit codes, and a relay in a process of its own.

use std::io::{BufRead, BufReader, Lines, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

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
    std::fs::write(folder.join("other.toml"), "[drain]\nwithin_ms = 0\n").unwrap();
    let (code, error) =
        code_of(folder, &["config", "check", &folder.join("other.toml").display().to_string()]);
    assert!(code == 78 && error.contains("other.toml: drain.within_ms = 0"), "{code} {error}");
    let (code, error) = code_of(folder, &["status"]);
    assert!(code == 69 && error.contains("admin.sock"), "{code} {error}");
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

/// A relay of its own, where it listens, and its log from there on.
fn started(folder: &Path) -> (Child, String, Lines<BufReader<ChildStderr>>) {
    let mut child = relay(folder)
        .args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--set", "log.format=json"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let up = log.find_map(|line| Some(line.unwrap()).filter(|line| line.contains("relay is up"))).unwrap();
    let up: serde_json::Value = serde_json::from_str(&up).unwrap();
    let address = up["fields"]["public"].as_str().unwrap().to_owned();
    (child, address, log)
}

#[test]
fn limits_and_certificate_are_taken_over_at_sighup_without_a_new_start() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    assert_eq!(code_of(folder, &["certs", "init"]).0, 0);
    let (mut child, address, mut log) = started(folder);
    let pid = rustix::process::Pid::from_child(&child);
    let mut hang_up = |settings: &str, said: &str| {
        std::fs::write(folder.join("relay.toml"), settings).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        assert!(log.any(|line| line.unwrap().contains(said)), "{said}");
    };
    let is_closed_at_once = |mut tcp: TcpStream| matches!(tcp.read(&mut [0]), Ok(0) | Err(_));
    let first = TcpStream::connect(&address).unwrap();
    hang_up("[limits]\nmax_sockets = 0\n", "the settings in force stay");
    hang_up("[limits]\nmax_sockets = 1\n[drain]\nspread_ms = 1\n", "waits for the next start");
    hang_up("[limits]\nmax_sockets = 1\nbulk_frames = 9\n", "certificate loaded");
    assert!(is_closed_at_once(TcpStream::connect(&address).unwrap()), "there is one already");
    drop(first);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_process_runs_until_it_is_asked_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(code_of(dir.path(), &["certs", "init"]).0, 0);
    let (mut child, _, mut log) = started(dir.path());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(log.any(|line| line.unwrap().contains("relay is down")));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
