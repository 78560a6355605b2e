//! The backend of the examples, in Python, has a file printed by a real agent: once, though agent, relay and itself are ended on the way.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use spoolway_tests::agent_program::{AgentProcess, AgentProgram, AgentSetup};
use spoolway_tests::at_port::{BAUD, commands};
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread, ResetOnOpen};
use tokio::process::{Child, Command};

use crate::lone_relay::LoneRelay;

const BENCH: &str = env!("CARGO_BIN_EXE_spoolway-bench");
/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(120);
const MOVES: u32 = 2_000;

struct House {
    relay: LoneRelay,
    agent: String,
    file: PathBuf,
}

impl House {
    async fn start() -> Self {
        let relay = LoneRelay::start("localhost").await;
        let agent = relay.know_agent().agent_id().to_string();
        let file = relay.dir.path().join("part.gcode");
        let lines: String =
            (0..MOVES).map(|n| format!("G1 X{}.{} F6000\n", 20 + n / 10 % 2, n % 10)).collect();
        std::fs::write(&file, lines).unwrap();
        Self { relay, agent, file }
    }

    fn start_agent(&self, board: &PtyThread) -> AgentProcess {
        let (folder, url, ca) = (self.relay.agent(), self.relay.url(), self.relay.ca());
        let mut setup = AgentSetup::new(&folder, board.path(), BAUD);
        setup.relay = Some((&url, &ca));
        let log = self.relay.dir.path().join("agent.log");
        AgentProgram::within(Path::new(BENCH), "agent-program").start(&setup, &log).unwrap()
    }

    fn start_backend(&self) -> Child {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/backend.py");
        let url = format!("https://localhost:{}", self.relay.bound.public.port());
        Command::new("python3")
            .arg(script)
            .args([&url, "farm.secret", &self.agent])
            .arg(&self.file)
            .arg("--ca")
            .arg(self.relay.ca())
            .arg("--store")
            .arg(self.relay.dir.path().join("backend.db"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }
}

fn board() -> PtyThread {
    let mut options = PtyOptions::uart(BAUD);
    options.reset_on_open = ResetOnOpen::Never;
    PtyPrinter::open(options).unwrap().spawn().unwrap()
}

/// What the backend has said, once it is over, and its exit code.
async fn ended(backend: Child) -> (Option<i32>, String) {
    let output = backend.wait_with_output().await.unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn the_example_prints_a_file_once_though_it_and_the_agent_are_ended_on_the_way() {
    let test = async {
        let house = House::start().await;
        let board = board();
        let mut backend = house.start_backend();
        let agent = house.start_agent(&board);
        // In the middle of the print both are gone.
        let executed = std::sync::Arc::clone(board.control());
        while executed.executed() < u64::from(MOVES / 4) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        backend.kill().await.unwrap();
        agent.kill().unwrap();
        let _agent = house.start_agent(&board);
        let (code, said) = ended(house.start_backend()).await;
        assert_eq!((code, said.lines().last()), (Some(0), Some("backend: completed")), "{said}");
        // Whoever asks once more hears the same, and nothing is printed again.
        let before = executed.executed();
        assert_eq!(ended(house.start_backend()).await, (Some(0), "backend: completed\n".to_owned()));
        assert_eq!(executed.executed(), before);
        let run = board.finish().unwrap();
        let moves = commands(run.printer.executed()).iter().filter(|line| line.starts_with("G1 X2")).count();
        assert_eq!(moves, MOVES as usize);
    };
    tokio::time::timeout(HANG, test).await.unwrap();
}
