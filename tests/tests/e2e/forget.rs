//! Forgetting from end to end over TLS: what is left on the disk, what the key is worth afterwards, and who is told.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use spoolway_agent::local::Client;
use spoolway_agent::local::words::Request;
use spoolway_protocol::{AgentId, JobState};
use spoolway_relay_registry::Registry;
use spoolway_tests::agent_program::{AgentProcess, AgentProgram, AgentSetup};
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread, ResetOnOpen};

use crate::lone_relay::LoneRelay;

const BENCH: &str = env!("CARGO_BIN_EXE_spoolway-bench");
const BAUD: u32 = 1_000_000;
/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(120);
/// A heat-up that never ends, in the middle of a job.
const HEATING: &str = "G1 X5 F600\nM109 S240\nG1 X10\n";

/// A relay, an agent that is paired with it, and a board whose nozzle never gets hot.
struct Bench {
    relay: LoneRelay,
    board: PtyThread,
    id: AgentId,
}

impl Bench {
    async fn start() -> Self {
        let relay = LoneRelay::start("localhost").await;
        let mut options = PtyOptions::uart(BAUD);
        options.printer.emergency_parser = true;
        options.printer.hotend.full_power_c = 100.0;
        options.printer.speed = 20.0;
        options.reset_on_open = ResetOnOpen::First;
        let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
        let id = relay.pair_agent().agent_id();
        Self { relay, board, id }
    }

    fn run(&self, folder: &Path) -> AgentProcess {
        let setup = AgentSetup::new(folder, self.board.path(), BAUD);
        AgentProgram::within(Path::new(BENCH), "agent-program").start(&setup, &self.log()).unwrap()
    }

    fn log(&self) -> PathBuf {
        self.relay.dir.path().join("agent.log")
    }

    /// Waits until the agent in a folder shows something.
    async fn until<T>(&self, folder: &Path, look: impl Fn(&mut Client) -> Option<T>) -> T {
        let socket = folder.join("agent.sock");
        let wait = async {
            loop {
                match Client::connect(&socket).ok().and_then(|mut client| look(&mut client)) {
                    Some(found) => return found,
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let log = || std::fs::read_to_string(self.log()).unwrap_or_default();
        tokio::time::timeout(HANG, wait).await.unwrap_or_else(|_| panic!("{}", log()))
    }

    async fn until_up(&self, folder: &Path) {
        self.until(folder, |client| client.status().ok()?.link.up.then_some(())).await;
    }

    /// A job that waits for its nozzle; its id.
    async fn heat(&self) -> String {
        let file = self.relay.dir.path().join("job.gcode");
        std::fs::write(&file, HEATING).unwrap();
        let folder = self.relay.agent();
        self.until(&folder, |client| client.status().ok()?.printer.firmware.map(drop)).await;
        let print = Request::Print { path: file, name: None };
        let job = Client::connect(&folder.join("agent.sock")).unwrap().job(&print).unwrap().job_id;
        self.until(&folder, |client| is_in(client, JobState::Printing).then_some(())).await;
        job.to_string()
    }

    /// `forget --yes`: exit code and output.
    async fn forget(&self) -> (Option<i32>, String) {
        let mut command = Command::new(BENCH);
        command.arg("agent-program");
        command.arg(format!("--config={}", self.relay.agent().join("agent.toml").display()));
        command.args(["forget", "--yes"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The program ends when its parent closes this.
        let stdin = child.stdin.take();
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        drop(stdin);
        let said = String::from_utf8(ended.stdout).unwrap() + &String::from_utf8(ended.stderr).unwrap();
        (ended.status.code(), said)
    }

    /// What lies in the agent's folder.
    fn left(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.relay.agent()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn is_in(client: &mut Client, state: JobState) -> bool {
    client.jobs().is_ok_and(|jobs| jobs.iter().any(|job| job.state == state))
}

/// The lock says nothing of anybody, and the settings stay.
const NOTHING: [&str; 2] = ["agent.lock", "agent.toml"];

#[tokio::test]
async fn an_agent_that_forgets_leaves_nothing_and_its_key_is_refused_from_then_on() {
    let bench = Bench::start().await;
    let (folder, id) = (bench.relay.agent(), bench.id.to_string());
    let copy = bench.relay.dir.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let agent = bench.run(&folder);
    bench.until_up(&folder).await;
    let job = bench.heat().await;
    let (code, said) = bench.forget().await;
    assert!(
        said.contains(&format!("job {job} (job.gcode) is printing")) && said.contains("cancel"),
        "{said}"
    );
    assert_eq!((code, said.contains("[forget.busy]")), (Some(1), true), "{said}");
    let cancel = Request::Cancel { job_id: None };
    Client::connect(agent.socket()).unwrap().job(&cancel).unwrap();
    bench.until(&folder, |client| (is_in(client, JobState::Cancelled)).then_some(())).await;
    for name in ["agent.p8", "pairing.json", "relay-ca.pem", "hello_ctr"] {
        let (from, to) = (folder.join("identity").join(name), copy.join("identity"));
        std::fs::create_dir_all(&to).unwrap();
        std::fs::copy(from, to.join(name)).unwrap();
    }

    let forgotten = async {
        loop {
            // The end of the job may still be written down.
            let (code, said) = bench.forget().await;
            if !said.contains("forget.busy") {
                return (code, said);
            }
        }
    };
    let (code, said) = tokio::time::timeout(HANG, forgotten).await.unwrap();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(&format!("{id} is no more")) && said.contains("counts for nothing any more"),
        "{said}"
    );
    let ended = tokio::task::spawn_blocking(move || agent.into_child().wait(HANG)).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
    assert_eq!(bench.left(), NOTHING);
    let registry = bench.relay.registry();
    assert!(registry.agent(&bench.id).unwrap().unwrap().revoked_ms.is_some());
    let audit = registry.audit(1).unwrap().remove(0);
    assert_eq!((audit.actor, audit.action), (format!("a:{id}"), "agent.forget".to_owned()));

    // Whoever has a copy of the key gets nowhere with it: 4003.
    let thief = bench.run(&copy);
    let fault = bench.until(&copy, |client| client.status().ok()?.link.fault).await;
    assert_eq!(fault.code, "relay.revoked");
    thief.finish().unwrap();

    // Started again it is another one; forgetting that one is harmless, running or not.
    let agent = bench.run(&folder);
    let anew = bench.until(&folder, |client| client.identity().ok()).await.0;
    assert_ne!(anew, bench.id);
    let (code, said) = bench.forget().await;
    assert_eq!((code, said.contains(&anew.to_string())), (Some(0), true), "{said}");
    let ended = tokio::task::spawn_blocking(move || agent.into_child().wait(HANG)).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
    let (code, said) = bench.forget().await;
    assert_eq!((code, said.contains("nothing is left")), (Some(0), true), "{said}");
    assert_eq!(bench.left(), NOTHING);
}

#[tokio::test]
async fn without_agent_and_relay_everything_goes_all_the_same_and_it_is_said_what_is_left_to_do() {
    let bench = Bench::start().await;
    let folder = bench.relay.agent();
    let agent = bench.run(&folder);
    bench.until_up(&folder).await;
    bench.heat().await;
    agent.kill().unwrap();
    let (code, said) = bench.forget().await;
    assert_eq!((code, said.contains("[forget.busy]")), (Some(1), true), "the printer is hot: {said}");
    assert!(bench.left().contains(&"identity".to_owned()), "nothing was changed");
    // Nobody is left to print it.
    std::fs::remove_file(folder.join("spoolway.db")).unwrap();
    let Bench { relay, board, id } = bench;
    relay.stop().await;
    let bench = Bench { relay, board, id };
    let (code, said) = bench.forget().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("could not be told"), "{said}");
    assert!(said.contains(&format!("spoolway-relay agent revoke {id}")), "{said}");
    let mut left = bench.left();
    left.retain(|name| name != "agent.sock");
    assert_eq!(left, NOTHING);
}
