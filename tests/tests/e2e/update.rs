//! An update that the owner of a whole agent wishes, with a stand-in for root's updater: asked for behind the print, no job starts
//! meanwhile, and one last word, whoever is killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use spoolway_agent::local::words::{Request as Ask, UpdateAction};
use spoolway_agent::local::{Client, TalkError};
use spoolway_agent::update::{Found, Request, Verdict, judge};
use spoolway_agent::view::{JobView, Status};
use spoolway_protocol::event::UpdateWord;
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::{AgentId, CmdId, Fault, JobState};
use spoolway_tests::agent_program::{AgentProcess, AgentProgram, AgentSetup};
use spoolway_tests::at_port::HANG;
use spoolway_tests::dial::{Dialler, Frame, Relay, Socket};
use spoolway_tests::printer::PrinterOptions;
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread, ResetOnOpen};
use tokio::time::timeout;

use crate::lone_relay::LoneRelay;

const BENCH: &str = env!("CARGO_BIN_EXE_spoolway-bench");
const HOUR_MS: u64 = 3_600_000;

/// The owner, who stores and acknowledges what it is told.
struct Owner {
    socket: Socket,
    agent: AgentId,
    seq: u64,
    /// Every word on an update that it was told, each event once.
    words: BTreeMap<(u64, u64), Value>,
}

impl Owner {
    async fn dial(relay: &LoneRelay, agent: AgentId) -> Self {
        let port = relay.bound.public.port();
        let relay =
            Relay { host: "localhost".into(), port, token: "farm.secret".into(), ca_file: relay.ca() };
        let socket = Dialler::new(relay).unwrap().dial().await.unwrap();
        Self { socket, agent, seq: 0, words: BTreeMap::new() }
    }

    /// Wishes an update; how the command ended.
    async fn wish(&mut self, args: Value) -> (CmdId, Value) {
        self.seq += 1;
        let (agent, seq) = (self.agent, self.seq);
        let cmd_id = CmdId::from_parts(1_760_000_000_000 + seq, &[1; 10]);
        let frame = format!(
            r#"{{"v":1,"t":"cmd","to":"a:{agent}","ttl_ms":60000,"body":{{"cmd_id":"{cmd_id}","seq":{seq},"kind":"agent.update","args":{args},"actor":{{"id":"anna","role":"admin"}}}}}}"#
        );
        self.socket.send(vec![Frame::text(frame)]).await.unwrap();
        let id = cmd_id.to_string();
        let is_result = |event: &Value| event["kind"] == "cmd.result" && event["data"]["cmd_id"] == *id;
        let result = timeout(HANG, self.hear(is_result)).await.expect("a command has a result");
        (cmd_id, result["data"].clone())
    }

    /// Hears until an event is the wanted one.
    async fn hear(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let frame: Value = serde_json::from_str(&self.socket.next_text().await.unwrap()).unwrap();
            let items = frame["body"]["items"].as_array().cloned().unwrap_or_default();
            let Some(last) = items.last() else { continue };
            let (agent, epoch, seq) = (self.agent, &last["epoch"], &last["seq"]);
            let ack =
                format!(r#"{{"v":1,"t":"ack","to":"a:{agent}","body":{{"epoch":{epoch},"seq":{seq}}}}}"#);
            self.socket.send(vec![Frame::text(ack)]).await.unwrap();
            for item in items.iter().filter(|item| item["kind"] == "update.state") {
                let [epoch, seq] = ["epoch", "seq"].map(|name| item[name].as_u64().unwrap());
                self.words.insert((epoch, seq), item["data"].clone());
            }
            if let Some(found) = items.into_iter().find(|item| is_wanted(item)) {
                return found;
            }
        }
    }

    /// All words so far: whatever is told later has come behind the end of this command.
    async fn told(&mut self) -> Vec<Value> {
        let (_, refused) = self.wish(json!({"not_after": 1})).await;
        assert_eq!(refused["code"], Fault::CommandBadArgs.code());
        self.words.values().cloned().collect()
    }
}

/// Relay, owner, board and agent, and root's updater as far as the agent knows it.
struct House {
    relay: LoneRelay,
    board: PtyThread,
    process: Option<AgentProcess>,
    owner: Owner,
}

impl House {
    async fn start() -> Self {
        let relay = LoneRelay::start("localhost").await;
        let identity = relay.pair_agent();
        let mut options = PtyOptions::of_profile("marlin").unwrap();
        options.reset_on_open = ResetOnOpen::First;
        options.printer = PrinterOptions { speed: 2.0, ..PrinterOptions::for_profile("marlin").unwrap() };
        let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
        let owner = Owner::dial(&relay, identity.agent_id()).await;
        let mut house = Self { relay, board, process: None, owner };
        house.begin().await;
        house
    }

    /// The agent begins, and has its relay and its printer.
    async fn begin(&mut self) {
        let folder = self.relay.agent();
        let allow = [("SPOOLWAY_AGENT_UPDATE_ALLOW", "true".into())];
        let setup =
            AgentSetup { environment: &allow, ..AgentSetup::new(&folder, self.board.path(), 115_200) };
        let program = AgentProgram::within(Path::new(BENCH), "agent-program");
        self.process = Some(program.start(&setup, &self.relay.dir.path().join("agent.log")).unwrap());
        self.until("a link and a printer", |agent| {
            let status = agent.status().ok()?;
            (status.link.up && status.printer.state == PrinterState::Idle).then_some(())
        })
        .await;
    }

    fn kill(&mut self) {
        self.process.take().unwrap().kill().unwrap();
    }

    async fn is_killed(&mut self) {
        self.kill();
        self.begin().await;
    }

    fn client(&self) -> Result<Client, TalkError> {
        Client::connect(&self.relay.agent().join("agent.sock"))
    }

    async fn until<T>(&self, what: &str, mut look: impl FnMut(&mut Client) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = self.client().ok().and_then(|mut agent| look(&mut agent)) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let log = || std::fs::read_to_string(self.relay.dir.path().join("agent.log")).unwrap_or_default();
        timeout(HANG, found).await.unwrap_or_else(|_| panic!("waited for {what}\n{}", log()))
    }

    async fn until_status(&self, what: &str, is: impl Fn(&Status) -> bool) {
        self.until(what, |agent| agent.status().ok().filter(|status| is(status))).await;
    }

    async fn until_job(&self, id: &str, state: JobState) -> JobView {
        let is = |job: &JobView| job.job_id.as_str() == id && job.state == state;
        self.until(&format!("{id} to be {state}"), |agent| agent.jobs().ok()?.into_iter().find(is)).await
    }

    /// Has a file of so many moves printed.
    fn print(&self, moves: usize) -> String {
        let path = self.relay.dir.path().join(format!("{moves}.gcode"));
        let text: String = (0..moves).map(|n| format!("G1 X{} F1200\n", n % 7)).collect();
        std::fs::write(&path, text).unwrap();
        self.client().unwrap().job(&Ask::Print { path, name: None }).unwrap().job_id.to_string()
    }

    /// What the updater finds.
    fn found(&self) -> Option<Request> {
        Found::look(&self.relay.agent()).map(|found| found.request.unwrap())
    }

    /// What the updater takes.
    async fn asked(&self) -> Request {
        self.until("a request", |_| self.found()).await;
        let found = Found::look(&self.relay.agent()).unwrap();
        found.remove().unwrap();
        found.request.unwrap()
    }

    /// As root's updater says it.
    fn says(&self, action: UpdateAction) -> Result<(), TalkError> {
        self.client()?.update(&Ask::Update { action }).map(drop)
    }

    fn judges(&self, word: &Verdict) {
        judge(&self.relay.agent(), word).unwrap();
    }
}

fn within_an_hour() -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    json!({"version": "0.2.0-1", "not_after": now + HOUR_MS})
}

fn states(words: &[Value]) -> Vec<&str> {
    words.iter().map(|word| word["state"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn it_is_asked_for_behind_a_print_and_holds_the_next_job_until_it_is_installed() {
    let mut house = House::start().await;
    let first = house.print(2_000);
    house.until_job(&first, JobState::Printing).await;
    let (id, result) = house.owner.wish(within_an_hour()).await;
    assert_eq!(result["status"], "done", "{result}");
    let waits = |status: &Status| {
        let why = status.update.as_ref().and_then(|update| update.why.as_ref());
        why.is_some_and(|why| why.contains(&first))
    };
    house.until_status("an update that waits for the print", waits).await;
    assert_eq!(house.found(), None);
    house.client().unwrap().job(&Ask::Cancel { job_id: None }).unwrap();
    house.until_job(&first, JobState::Cancelled).await;

    // Nobody knows whether an agent that is killed has asked: it asks once more.
    let request = house.asked().await;
    assert_eq!((request.id, request.version.as_deref()), (id, Some("0.2.0-1")));
    house.is_killed().await;
    assert_eq!(house.asked().await, request);
    house.until("the printer", |_| house.says(UpdateAction::LetIn { id, own: true }).ok()).await;
    let next = house.print(5);
    let is_held = |job: JobView| {
        let reason = job.reason.unwrap_or_default();
        assert!(reason.contains("an update is being installed"), "{reason}");
    };
    is_held(house.until_job(&next, JobState::Queued).await);
    house.is_killed().await;
    is_held(house.until_job(&next, JobState::Queued).await);

    // Its word lies there before the agent of the next version begins.
    house.kill();
    let (from, to) = (Some("0.1.0-1".to_owned()), Some("0.2.0-1".to_owned()));
    house.judges(&Verdict { from, to, ..Verdict::new(id, UpdateWord::Installed) });
    house.begin().await;
    house
        .until_status("the last word", |status| {
            status.update.as_ref().is_some_and(|update| update.id.is_none() && update.last.is_some())
        })
        .await;
    house.says(UpdateAction::LetOut { id, again: false }).unwrap();
    house.until_job(&next, JobState::Completed).await;
    house.is_killed().await;
    let words = house.owner.told().await;
    assert_eq!(states(&words), ["installing", "installed"]);
    assert_eq!((&words[1]["cmd_id"], &words[1]["to"]), (&json!(id), &json!("0.2.0-1")));
}

#[tokio::test]
async fn one_that_went_back_is_told_once_with_its_reason_whenever_the_agent_is_killed() {
    let mut house = House::start().await;
    let mut told = Vec::new();
    // Killed right behind the word: before it is read, or while it is written down, or after it was told.
    for turn in 0..3 {
        let (id, result) = house.owner.wish(within_an_hour()).await;
        assert_eq!(result["status"], "done", "{result}");
        house.asked().await;
        house.until("to be let in", |_| house.says(UpdateAction::LetIn { id, own: true }).ok()).await;
        let text = format!("spoolway-agent.service does not stay up ({turn})");
        let word = Verdict::new(id, UpdateWord::RolledBack).because(Fault::UpdateUnhealthy, text);
        house.judges(&word);
        if turn == 2 {
            house
                .until_status("the last word", |status| {
                    status.update.as_ref().is_some_and(|update| update.id.is_none())
                })
                .await;
        }
        house.is_killed().await;
        house
            .until_status("no wish", |status| {
                status.update.as_ref().is_some_and(|update| update.id.is_none())
            })
            .await;
        told.extend([json!([id, "installing", null]), json!([id, "rolled_back", word.text])]);
    }
    let words = house.owner.told().await;
    let heard: Vec<_> =
        words.iter().map(|word| json!([word["cmd_id"], word["state"], word["text"]])).collect();
    assert_eq!(heard, told);
    assert!(words.iter().all(|word| word["code"] == "update.unhealthy" || word["state"] == "installing"));
    // Nothing is held up any more, though nobody has let the updater out.
    let job = house.print(5);
    house.until_job(&job, JobState::Completed).await;
}
