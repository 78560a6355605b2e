//! `spoolway-agent setup` as a process of its own: at a board that knows one question, with a person behind a pipe, and without anybody.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// What an administrator has written.
const OWN: &str = "# The left one, beside the window.\n[printer]\nbaud = 9600 # to be found out\nnozzle_mm = 0.6\n\n[log]\nlevel = \"warn\" # quiet\n";

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        Self(dir)
    }

    fn with(config: &str) -> Self {
        let home = Self::new();
        fs::write(home.config(), config).unwrap();
        home
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("etc/agent.toml")
    }

    /// A name of the printer's port that stays the same.
    fn port(&self) -> PathBuf {
        self.0.path().join("printer")
    }

    /// A board behind that name.
    fn plug_in(&self) -> JoinHandle<()> {
        let (master, path) = terminal();
        let _ = fs::remove_file(self.port());
        symlink(path, self.port()).unwrap();
        board(master)
    }

    /// The program; what is typed comes through a pipe, and nothing at all is an input at its end.
    fn setup(&self, words: &[&str], typed: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spoolway-agent"));
        command.arg("setup").args(words).env_clear().env("HOME", self.0.path()).env("PATH", "/usr/bin:/bin");
        for (name, folder) in
            [("CONFIGURATION_DIRECTORY", "etc"), ("STATE_DIRECTORY", "state"), ("RUNTIME_DIRECTORY", "run")]
        {
            command.env(name, self.0.path().join(folder));
        }
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Whoever leaves without reading all of it has heard enough.
        let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn at_port(&self, words: &[&str], typed: &str) -> Output {
        let port = self.port();
        self.setup(&[&["--printer", port.to_str().unwrap()], words].concat(), typed)
    }
}

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
fn board(master: OwnedFd) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut out = File::from(master.try_clone().unwrap());
        let mut lines = BufReader::new(File::from(master)).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "M115"));
        let answer = "FIRMWARE_NAME:Marlin 2.1.2 (Jan 1 2024) MACHINE_TYPE:RepRap UUID:cede2a2f\nok\n";
        out.write_all(answer.as_bytes()).unwrap();
        lines.for_each(drop);
    })
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(text).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// The settings of a file by their dotted names.
fn printer_of(config: &Path) -> toml::Table {
    let table: toml::Table = fs::read_to_string(config).unwrap().parse().unwrap();
    table["printer"].as_table().unwrap().clone()
}

#[test]
fn an_authority_that_is_none_is_named_before_anything_is_opened_or_written() {
    let home = Home::new();
    let none = home.0.path().join("etc/none.pem");
    for (file, why) in
        [(none.clone(), "No such file"), (home.0.path().join("etc/text"), "holds no certificate")]
    {
        if file != none {
            fs::write(&file, "no PEM\n").unwrap();
        }
        let ca = format!("--ca={}", file.display());
        let refused = home.setup(&["--yes", "--relay=wss://localhost:1", &ca, "--words=unseen"], "");
        let text = String::from_utf8(refused.stderr.clone()).unwrap();
        assert_eq!(refused.status.code(), Some(64), "{text}");
        assert!(
            text.starts_with(&format!("error: --ca {}: ", file.display())) && text.contains(why),
            "{text}"
        );
        assert!(refused.stdout.is_empty() && !home.config().exists(), "nothing was begun");
    }
}

#[test]
fn without_questions_a_printer_is_found_and_written_down() {
    let home = Home::new();
    let board = home.plug_in();
    let output = home.at_port(&["--yes", "--relay", "none"], "");
    let text = said(&output);
    assert_eq!(code(&output), 0, "{text}");
    board.join().unwrap();
    let printer = printer_of(&home.config());
    assert_eq!(printer["port"].as_str(), home.port().to_str());
    assert_eq!((printer["baud"].as_integer(), printer.get("profile")), (Some(115_200), None));
    assert_eq!(fs::metadata(home.config()).unwrap().mode() & 0o777, 0o640);
    for part in ["A printer answers.", "Marlin 2.1.2", "What to do next", "spoolway-agent run"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains('?'), "something is asked:\n{text}");
}

#[test]
fn a_person_is_asked_and_what_an_administrator_wrote_stays() {
    let home = Home::with(OWN);
    fs::set_permissions(home.config(), fs::Permissions::from_mode(0o604)).unwrap();
    let board = home.plug_in();
    let output = home.at_port(&[], "what?\ny\nnone\n\n");
    let text = said(&output);
    assert_eq!(code(&output), 0, "{text}");
    board.join().unwrap();
    for part in
        ["Type y or n.", "Open them? [Y/n]", "Relay? [none]", "printer.baud = 115200", "Do that? [Y/n]"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let now = fs::read_to_string(home.config()).unwrap();
    for kept in [
        "# The left one, beside the window.",
        "# to be found out",
        "nozzle_mm = 0.6",
        "level = \"warn\" # quiet",
    ] {
        assert!(now.contains(kept), "{kept} is not in\n{now}");
    }
    assert!(now.contains("baud = 115200 # to be found out"), "{now}");
    assert_eq!(fs::metadata(home.config()).unwrap().mode() & 0o777, 0o604);
}

#[test]
fn a_second_run_writes_nothing_anew() {
    let home = Home::new();
    let inode = || fs::metadata(home.config()).unwrap().ino();
    let board = home.plug_in();
    assert_eq!(code(&home.at_port(&["--yes"], "")), 0);
    board.join().unwrap();
    let (first, text) = (inode(), fs::read_to_string(home.config()).unwrap());
    let board = home.plug_in();
    let output = home.at_port(&["--yes"], "");
    board.join().unwrap();
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert_eq!((inode(), fs::read_to_string(home.config()).unwrap()), (first, text));
    assert!(!said(&output).contains("Written:"), "{}", said(&output));
}

#[test]
fn an_input_that_ends_changes_nothing_and_says_how_else_to_answer() {
    for (typed, key) in [("", "--open"), ("y\n", "--relay"), ("y\nnone\n", "--apply")] {
        let home = Home::with(OWN);
        let board = home.plug_in();
        let output = home.at_port(&[], typed);
        let text = said(&output);
        assert_eq!(code(&output), 64, "{text}");
        assert!(text.contains(key) && text.contains("ssh -t HOST"), "{text}");
        assert_eq!(fs::read_to_string(home.config()).unwrap(), OWN);
        if typed.is_empty() {
            // Nobody has opened it; the board goes with the test.
            drop(board);
        } else {
            board.join().unwrap();
        }
    }
}

#[test]
fn a_no_leaves_everything_as_it_is() {
    let home = Home::with(OWN);
    let board = home.plug_in();
    let output = home.at_port(&[], "y\nnone\nn\n");
    board.join().unwrap();
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(said(&output).contains("Nothing was changed."), "{}", said(&output));
    assert_eq!(fs::read_to_string(home.config()).unwrap(), OWN);
    assert!(!home.0.path().join("state").exists(), "no key was made");
}

#[test]
fn a_program_that_holds_the_port_is_named() {
    let home = Home::new();
    let (_master, path) = terminal();
    symlink(&path, home.port()).unwrap();
    let _held = File::options().read(true).write(true).open(&path).unwrap();
    let output = home.at_port(&["--yes"], "");
    let text = said(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code(&output), 69, "{text}");
    assert!(text.contains(&format!("(process {})", std::process::id())), "{text}");
    assert!(text.contains("[port.busy]") && text.contains("spoolway-agent explain port.busy"), "{text}");
    assert!(!home.config().exists());
}

#[test]
fn a_port_that_is_not_there_is_named_and_none_is_needed_where_that_is_said() {
    let home = Home::new();
    let output = home.at_port(&["--yes"], "");
    assert_eq!(code(&output), 69);
    assert!(said(&output).contains("[port.missing]"), "{}", said(&output));
    let answers = home.0.path().join("answers.toml");
    fs::write(&answers, "printer = \"none\"\nrelay = \"none\"\nopen = false\n").unwrap();
    let output = home.setup(&["--yes", "--answers", answers.to_str().unwrap()], "");
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(!home.config().exists(), "there is nothing to write");
}

#[test]
fn a_configuration_that_is_broken_is_left_alone() {
    let broken = "[printer]\nbuad = 1\n";
    let home = Home::with(broken);
    let output = home.setup(&["--yes"], "");
    let text = said(&output);
    assert_eq!(code(&output), 78, "{text}");
    assert!(text.contains("[config.broken]") && text.contains("buad"), "{text}");
    assert_eq!(fs::read_to_string(home.config()).unwrap(), broken);
}

#[test]
fn where_nobody_compares_the_words_nothing_is_begun() {
    let home = Home::new();
    let board = home.plug_in();
    let output = home.at_port(&["--yes", "--relay", "wss://localhost:1"], "");
    board.join().unwrap();
    let text = said(&output);
    assert_eq!(code(&output), 64, "{text}");
    assert!(text.contains("`words`") && text.contains("--words"), "{text}");
    assert!(!home.config().exists() && !home.0.path().join("state").exists());
}

#[test]
fn a_relay_that_is_not_there_fails_with_its_code_and_the_printer_stays_set_up() {
    let home = Home::new();
    let board = home.plug_in();
    let output = home.at_port(&["--yes", "--relay", "wss://localhost:1", "--words", "unseen"], "");
    board.join().unwrap();
    let text = said(&output);
    assert_eq!(code(&output), 69, "{text}");
    assert!(text.contains("[network.tcp]") && text.contains("spoolway-agent doctor"), "{text}");
    assert_eq!(printer_of(&home.config())["baud"].as_integer(), Some(115_200));
}

#[test]
fn a_file_of_answers_that_says_something_else_is_refused_before_anything_is_done() {
    let home = Home::with(OWN);
    let answers = home.0.path().join("answers.toml");
    fs::write(&answers, "relay = \"none\"\ntets = \"no\"\n").unwrap();
    let output = home.setup(&["--answers", answers.to_str().unwrap()], "");
    let text = said(&output);
    assert_eq!(code(&output), 64, "{text}");
    assert!(text.contains("answers.toml: line 2"), "{text}");
}
