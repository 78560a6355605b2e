//! What the README says to type is typed, line by line, in a home where nothing is yet; only ports and the code differ.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use spoolway_tests::at_port::{BAUD, commands};
use spoolway_tests::pty::{PtyOptions, PtyPrinter, ResetOnOpen};

const README: &str = include_str!("../../../README.md");
const BENCH: &str = env!("CARGO_BIN_EXE_spoolway-bench");
/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(120);

/// The commands of the block behind a headline, without their comments.
fn block(headline: &str) -> Vec<String> {
    let behind = README.split(&format!("\n## {headline}\n")).nth(1).expect("the headline");
    let block = behind.split("```\n").nth(1).expect("a block");
    let commands = block.lines().map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned());
    commands.filter(|line| !line.is_empty()).collect()
}

/// Somebody who has built the programs and begins.
struct Newcomer {
    dir: tempfile::TempDir,
    aliases: Vec<String>,
    /// What stands in the README for what is different everywhere.
    here: BTreeMap<&'static str, String>,
}

impl Newcomer {
    fn new(port: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let built = dir.path().join("target/release");
        std::fs::create_dir_all(&built).unwrap();
        for program in ["agent", "relay"] {
            let file = built.join(format!("spoolway-{program}"));
            std::fs::write(&file, format!("#!/bin/sh\nexec '{BENCH}' shipped {program} \"$@\"\n")).unwrap();
            std::fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
        }
        let here = BTreeMap::from([("/dev/ttyACM0", port.display().to_string())]);
        Self { dir, aliases: Vec::new(), here }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// A line as a shell takes it.
    fn shell(&self, line: &str) -> Command {
        let line = self.here.iter().fold(line.to_owned(), |line, (there, here)| line.replace(there, here));
        let script = format!("shopt -s expand_aliases\n{}\n{line}\n", self.aliases.join("\n"));
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-c", &script]).current_dir(self.dir.path());
        command.env_clear().env("HOME", self.home()).env("PATH", std::env::var_os("PATH").unwrap());
        // The ports that stand in the README may be taken here.
        command.env("SPOOLWAY_RELAY_LISTEN_ADDRESS", "127.0.0.1:0").env("SPOOLWAY_RELAY_ADMIN_ADDRESS", "");
        if geteuid().is_root() {
            // Root's folders are the machine's.
            for name in ["STATE", "CONFIGURATION", "RUNTIME"] {
                command.env(format!("{name}_DIRECTORY"), self.home().join(name));
            }
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command
    }

    /// Runs it to its end.
    fn says(&self, line: &str) -> Output {
        self.shell(line).stdin(Stdio::null()).output().unwrap()
    }

    fn done(&self, line: &str) -> String {
        let Output { status, stdout, stderr } = self.says(line);
        let said = String::from_utf8([stdout, stderr].concat()).unwrap();
        assert!(status.success(), "{line}: {status}\n{said}");
        said
    }

    /// Runs it again until it has worked and says something; an agent takes its time to find its printer.
    fn until(&self, line: &str, word: &str) -> String {
        let begun = Instant::now();
        loop {
            let Output { status, stdout, stderr } = self.says(line);
            let said = String::from_utf8([stdout, stderr].concat()).unwrap();
            if status.success() && said.contains(word) {
                return said;
            }
            assert!(begun.elapsed() < HANG, "{line}: {status}\n{said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Another terminal.
    fn terminal(&self, line: &str) -> Terminal {
        let mut child = self.shell(line).spawn().unwrap();
        let (heard, lines) = std::sync::mpsc::channel();
        let (out, errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        for stream in [Box::new(out) as Box<dyn Read + Send>, Box::new(errors)] {
            let heard = heard.clone();
            // A question has no end of line.
            std::thread::spawn(move || {
                let pieces = BufReader::new(stream).split(b'\n').map_while(Result::ok);
                pieces.for_each(|piece| drop(heard.send(String::from_utf8_lossy(&piece).into_owned())));
            });
        }
        let keys = child.stdin.take().unwrap();
        Terminal { child, keys, lines, said: String::new() }
    }
}

/// A program that runs until the test is over.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    lines: std::sync::mpsc::Receiver<String>,
    said: String,
}

impl Terminal {
    /// What stands behind a word, as soon as it is shown.
    fn shows(&mut self, word: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(HANG).unwrap_or_else(|_| panic!("no {word}: {}", self.said));
            self.said += &format!("{line}\n");
            if let Some((_, rest)) = line.split_once(word) {
                return rest.trim().to_owned();
            }
        }
    }

    fn types(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
    }

    fn ends_well(&mut self) -> String {
        let status = self.child.wait().unwrap();
        self.said.extend(self.lines.iter().map(|line| line + "\n"));
        assert!(status.success(), "{status}\n{}", self.said);
        self.said.clone()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process");
        let _ = kill_process_group(group, Signal::TERM);
        drop(self.child.wait());
    }
}

#[test]
fn the_readme_leads_from_an_empty_home_to_a_print_and_to_an_agent_that_is_paired() {
    let mut options = PtyOptions::uart(BAUD);
    options.reset_on_open = ResetOnOpen::Never;
    let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
    let mut newcomer = Newcomer::new(board.path());
    let moves: Vec<_> = (0..1_500).map(|n| format!("G1 X{}.{} F6000", 20 + n / 10 % 2, n % 10)).collect();
    std::fs::write(newcomer.dir.path().join("part.gcode"), moves.join("\n")).unwrap();
    alone(&mut newcomer);
    paired(&mut newcomer);
    let run = board.finish().unwrap();
    let done = commands(run.printer.executed()).into_iter().filter(|line| line.starts_with("G1 X2"));
    assert!(done.take(moves.len()).eq(moves), "the first print was whole");
}

/// Each line of the first block.
fn alone(newcomer: &mut Newcomer) {
    let mut terminals = Vec::new();
    for line in block("A first print, with the agent alone") {
        match line.as_str() {
            "cargo build --release" => {}
            alias if alias.starts_with("alias ") => newcomer.aliases.push(line),
            // It would open whatever is plugged in where this runs; its own tests play the ports.
            "agent detect" => {}
            run if run.starts_with("agent run ") => terminals.push(newcomer.terminal(run)),
            "agent status" => drop(newcomer.until(&line, "idle")),
            "agent print part.gcode --follow" => {
                assert!(newcomer.done(&line).contains("completed"));
                newcomer.done("agent print part.gcode");
            }
            // The second one waits for the bed.
            "agent cancel" => assert_eq!(newcomer.says(&line).status.code(), Some(1)),
            "agent bed clear" => {
                // At a terminal it asks; without one it says how else.
                let said = newcomer.says(&line);
                assert!(String::from_utf8(said.stderr).unwrap().contains("--epoch 1"));
                newcomer.done(&format!("{line} --epoch 1"));
                newcomer.until("agent cancel", "");
                newcomer.until("agent status", "idle");
            }
            "agent console" => {
                let mut console = newcomer.terminal(&line);
                console.types("M115\n");
                console.shows("FIRMWARE_NAME");
            }
            other => panic!("nobody has tried {other:?}"),
        }
    }
}

/// Each line of the second one.
fn paired(newcomer: &mut Newcomer) {
    let mut terminals = Vec::new();
    for line in block("Agent, relay and backend") {
        match line.as_str() {
            alias if alias.starts_with("alias ") => newcomer.aliases.push(line),
            "relay run" => {
                let mut relay = newcomer.terminal(&line);
                let up = relay.shows("relay is up");
                let port = up.split("127.0.0.1:").nth(1).unwrap();
                let port = port.chars().take_while(char::is_ascii_digit).collect();
                newcomer.here.insert("8443", port);
                terminals.push(relay);
            }
            pair if pair.starts_with("agent pair ") => {
                let mut agent = newcomer.terminal(pair);
                let code = agent.shows("Code ");
                newcomer.here.insert("CODE", code.split(' ').next().unwrap().to_owned());
                terminals.push(agent);
            }
            "relay pair approve CODE" => {
                let mut approves = newcomer.terminal(&line);
                let mut agent = terminals.pop().unwrap();
                assert_eq!(approves.shows("Words "), agent.shows("Words "));
                approves.types("y\n");
                agent.types("y\n");
                assert!(agent.ends_well().contains("farm"));
                assert!(approves.ends_well().contains("may connect"));
            }
            run if run.starts_with("agent run ") => terminals.push(newcomer.terminal(run)),
            "relay agents" => drop(newcomer.until(&line, " farm ")),
            once => drop(newcomer.done(once)),
        }
    }
    newcomer.until("agent status", "Link      up ");
}
