//! A print over networks as they are: loss, delay, doubled and overtaking packets, a partition, a black hole. Relay, agent and
//! backend are real; between them is a cable that they know nothing of.
//!
//! Each test has a network of its own (`unshare`), which only root may make: they are run by name (`--include-ignored`).

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use spoolway_agent::local::Client;
use spoolway_protocol::job::Outcome;
use spoolway_protocol::{Event, Message};
use spoolway_tests::backend::{Backend, Ending, Print, Progress};
use spoolway_tests::demo::house::{House, PrinterPlan};
use spoolway_tests::expected::Commands;
use tokio::sync::mpsc;

use crate::ready::await_printer;

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
/// Says to the test that it has a network of its own.
const OWN_NETWORK: &str = "SPOOLWAY_TEST_OWN_NETWORK";
/// Where the relay listens, and where everybody else finds it.
const NEAR: &str = "10.77.0.1";
const FAR: &str = "10.77.0.2";
/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(240);

/// Runs the test of this name again, in a network of its own where `localhost` is the far end of the cable; whether this is
/// that run.
fn is_alone(test: &str) -> bool {
    if std::env::var_os(OWN_NETWORK).is_some() {
        return true;
    }
    let hosts = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(hosts.path(), format!("{FAR} localhost\n")).unwrap();
    let script = r#"mount --bind "$0" /etc/hosts && exec "$@""#;
    let ended = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "sh", "-c", script])
        .arg(hosts.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("cable::{test}"), "--include-ignored", "--nocapture"])
        .env(OWN_NETWORK, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && said.contains("1 passed"),
        "only root may make networks; {}: {said}{}",
        ended.status,
        String::from_utf8_lossy(&ended.stderr)
    );
    false
}

/// What lies between the relay and everybody else.
struct Cable {
    child: Child,
    told: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Cable {
    fn plug() -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/cable.py");
        let mut child = Command::new("python3")
            .arg(program)
            .args(["cable", NEAR, FAR])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (told, says) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut cable = Self { child, told, says };
        cable.until_said("up");
        cable
    }

    fn set(&mut self, what: &str, to: f64) {
        writeln!(self.told, "{what} {to}").unwrap();
        self.until_said(what);
    }

    fn until_said(&mut self, word: &str) {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), word);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A house with a cable in it, and the backend's view of one print.
struct Bench {
    cable: Cable,
    house: House,
    commands: u64,
    print: Option<Print>,
    seen: Arc<Mutex<Vec<Event>>>,
}

impl Bench {
    fn start(file: &str) -> Self {
        let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("gcode").join(file);
        let bytes: Arc<[u8]> = std::fs::read(path).unwrap().into();
        let commands = Commands::of(Arc::clone(&bytes)).count() as u64;
        let profile = "marlin".to_owned();
        let plan = PrinterPlan::Simulated { profile, speed: 60.0, baud: 1_000_000, noise: 0.0, seed: 1 };
        let cable = Cable::plug();
        let house = House::start_at(NEAR.parse().unwrap(), Path::new(DEMO), &bytes, &plan).unwrap();
        await_printer(&house);
        let print = Some(Print { agent: house.agent_id(), name: file.to_owned(), bytes });
        Self { cable, house, commands, print, seen: Arc::default() }
    }

    /// The backend, at work; what it hears is passed on.
    fn backend(&mut self) -> (tokio::task::JoinHandle<Ending>, mpsc::UnboundedReceiver<Message>) {
        let (hears, heard) = mpsc::unbounded_channel();
        let seen = Arc::clone(&self.seen);
        let backend =
            Backend::new(self.house.relay(), self.print.take().unwrap(), move |progress| match progress {
                Progress::Event(event) => seen.lock().unwrap().push(event),
                Progress::Heard(message) => drop(hears.send(message)),
                _ => {}
            });
        let run = backend.unwrap().run();
        let run = async { tokio::time::timeout(HANG, run).await.expect("it ends").unwrap() };
        (tokio::spawn(run), heard)
    }

    /// How many lines the printer has acknowledged, as somebody at the machine sees it.
    fn acknowledged(&self) -> u64 {
        let jobs = Client::connect(&self.house.socket()).ok().and_then(|mut client| client.jobs().ok());
        jobs.and_then(|jobs| jobs.first().map(|job| job.commands_acked)).unwrap_or(0)
    }

    async fn until_acknowledged(&self, lines: u64) {
        let reached = async {
            while self.acknowledged() < lines {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(HANG, reached).await.unwrap_or_else(|_| panic!("{}", self.house.logs()));
    }

    /// The part is whole, and the backend has heard its story once and without a hole.
    async fn end(self, backend: tokio::task::JoinHandle<Ending>) {
        let ending = backend.await.unwrap();
        let Ending::Result(result) = ending else { panic!("{ending:?}\n{}", self.house.logs()) };
        assert_eq!((result.outcome, result.line_acked), (Outcome::Completed, self.commands));
        let report = self.house.close().unwrap().unwrap();
        assert_eq!((report.comparison.difference, report.comparison.matched), (None, self.commands));
        let seen = self.seen.lock().unwrap();
        let numbers: Vec<_> = seen.iter().map(|event| (event.epoch.0, event.seq.0)).collect();
        let (epoch, first) = numbers[0];
        assert_eq!(numbers, (first..).take(numbers.len()).map(|seq| (epoch, seq)).collect::<Vec<_>>());
    }
}

#[tokio::test]
#[ignore = "needs root"]
async fn packets_that_are_lost_doubled_late_and_out_of_order_change_nothing() {
    if !is_alone("packets_that_are_lost_doubled_late_and_out_of_order_change_nothing") {
        return;
    }
    let mut bench = Bench::start("box-smoothie.gcode");
    for (what, to) in [("loss", 0.03), ("double", 0.02), ("delay_ms", 25.0), ("jitter_ms", 15.0)] {
        bench.cable.set(what, to);
    }
    let (backend, _heard) = bench.backend();
    bench.end(backend).await;
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_print_goes_on_in_a_partition_and_is_told_afterwards() {
    if !is_alone("a_print_goes_on_in_a_partition_and_is_told_afterwards") {
        return;
    }
    let mut bench = Bench::start("box-smoothie.gcode");
    let (backend, mut heard) = bench.backend();
    while !matches!(heard.recv().await.unwrap(), Message::Telem(now) if now.d.line > Some(100)) {}
    let ip = |state| Command::new("ip").args(["link", "set", "cable", state]).status().unwrap();
    assert!(ip("down").success());
    // The rest of the part is printed while nobody can be reached.
    bench.until_acknowledged(bench.commands).await;
    assert!(bench.seen.lock().unwrap().iter().all(|event| event.kind != "job.result"));
    assert!(ip("up").success());
    bench.end(backend).await;
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_file_and_a_print_outlive_a_black_hole() {
    if !is_alone("a_file_and_a_print_outlive_a_black_hole") {
        return;
    }
    let mut bench = Bench::start("gear.gcode");
    bench.cable.set("delay_ms", 10.0);
    let (backend, mut heard) = bench.backend();
    // One hole in the middle of the file.
    while !matches!(heard.recv().await.unwrap(), Message::ChunkGet(get) if get.offset > 0) {}
    bench.cable.set("loss", 1.0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    bench.cable.set("loss", 0.0);
    // Another one in the middle of the print, which goes on.
    while !matches!(heard.recv().await.unwrap(), Message::Telem(now) if now.d.line > Some(100)) {}
    let before = bench.acknowledged();
    bench.cable.set("loss", 1.0);
    bench.until_acknowledged(before + 500).await;
    bench.cable.set("loss", 0.0);
    bench.end(backend).await;
}
