//! An agent gets another owner at a relay that runs: what was kept for the one before is told to nobody else.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use spoolway_agent::identity::Identity;
use spoolway_agent::local::Client;
use spoolway_protocol::{AgentId, CmdId};
use spoolway_relay::auth::hash_of_secret;
use spoolway_relay_registry::{BackendRecord, EnrolmentRecord, Pairings, Registry};
use spoolway_tests::agent_program::{AgentProgram, AgentSetup};
use spoolway_tests::at_port::{BAUD, commands};
use spoolway_tests::backend::{Print, Progress};
use spoolway_tests::dial::{ConnectionError, Dialler, Frame, Relay, Socket};
use spoolway_tests::pty::{PtyOptions, PtyPrinter, ResetOnOpen};
use tokio::time::timeout;

use crate::lone_relay::LoneRelay;

const BENCH: &str = env!("CARGO_BIN_EXE_spoolway-bench");
/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(120);
/// The file is never sent, so that the job goes on waiting for it.
const OFFER: &str = r#"{"job_id":"job-of-farm","rev":1,"owner":"anna","file":{"file_id":"f1","size":9,"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","chunk":65536,"name":"secret-part.gcode"},"sources":[{"kind":"relay"}],"start":"manual","copies":1,"priority":0,"retain":"delete"}"#;

/// A backend, as far as it speaks with one agent. It acknowledges nothing.
struct Backend {
    socket: Socket,
    agent: AgentId,
    /// Everything that it was told.
    heard: String,
}

fn reached_by(relay: &LoneRelay, token: &str) -> Relay {
    Relay {
        host: "localhost".into(),
        port: relay.bound.public.port(),
        token: token.into(),
        ca_file: relay.ca(),
    }
}

impl Backend {
    async fn dial(relay: &LoneRelay, token: &str, agent: AgentId) -> Self {
        let dialler = Dialler::new(reached_by(relay, token)).unwrap();
        let dial = async {
            loop {
                match dialler.dial().await {
                    // The relay has not noticed yet that this backend was added.
                    Err(ConnectionError::Token) => tokio::time::sleep(Duration::from_millis(20)).await,
                    dialled => return dialled.unwrap(),
                }
            }
        };
        Self { socket: timeout(HANG, dial).await.unwrap(), agent, heard: String::new() }
    }

    async fn command(&mut self, seq: u64, kind: &str, args: &str) {
        let cmd_id = CmdId::from_parts(1_760_000_000_000 + seq, &[1; 10]);
        let frame = format!(
            r#"{{"v":1,"t":"cmd","to":"a:{}","ttl_ms":60000,"body":{{"cmd_id":"{cmd_id}","seq":{seq},"kind":"{kind}","args":{args},"actor":{{"id":"anna","role":"operator"}}}}}}"#,
            self.agent
        );
        self.socket.send(vec![Frame::text(frame)]).await.unwrap();
    }

    /// The next frame that is looked for.
    async fn hear<T>(&mut self, what: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        let found = async {
            loop {
                let text = self.socket.next_text().await.unwrap();
                self.heard.push_str(&text);
                if let Some(found) = look(&serde_json::from_str(&text).unwrap()) {
                    return found;
                }
            }
        };
        timeout(HANG, found).await.unwrap_or_else(|_| panic!("waited for {what}"))
    }

    /// The first event of the next batch: epoch, number and kind.
    async fn first_event(&mut self) -> (u64, u64, String) {
        self.hear("events", |frame| {
            let first = &frame["body"]["items"][0];
            let kind = first["kind"].as_str()?.to_owned();
            Some((first["epoch"].as_u64()?, first["seq"].as_u64()?, kind))
        })
        .await
    }
}

/// An agent that is known to `farm`, and paired with it.
fn known(relay: &LoneRelay) -> Identity {
    let lab = BackendRecord {
        id: "lab".parse().unwrap(),
        organisation: "another".into(),
        name: String::new(),
        secret_hash: hash_of_secret("s3cret"),
        revoked_ms: None,
    };
    relay.registry().add_backend(&lab).unwrap();
    relay.pair_agent()
}

/// Makes `lab` the owner, as a token does.
fn give_to_lab(relay: &LoneRelay, identity: &Identity) {
    let token = EnrolmentRecord {
        id: "t1".into(),
        backend: "lab".parse().unwrap(),
        secret_hash: hash_of_secret("token"),
        uses_left: 1,
        expires_ms: u64::from(u32::MAX) * 1_000,
    };
    let mut registry = relay.registry();
    registry.add_enrolment(&token).unwrap();
    let agent = (identity.agent_id(), identity.public_key(), None);
    registry.enrol(1, ("t1", &hash_of_secret("token")), agent, "").unwrap();
}

#[tokio::test]
async fn the_next_owner_hears_nothing_of_what_was_kept_for_the_one_before() {
    let relay = LoneRelay::start("localhost").await;
    let identity = known(&relay);
    let (folder, id) = (relay.agent(), identity.agent_id());
    let mut farm = Backend::dial(&relay, "farm.secret", id).await;
    let mut lab = Backend::dial(&relay, "lab.s3cret", id).await;
    let setup = AgentSetup::new(&folder, Path::new("/dev/nowhere"), 115_200);
    let program = AgentProgram::within(Path::new(BENCH), "agent-program");
    let agent = program.start(&setup, &relay.dir.path().join("agent.log")).unwrap();
    let (before, ..) = farm.first_event().await;
    farm.command(57, "job.offer", OFFER).await;
    farm.hear("the job", |frame| frame.to_string().contains("job.state").then_some(())).await;
    assert!(farm.heard.contains("job-of-farm"));

    give_to_lab(&relay, &identity);
    let (epoch, seq, kind) = lab.first_event().await;
    assert_eq!((seq, kind.as_str()), (1, "gap"));
    assert!(epoch > before, "{epoch} is not behind {before}");
    for word in ["job-of-farm", "secret-part", "anna"] {
        assert!(!lab.heard.contains(word), "{word}: {}", lab.heard);
    }
    // The last hello had the cursors of the new owner, who counts from the beginning and commands.
    let ups = lab.heard.rsplit(r#""t":"presence""#).next().unwrap_or_default();
    assert!(ups.contains(r#""cmd_seq":0"#) && ups.contains(&format!(r#""epoch":{epoch}"#)), "{ups}");
    lab.command(1, "job.cancel", r#"{"job_id":"job-of-farm"}"#).await;
    lab.hear("the receipt", |frame| (frame["t"] == "cmd.recv").then_some(())).await;
    assert!(Client::connect(agent.socket()).unwrap().jobs().unwrap().is_empty());
    farm.command(58, "job.cancel", r#"{"job_id":"job-of-farm"}"#).await;
    let code = farm.hear("a refusal", |frame| Some(frame["body"]["code"].as_str()?.to_owned())).await;
    assert_eq!(code, "unauthorised", "{}", farm.heard);
    agent.finish().unwrap();
}

/// What is printed; the moves are the only lines that begin so.
fn part() -> (Arc<[u8]>, Vec<String>) {
    let moves: Vec<_> = (0..4_000).map(|n| format!("G1 X{}.{} F6000", 20 + n / 10 % 2, n % 10)).collect();
    let text = moves.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>();
    (text.into_bytes().into(), moves)
}

/// A print is not stopped by papers that change hands. It is told to nobody: the one before may not hear of this agent any more, and
/// it is none of the next one's business.
#[tokio::test]
async fn a_print_goes_on_to_its_end_and_the_next_owner_comes_in_behind_it() {
    let relay = LoneRelay::start("localhost").await;
    let identity = known(&relay);
    let (folder, id) = (relay.agent(), identity.agent_id());
    let mut lab = Backend::dial(&relay, "lab.s3cret", id).await;
    let mut options = PtyOptions::uart(BAUD);
    options.reset_on_open = ResetOnOpen::Never;
    let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
    let setup = AgentSetup::new(&folder, board.path(), BAUD);
    let program = AgentProgram::within(Path::new(BENCH), "agent-program");
    let agent = program.start(&setup, &relay.dir.path().join("agent.log")).unwrap();

    let (bytes, moves) = part();
    let heard = Arc::<Mutex<Vec<Progress>>>::default();
    let (told, print) = (Arc::clone(&heard), Print { agent: id, name: "secret-part".into(), bytes });
    let progress = move |news| told.lock().unwrap().push(news);
    let farm = spoolway_tests::backend::Backend::new(reached_by(&relay, "farm.secret"), print, progress);
    let farm = tokio::spawn(farm.unwrap().run());
    let executed = Arc::clone(board.control());
    let until = async |count: usize| {
        while executed.executed() < count as u64 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(HANG, until(moves.len() / 8)).await.unwrap();

    give_to_lab(&relay, &identity);
    let is_waiting = async {
        let is_told = |code: Option<String>| code.is_some_and(|code| code == "owner.changes");
        let mut client = Client::connect(agent.socket()).unwrap();
        while !is_told(client.status().unwrap().link.fault.map(|fault| fault.code)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(HANG, is_waiting).await.unwrap();
    let at_the_change = executed.executed();
    assert!(at_the_change < moves.len() as u64, "it prints");
    let job = Client::connect(agent.socket()).unwrap().jobs().unwrap().remove(0);
    assert_eq!(job.name, "secret-part");

    let (_, seq, kind) = lab.first_event().await;
    assert_eq!((seq, kind.as_str()), (1, "gap"));
    // Nobody was let in before the part was whole.
    let run = board.finish().unwrap();
    let done = commands(run.printer.executed()).into_iter().filter(|line| line.starts_with("G1 X2"));
    assert!(done.eq(moves), "each line once and in order");
    lab.command(1, "job.cancel", r#"{"job_id":"nobodys"}"#).await;
    lab.hear("the receipt", |frame| (frame["t"] == "cmd.recv").then_some(())).await;
    for word in ["secret-part", "job.result", "job.usage", "job.progress", "job.state"] {
        assert!(!lab.heard.contains(word), "{word}: {}", lab.heard);
    }
    assert!(Client::connect(agent.socket()).unwrap().jobs().unwrap().is_empty());
    farm.abort();
    let heard = format!("{:?}", heard.lock().unwrap());
    assert!(heard.contains("Down") && !heard.contains("JobResult"), "{heard}");
    agent.finish().unwrap();
}
