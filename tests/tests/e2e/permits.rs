//! Starts with a permit, with every part a process of its own: a good one prints, and whatever is wrong with one moves nothing.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use spoolway_agent::local::Client;
use spoolway_agent::local::words::Request;
use spoolway_protocol::command::CommandStatus;
use spoolway_protocol::event::{CmdResult, EventData};
use spoolway_protocol::job::Outcome;
use spoolway_protocol::{Event, JobState, Message, Sha256Hex, SignedPermit};
use spoolway_tests::backend::{Backend, Ending, Print};
use spoolway_tests::demo::house::{House, PrinterPlan};
use spoolway_tests::dial::{Dialler, Frame, Socket};
use spoolway_tests::permit::Signer;
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread};
use tokio::time::timeout;

use crate::ready::await_printer;

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
const BAUD: u32 = 1_000_000;
/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(120);
const FILE: &[u8] = b"G28\nG1 X10 Y10 F6000\nG1 X20 Y20\n";
const JOB: &str = "job-1";

/// Relay, an agent that wants permits, and a board.
struct Bench {
    house: House,
    board: PtyThread,
}

impl Bench {
    fn start(signer: &Signer) -> Self {
        let board = PtyPrinter::open(PtyOptions::instant()).unwrap().spawn().unwrap();
        let plan = PrinterPlan::Real { port: board.path().to_owned(), baud: BAUD };
        let house = House::start_signed(Path::new(DEMO), FILE, &plan, signer.public_key()).unwrap();
        await_printer(&house);
        Self { house, board }
    }

    /// What the board carried out, but for what the agent says on its own account.
    fn finish(self) -> Vec<String> {
        self.house.close().unwrap();
        let run = self.board.finish().unwrap();
        let texts =
            run.printer.executed().iter().map(|line| String::from_utf8_lossy(line.text()).into_owned());
        texts.filter(|text| text.starts_with('G')).collect()
    }
}

/// The owning backend, hand to mouth: it gives commands one after the other and reads events.
struct Farm {
    socket: Socket,
    agent: String,
    seq: u64,
}

impl Farm {
    async fn dial(house: &House) -> Self {
        let socket = Dialler::new(house.relay()).unwrap().dial().await.unwrap();
        let mut farm = Self { socket, agent: house.agent_id().to_string(), seq: 0 };
        while !farm.socket.next_text().await.unwrap().contains(r#""state":"up""#) {}
        farm
    }

    async fn give(&mut self, kind: &str, args: &Value) -> String {
        self.seq += 1;
        let id = uuid::Uuid::now_v7().to_string();
        let actor = json!({"id": "anna", "role": "operator"});
        let body = json!({"cmd_id": id, "seq": self.seq, "kind": kind, "args": args, "actor": actor});
        let frame = format!(r#"{{"v":1,"t":"cmd","to":"a:{}","body":{body}}}"#, self.agent);
        self.socket.send(vec![Frame::text(frame)]).await.unwrap();
        id
    }

    /// Reads and acknowledges events, and sends the file, until something is found.
    async fn until<T>(&mut self, mut look: impl FnMut(&Event) -> Option<T>) -> T {
        loop {
            let text = self.socket.next_text().await.unwrap();
            let message = spoolway_protocol::Envelope::parse(&text).unwrap().message().unwrap();
            match message {
                Message::Events(events) => {
                    let last = events.items.last().unwrap();
                    let ack = json!({"epoch": last.epoch, "seq": last.seq});
                    let frame = format!(r#"{{"v":1,"t":"ack","to":"a:{}","body":{ack}}}"#, self.agent);
                    self.socket.send(vec![Frame::text(frame)]).await.unwrap();
                    if let Some(found) = events.items.iter().find_map(&mut look) {
                        return found;
                    }
                }
                Message::ChunkGet(get) => {
                    let to = *self.agent.parse::<spoolway_protocol::AgentId>().unwrap().as_bytes();
                    let chunk = spoolway_protocol::transfer::Chunk {
                        to,
                        stream: get.stream,
                        offset: 0,
                        payload: FILE,
                    };
                    let end = json!({"stream": get.stream, "size": FILE.len()});
                    let end = format!(r#"{{"v":1,"t":"chunk.end","to":"a:{}","body":{end}}}"#, self.agent);
                    let chunk = Frame::Binary(chunk.encode().unwrap().into());
                    self.socket.send(vec![chunk, Frame::text(end)]).await.unwrap();
                }
                _ => {}
            }
        }
    }

    async fn result_of(&mut self, id: &str) -> CmdResult {
        let found = self.until(|event| match event.decode() {
            Ok(EventData::CmdResult(result)) if result.cmd_id.to_string() == id => Some(result),
            _ => None,
        });
        timeout(HANG, found).await.expect("the command has no result")
    }

    async fn until_queued(&mut self) {
        let found = self.until(|event| match event.decode() {
            Ok(EventData::JobState(now)) if now.to == JobState::Queued => Some(()),
            _ => None,
        });
        timeout(HANG, found).await.expect("the job is not queued");
    }

    async fn offer(&mut self, owner: &str, job: &str) -> String {
        let digest = Sha256Hex(Sha256::digest(FILE).into());
        let file =
            json!({"file_id": "f-1", "size": FILE.len(), "sha256": digest, "chunk": 65_536, "name": "part"});
        let args = json!({
            "job_id": job, "rev": 1, "owner": owner, "start": "when_ready", "sources": [{"kind": "relay"}], "file": file,
        });
        self.give("job.offer", &args).await
    }

    async fn start(&mut self, permit: Option<&SignedPermit>) -> CmdResult {
        let mut args = json!({"job_id": JOB, "attempt": 1});
        if let Some(permit) = permit {
            args["permit"] = json!(permit);
        }
        let id = self.give("job.start", &args).await;
        self.result_of(&id).await
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A permit that is good here and now.
fn permit(bench: &Bench, signer: &Signer) -> Value {
    json!({
        "v": 1, "kid": signer.kid(), "permit_id": uuid::Uuid::now_v7().to_string(), "org": "lab",
        "agent": bench.house.agent_id(), "printer": "p0", "job": JOB, "attempt": 1,
        "sha256": Sha256Hex(Sha256::digest(FILE).into()), "size": FILE.len(), "max_seconds": 60, "bed_epoch": 0,
        "nbf": now_ms(), "start_by": now_ms() + 600_000, "fence": 3,
    })
}

fn assert_refused(result: &CmdResult, code: &str) {
    let found = result.code.as_ref().map(|code| code.0.as_str());
    assert_eq!((result.status, found), (CommandStatus::Rejected, Some(code)), "{result:?}");
}

#[tokio::test]
async fn a_backend_that_signs_prints() {
    let signer = Signer::new();
    let bench = Bench::start(&signer);
    let print = Print { agent: bench.house.agent_id(), name: "part".to_owned(), bytes: FILE.to_vec().into() };
    let backend = Backend::new(bench.house.relay(), print, |_| ()).unwrap().signed_by(signer);
    let ending = timeout(HANG, backend.run()).await.expect("the print does not end").unwrap();
    let Ending::Result(result) = ending else { panic!("{ending:?}\n{}", bench.house.logs()) };
    assert_eq!(result.outcome, Outcome::Completed);
    assert_eq!(bench.finish(), ["G28", "G1 X10 Y10 F6000", "G1 X20 Y20"]);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_permit_moves_nothing() {
    let signer = Signer::new();
    let bench = Bench::start(&signer);
    let mut farm = Farm::dial(&bench.house).await;
    let good = permit(&bench, &signer);
    farm.offer("lab", JOB).await;
    farm.until_queued().await;

    // The job was offered to start when the printer is free; where permits are needed that is not enough.
    assert_refused(&farm.start(None).await, "permit.required");
    let altered = |key: &str, value: Value| {
        let mut other = good.clone();
        other[key] = value;
        other
    };
    for (other, code) in [
        (altered("start_by", json!(now_ms() - 200_000)), "permit.expired"),
        (altered("nbf", json!(now_ms() + 300_000)), "permit.not_yet_valid"),
        (altered("job", json!("job-2")), "permit.foreign"),
        (altered("attempt", json!(2)), "permit.foreign"),
        (altered("size", json!(1)), "permit.foreign"),
        (altered("bed_epoch", json!(1)), "permit.bed_epoch"),
        (altered("flags", json!(["dance"])), "permit.unsupported"),
        (altered("v", json!(2)), "permit.unsupported"),
        (json!({"v": 1}), "permit.malformed"),
    ] {
        let signed = signer.sign(other.to_string().as_bytes());
        assert_refused(&farm.start(Some(&signed)).await, code);
    }
    let stranger = Signer::new();
    assert_refused(
        &farm.start(Some(&stranger.sign(good.to_string().as_bytes()))).await,
        "permit.bad_signature",
    );
    let foreign = altered("kid", json!(stranger.kid()));
    assert_refused(
        &farm.start(Some(&stranger.sign(foreign.to_string().as_bytes()))).await,
        "permit.unknown_key",
    );
    let mut forged = signer.sign(good.to_string().as_bytes());
    forged.raw.0 = altered("max_seconds", json!(61)).to_string().into_bytes();
    assert_refused(&farm.start(Some(&forged)).await, "permit.bad_signature");

    let job = |client: &mut Client| {
        client.jobs().unwrap().into_iter().find(|job| job.job_id.as_str() == JOB).unwrap()
    };
    let mut client = Client::connect(&bench.house.socket()).unwrap();
    let waiting = job(&mut client);
    assert_eq!((waiting.state, waiting.attempt), (JobState::Queued, 0));
    assert!(waiting.reason.unwrap().contains("permit"));

    // A second offer that pretends to be of this machine is refused; one that really is prints without a permit.
    let pretended = farm.offer("local", "job-3").await;
    let refused = farm.result_of(&pretended).await;
    assert_refused(&refused, "command.bad_args");
    let file = bench.house.socket().with_file_name("here.gcode");
    std::fs::write(&file, "G1 X1 F600\n").unwrap();
    client.job(&Request::Print { path: file, name: None }).unwrap();
    let local = farm.until(|event| match event.decode() {
        Ok(EventData::JobResult(result)) => Some(result.outcome),
        _ => None,
    });
    assert_eq!(timeout(HANG, local).await.unwrap(), Outcome::Completed);

    // That start was another use of the bed, so the permit from before it is stale; a new one prints, once.
    assert_refused(&farm.start(Some(&signer.sign(good.to_string().as_bytes()))).await, "permit.bed_epoch");
    let fresh = signer.sign(altered("bed_epoch", json!(1)).to_string().as_bytes());
    let started = farm.start(Some(&fresh)).await;
    assert_eq!(started.status, CommandStatus::Done, "{started:?}");
    let ended = farm.until(|event| match event.decode() {
        Ok(EventData::JobResult(result)) => Some(result.outcome),
        _ => None,
    });
    assert_eq!(timeout(HANG, ended).await.unwrap(), Outcome::Completed);
    assert_refused(&farm.start(Some(&fresh)).await, "job.already_started");
    assert_eq!(bench.finish(), ["G1 X1 F600", "G28", "G1 X10 Y10 F6000", "G1 X20 Y20"]);
}
