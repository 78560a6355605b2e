//! The command line as an operator uses it: exit codes, and a relay in a process of its own.

use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};

use crate::program::Program;

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
    for part in ["admin.sock", "`sudo systemctl start spoolway-relay`", "`spoolway-relay run`", "--folder"] {
        assert!(code == 69 && error.contains(part), "{part}: {code} {error}");
    }
    let (code, error) = code_of(folder, &["config", "check", "nowhere.toml"]);
    assert!(code == 78 && error.matches("(os error 2)").count() == 1, "{code} {error}");
    let (code, error) = code_of(folder, &["run"]);
    assert!(code == 78 && error.contains("certs init"), "{code} {error}");
    for host in ["https://relay.example:8443", "relay.example:8443", "bad host!", ""] {
        let (code, error) = code_of(folder, &["certs", "init", "--host", host]);
        assert!(code == 64 && error.contains("--host"), "{host}: {code} {error}");
    }
    assert!(!folder.join("tls").exists() && !folder.join("relay.toml").exists(), "nothing was written");
    let (code, error) = code_of(folder, &["config", "check", "--set", "relay.hosts=relay.example:8443"]);
    assert!(
        code == 78 && error.contains("relay.hosts") && error.contains("as in relay.example"),
        "{code} {error}"
    );
    let names = ["certs", "init", "--host", "relay.example", "192.0.2.1"];
    let said = relay(folder).args(names).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    // It would refuse them all without.
    assert!(said.ends_with("(these names are what agents may dial)\n"), "{said}");
    let begun = std::fs::read_to_string(folder.join("relay.toml")).unwrap();
    assert_eq!(begun, "[relay]\nhosts = [\"relay.example\", \"192.0.2.1\"]\n");
    let (code, error) = code_of(folder, &["config", "check"]);
    assert_eq!(code, 0, "{error}");
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
fn a_configuration_that_somebody_has_written_is_not_touched_by_new_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("relay.toml");
    std::fs::write(&file, "# ours\n").unwrap();
    let said = relay(dir.path()).args(["certs", "init", "--host", "relay.example"]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("relay.toml") && said.ends_with("hosts = [\"relay.example\"]\n"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "# ours\n");
}

#[test]
fn only_the_first_backend_makes_a_registry() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("typo");
    let key = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let id = spoolway_relay::auth::agent_id_of(&[7; 32]).to_string();
    let typed: [&[&str]; 11] = [
        &["backend", "list"],
        &["backend", "revoke", "farm"],
        &["agent", "list"],
        &["agent", "add", "--id", &id, "--key", key, "--backend", "farm"],
        &["agent", "release", &id],
        &["pair", "list"],
        &["pair", "approve", "K7QX-M4TD"],
        &["enrol", "list"],
        &["enrol", "add", "--backend", "farm"],
        &["enrol", "revoke", "9f86d081"],
        &["audit"],
    ];
    for args in typed {
        let (code, error) = code_of(&folder, args);
        for part in ["there is no registry at", "typo/registry.db", "--folder", "`sudo -u spoolway-relay "] {
            assert!(code == 78 && error.contains(part), "{args:?}: {part}: {code} {error}");
        }
        assert!(!folder.exists(), "{args:?} has made it");
    }
    assert_eq!(code_of(&folder, &["backend", "add", "farm"]).0, 0);
    assert!(folder.join("registry.db").exists());
    assert_eq!(code_of(&folder, &["backend", "list"]).0, 0);
}

#[test]
fn no_card_gets_an_address_that_agents_refuse() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    assert_eq!(code_of(folder, &["backend", "add", "farm"]).0, 0);
    let add = |more: &[&str]| code_of(folder, &[&["enrol", "add", "--backend", "farm"], more].concat());
    for address in ["foo", "ws://foo", "wss://foo:0", "wss://bad host"] {
        let (code, error) = add(&["--relay", address]);
        assert!(code == 64 && error.contains("--relay"), "{address}: {code} {error}");
    }
    let (code, error) = add(&["--set", "relay.hosts=spoolway_relay"]);
    assert!(code == 78 && error.contains("underscore") && error.contains("--relay"), "{code} {error}");
    let tokens = relay(folder).args(["enrol", "list"]).output().unwrap();
    assert!(tokens.status.success() && tokens.stdout.is_empty(), "one was stored: {tokens:?}");
    let only_here = "These cards lead to this machine only: name the relay with --relay.\n";
    let (code, error) = add(&[]);
    assert!(code == 0 && error.matches(only_here).count() == 1, "{code} {error}");
    for more in [["--relay", "wss://relay.example:8443"], ["--set", "relay.hosts=localhost,relay.example"]] {
        let (code, error) = add(&more);
        assert!(code == 0 && !error.contains("lead to this machine"), "{code} {error}");
    }
}

#[test]
fn every_change_of_the_registry_by_hand_is_kept_with_who_has_made_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let key = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let id = spoolway_relay::auth::agent_id_of(&[7; 32]).to_string();
    let typed: [&[&str]; 6] = [
        &["backend", "add", "farm", "--organisation", "school"],
        &["agent", "add", "--id", &id, "--key", key, "--backend", "farm"],
        &["agent", "release", &id],
        &["enrol", "add", "--backend", "farm", "--uses", "3"],
        &["agent", "revoke", &id],
        &["backend", "revoke", "farm"],
    ];
    for args in typed {
        let (code, error) = code_of(folder, args);
        assert_eq!(code, 0, "{args:?}: {error}");
    }
    assert_eq!(code_of(folder, &["agent", "revoke", &id.replace(&id[..1], "0")]).0, 1, "it is unknown");
    let output = relay(folder).args(["audit", "--json"]).output().unwrap();
    let rows = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<serde_json::Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    let actions: Vec<_> = rows.iter().map(|row| row["action"].as_str().unwrap()).collect();
    let expected =
        ["backend.add", "agent.add", "agent.release", "enrolment.add", "agent.revoke", "backend.revoke"];
    assert_eq!(actions, expected);
    let uid = format!("uid {}", rustix::process::getuid().as_raw());
    assert!(rows.iter().all(|row| row["actor"].as_str().unwrap().starts_with(&uid)), "{rows:?}");
    assert_eq!(
        (&rows[1]["subject"], &rows[1]["detail"]),
        (&format!("a:{id}").into(), &"backend farm".into())
    );
    let output = relay(folder).args(["audit", "--last", "1"]).output().unwrap();
    let people = String::from_utf8(output.stdout).unwrap();
    assert!(people.lines().count() == 2 && people.contains("backend.revoke  b:farm"), "{people}");
}

#[test]
fn limits_and_certificate_are_taken_over_at_sighup_without_a_new_start() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    assert_eq!(code_of(folder, &["certs", "init"]).0, 0);
    let mut program = Program::start(folder);
    let (address, pid) = (program.bound.public, rustix::process::Pid::from_child(&program.child));
    let mut hang_up = |settings: &str, said: &str| {
        std::fs::write(folder.join("relay.toml"), settings).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        assert!(program.log.any(|line| line.unwrap().contains(said)), "{said}");
    };
    let is_closed_at_once = |mut tcp: TcpStream| matches!(tcp.read(&mut [0]), Ok(0) | Err(_));
    let first = TcpStream::connect(address).unwrap();
    hang_up("[limits]\nmax_sockets = 0\n", "the settings in force stay");
    hang_up("[limits]\nmax_sockets = 1\n[drain]\nspread_ms = 1\n", "waits for the next start");
    hang_up("[limits]\nmax_sockets = 1\nbulk_frames = 9\n", "certificate loaded");
    assert!(is_closed_at_once(TcpStream::connect(address).unwrap()), "there is one already");
    drop(first);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(program.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_process_runs_until_it_is_asked_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(code_of(dir.path(), &["certs", "init"]).0, 0);
    let mut program = Program::start(dir.path());
    let pid = rustix::process::Pid::from_child(&program.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(program.log.any(|line| line.unwrap().contains("relay is down")));
    assert_eq!(program.child.wait().unwrap().code(), Some(0));
}
