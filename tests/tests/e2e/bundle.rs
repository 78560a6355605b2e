//! What is given away to whoever helps: everything that is needed, and none of the secrets and names that lie about.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spoolway_agent::local::Client;
use spoolway_agent::local::words::Request;
use spoolway_agent::post_mortem::{Record, Shelf};
use spoolway_protocol::JobId;
use spoolway_protocol::printer::PrinterState;
use spoolway_tests::agent_program::{AgentProcess, AgentProgram, AgentSetup};
use spoolway_tests::at_port::{BAUD, HANG};
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread};

use crate::post_mortem::output_of;

/// It plays the agent's own program.
const BENCH: &str = env!("CARGO_BIN_EXE_spoolway-bench");
/// What lies in every place where a secret or a name may lie.
const CANARIES: [&str; 8] = [
    "canary-environment",
    "canary-password-file",
    "canary-display",
    "canary-part",
    "canary-token",
    "canary-login",
    "canary-signature",
    "canary-user",
];

/// Every entry: its name and text.
fn unpack(path: &Path) -> Vec<(String, String)> {
    let mut archive = tar::Archive::new(zstd::Decoder::new(File::open(path).unwrap()).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (name, text)
    });
    entries.collect()
}

fn board() -> PtyThread {
    let mut options = PtyOptions::uart(BAUD);
    options.printer.speed = 20.0;
    PtyPrinter::open(options).unwrap().spawn().unwrap()
}

/// The settings that the command sees: the agent's folder, a relay, and a proxy with a password in a file.
fn settings(folder: &Path) -> std::path::PathBuf {
    let password = folder.join("proxy-password");
    std::fs::write(&password, "canary-password-file\n").unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = folder.join("bundle.toml");
    let text = format!(
        "state_dir = {:?}\n[relay]\nurl = \"wss://localhost:9\"\nproxy = \"http://canary-user@127.0.0.1:9\"\n\
         proxy_password_file = {:?}\n",
        folder.display().to_string(),
        password.display().to_string()
    );
    std::fs::write(&file, text).unwrap();
    file
}

fn bundle(folder: &Path, words: &[&str]) -> Output {
    ask(folder, &[&["bundle"], words].concat())
}

/// What the agent's program says to this.
fn ask(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(BENCH);
    command
        .args(["agent-program", "--config"])
        .arg(settings(folder))
        .arg("--socket")
        .arg(folder.join("agent.sock"))
        .args(words)
        .env("NO_COLOR", "1")
        .env("USER", "canary-user")
        .env("https_proxy", "http://u:canary-environment@127.0.0.1:9")
        .current_dir(folder);
    output_of(command)
}

fn entry<'a>(entries: &'a [(String, String)], name: &str) -> &'a str {
    let found = entries.iter().find(|(of, _)| of.split_once('/').is_some_and(|(_, of)| of == name));
    &found
        .unwrap_or_else(|| panic!("{name} in {:?}", entries.iter().map(|(name, _)| name).collect::<Vec<_>>()))
        .1
}

/// What says that it is JSON can be read as such, whatever was taken out of it.
fn assert_documents(entries: &[(String, String)]) {
    let is_document = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
    for (name, text) in entries {
        let is_broken = match name.rsplit_once('.') {
            Some((_, "json")) => !is_document(text),
            Some((_, "jsonl")) => !text.lines().all(is_document),
            _ => false,
        };
        assert!(!is_broken, "{name} is no JSON: {text}");
    }
}

/// The agent's own program, with the log that it remembers.
struct Agent {
    process: AgentProcess,
}

impl Agent {
    fn start(folder: &Path, port: &Path) -> Self {
        let mut setup = AgentSetup::new(folder, port, BAUD);
        setup.log_level = "trace";
        let program = AgentProgram::within(Path::new(BENCH), "agent-program");
        Self { process: program.start(&setup, &folder.join("agent.log")).unwrap() }
    }

    fn until<T>(&self, what: &str, mut look: impl FnMut(&mut Client) -> Option<T>) -> T {
        let hung = Instant::now() + HANG;
        loop {
            if let Some(found) =
                Client::connect(self.process.socket()).ok().and_then(|mut client| look(&mut client))
            {
                return found;
            }
            assert!(Instant::now() < hung, "waited for {what}: {}", self.process.log_tail());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A log of an older version, or of a program in between, may have said anything: here a record does.
fn spoil(folder: &Path, job: &str) {
    let shelf = Shelf::of(folder);
    let kept = shelf.find(&JobId::new(job).unwrap(), None).unwrap().unwrap();
    let text = "token=canary-token via http://u:canary-login@proxy/ of https://files/a?sig=canary-signature canary-part";
    let spoiled = Record { attempt: kept.attempt + 1, text: Some(text.to_owned()), ..kept };
    shelf.put(&spoiled, None).unwrap();
}

#[test]
fn a_bundle_has_what_is_needed_and_no_secret() {
    let board = board();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_owned();
    let agent = Agent::start(&folder, board.path());
    agent.until("a printer", |client| {
        (client.status().ok()?.printer.state == PrinterState::Idle).then_some(())
    });
    let mut part = "G28\n".to_owned();
    for n in 0..4_000 {
        part.push_str(if n % 20 == 0 { "M117 canary-display\n" } else { "G4 P0\n" });
        part.push_str(&format!("G1 X{} Y20 F6000\n", 20 + n % 2 * 10));
    }
    let file = folder.join("canary-part.gcode");
    std::fs::write(&file, part).unwrap();
    let request = Request::Print { path: file, name: None };
    let id = agent.until("a job", |client| client.job(&request).ok()).job_id;
    let job = id.to_string();
    agent.until("lines that were carried out", |_| (board.control().executed() > 300).then_some(()));
    board.control().reset();
    // A part that is called like a number of the settings is no reason to break them.
    let other = folder.join("other.gcode");
    std::fs::write(&other, "G28\nG1 X10\n").unwrap();
    let named = Request::Print { path: other, name: Some(format!("{BAUD}.gcode")) };
    agent.until("another job", |client| client.job(&named).ok());
    agent.until("its record", |client| client.record(id.clone(), None).unwrap());
    let said = bundle(&folder, &["--out", "one.tar.zst"]);
    let shown = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{shown}{}", String::from_utf8_lossy(&said.stderr));
    let one = unpack(&folder.join("one.tar.zst"));
    for (name, needed) in [
        ("versions.txt", "agent "),
        ("config.toml", "localhost:9"),
        ("doctor.json", "steps"),
        ("status.json", "\"printer\""),
        ("jobs.json", job.as_str()),
        ("log.jsonl", "a post-mortem record of the print is kept"),
        ("files.jsonl", "a post-mortem record of the print is kept"),
        ("wire.txt", " > N"),
        ("disks.txt", " MB free of "),
        ("contents.txt", "Not in it:"),
    ] {
        assert!(entry(&one, name).contains(needed), "{name}: {}", entry(&one, name));
    }
    assert_documents(&one);
    let status: serde_json::Value = serde_json::from_str(entry(&one, "status.json")).unwrap();
    assert_eq!(status["printer"]["baud"], BAUD);
    let record = entry(&one, &format!("post-mortem/{job}.1.json"));
    assert!(record.contains("firmware.reset") && record.contains("M117 [text]"), "{record}");
    assert!(entry(&one, &format!("jobs/{job}.json")).contains("\"interrupted\""));
    assert!(shown.contains("journal.jsonl") && shown.contains("Look into it"), "{shown}");
    // A job that nobody knows is no reason to look for it in a bundle.
    let unknown = bundle(&folder, &["--out", "none.tar.zst", "--job", "nosuch", "--no-doctor"]);
    assert!(!unknown.status.success() && !folder.join("none.tar.zst").exists());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("job.unknown"));
    // Nothing is written over.
    assert!(!bundle(&folder, &["--out", "one.tar.zst"]).status.success());

    // Without an agent the records are read where they lie.
    agent.process.finish().unwrap();
    // Nobody answers any more, and no journal has listened: its own files have what it said of the job.
    let kept = ask(&folder, &["logs", "--files", "--job", &job]);
    let kept = String::from_utf8_lossy(&kept.stdout);
    assert!(kept.contains(" info  job accepted") && kept.lines().all(|line| line.contains(&job)), "{kept}");
    // The log itself, down to every line on the wire, says nothing of people either.
    let log = std::fs::read_to_string(folder.join("agent.log")).unwrap();
    assert!(log.contains(&job) && log.contains("\"target\":\"wire\""), "{log}");
    for canary in CANARIES {
        assert!(!log.contains(canary), "{canary} in the log");
    }
    spoil(&folder, &job);
    let said = bundle(&folder, &["--out", "two.tar.zst", "--job", &job[job.len() - 8..], "--no-doctor"]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let two = unpack(&folder.join("two.tar.zst"));
    assert_documents(&two);
    let spoiled = entry(&two, &format!("post-mortem/{job}.2.json"));
    assert!(spoiled.contains("token=[redacted]") && spoiled.contains("?[redacted]"), "{spoiled}");
    assert!(entry(&two, "contents.txt").contains("status.json: no agent answers"));

    let key = STANDARD.encode(std::fs::read(folder.join("identity/agent.p8")).unwrap());
    for (name, text) in one.iter().chain(&two) {
        for canary in CANARIES {
            // Without an agent nobody knows what its jobs are called.
            let is_known = canary != "canary-part" || one.iter().any(|(of, _)| of == name);
            assert!(
                !is_known || !text.contains(canary) && !name.contains(canary),
                "{canary} in {name}: {text}"
            );
        }
        assert!(!text.contains(&key), "the key is in {name}");
    }
    drop(board);
}
