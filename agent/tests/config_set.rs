//! `config set` at a program of its own: what it writes, what it says, and what it leaves alone.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::process::{Command, Output};

const MINE: &str = "# mine\n[printer]\nport = '/dev/a' # left\n\n[log]\nlevel = \"warn\"\n";

struct Home {
    dir: tempfile::TempDir,
    variables: Vec<(&'static str, &'static str)>,
}

impl Home {
    fn with(config: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        let home = Self { dir, variables: Vec::new() };
        if let Some(config) = config {
            std::fs::write(home.file(), config).unwrap();
        }
        home
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("etc/agent.toml")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }

    fn set(&self, settings: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spoolway-agent"));
        command.args(["config", "set"]).args(settings).env_clear().envs(self.variables.iter().copied());
        for (name, folder) in
            [("CONFIGURATION_DIRECTORY", "etc"), ("STATE_DIRECTORY", "state"), ("RUNTIME_DIRECTORY", "run")]
        {
            command.env(name, self.dir.path().join(folder));
        }
        let Output { status, stdout, stderr } = command.output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }
}

#[test]
fn keys_are_set_in_their_place_and_it_says_what_they_were() {
    let home = Home::with(Some(MINE));
    let (code, said, complaint) = home.set(&["printer.port=/dev/b", "printer.baud=250000"]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    assert!(said.contains("printer.port = \"/dev/b\" (it was \"/dev/a\")"), "{said}");
    assert!(said.contains("printer.baud = 250000 (it was 115200)"), "{said}");
    assert!(said.contains("systemctl restart spoolway-agent.service"), "{said}");
    assert_eq!(
        home.text(),
        "# mine\n[printer]\nport = \"/dev/b\" # left\nbaud = 250000\n\n[log]\nlevel = \"warn\"\n"
    );
    let (code, said, _) = home.set(&["printer.baud=250000"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("says so already; nothing is written"), "{said}");
}

#[test]
fn all_of_them_are_written_or_none() {
    let home = Home::with(Some(MINE));
    for (settings, code, words) in [
        (&["printer.baud=250000", "printer.porrt=/dev/b"][..], 78, "did you mean `printer.port`?"),
        (&["printer.baud=250000", "log.level=loud"], 78, "must be error, warn, info"),
        (&["printer.baud=250000", "printer.profile=nobodys"], 78, "printer.profile = nobodys"),
        (&["printer.baud=250000", "relay.ca_file=/nonexistent/ca.pem"], 78, "relay.ca_file = /nonexistent"),
        (&["printer.baud"], 64, "is no KEY=VALUE"),
        (&[], 64, "KEY=VALUE"),
    ] {
        let (ended, _, complaint) = home.set(settings);
        assert_eq!(ended, Some(code), "{complaint}");
        assert!(complaint.contains(words), "{complaint}");
        assert_eq!(home.text(), MINE);
    }
}

#[test]
fn a_value_that_is_wrong_in_the_file_is_mended_and_another_one_is_named() {
    let home = Home::with(Some("[printer]\nbaud = 12\n"));
    let (code, said, complaint) = home.set(&["printer.baud=115200"]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""), "{said}");
    assert_eq!(home.text(), "[printer]\nbaud = 115200\n");
    let home = Home::with(Some("[printer]\nbaud = 12\n"));
    let (code, _, complaint) = home.set(&["log.level=warn"]);
    assert_eq!(code, Some(78));
    assert!(complaint.contains("line 2: printer.baud = 12"), "{complaint}");
    assert_eq!(home.text(), "[printer]\nbaud = 12\n");
}

#[test]
fn a_file_that_is_not_there_is_made_and_a_variable_that_goes_first_is_named() {
    let mut home = Home::with(None);
    home.variables.push(("SPOOLWAY_AGENT_LOG_LEVEL", "debug"));
    let (code, said, complaint) = home.set(&["log.level=warn"]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    assert!(said.contains("but SPOOLWAY_AGENT_LOG_LEVEL goes before it"), "{said}");
    assert!(home.text().starts_with("# Written by `spoolway-agent config set`."), "{}", home.text());
    assert!(home.text().ends_with("[log]\nlevel = \"warn\"\n"), "{}", home.text());
}

#[test]
fn a_password_is_neither_taken_nor_repeated() {
    let home = Home::with(None);
    let (code, said, complaint) = home.set(&["relay.proxy=http://lab:secret@proxy.example.org:3128"]);
    assert_eq!(code, Some(78), "{complaint}");
    assert!(complaint.contains("relay.proxy_password_file"), "{complaint}");
    assert!(!format!("{said}{complaint}").contains("secret") && !home.file().exists(), "{said}{complaint}");
}
