//! The relay is killed in each phase of a delivery (the offer of a command is sent, its receipt is on the way, events are sent and not
//! acknowledged, their ack is on the way) and in each of a transfer. Nothing is lost, and nothing happens twice.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use spoolway_protocol::CmdId;
use spoolway_protocol::transfer::Chunk;
use spoolway_tests::demo::house::{House, Part, PrinterPlan};
use spoolway_tests::dial::{Dialler, Frame, Socket};
use spoolway_tests::pty::{PtyOptions, PtyPrinter, ResetOnOpen};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
const CHUNK_BYTES: usize = 64 * 1024;

/// Where a delivery stands when the relay dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Offered,
    Received,
    EventsSent,
    Acked,
}

/// Where a transfer stands when the relay dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Offered,
    Asked,
    HalfSent,
    AllSent,
    EndSaid,
    Verified,
}

/// A backend that remembers everything and is told when to stop listening.
struct Backend {
    house: House,
    socket: Option<Socket>,
    /// By epoch and seq: an event that comes twice is the same twice.
    events: BTreeMap<(u64, u64), Value>,
    receipts: Vec<u64>,
    seq: u64,
    kills: BTreeMap<Phase, u32>,
}

impl Backend {
    async fn start(house: House) -> Self {
        let mut backend = Self {
            house,
            socket: None,
            events: BTreeMap::new(),
            receipts: Vec::new(),
            seq: 0,
            kills: BTreeMap::new(),
        };
        backend.dial().await;
        backend
    }

    async fn dial(&mut self) {
        self.socket = Some(Dialler::new(self.house.relay()).unwrap().dial().await.unwrap());
        while self.next().await["body"]["state"] != "up" {}
    }

    async fn say(&mut self, t: &str, body: &str) {
        let frame = format!(r#"{{"v":1,"t":"{t}","to":"a:{}","body":{body}}}"#, self.house.agent_id());
        self.socket.as_mut().unwrap().send(vec![Frame::text(frame)]).await.unwrap();
    }

    /// The next frame; events are kept, and not acknowledged.
    async fn next(&mut self) -> Value {
        let text = self.socket.as_mut().unwrap().next_text().await.unwrap();
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["t"] == "cmd.recv" {
            self.receipts.push(frame["body"]["seq"].as_u64().unwrap());
        }
        for event in frame["body"]["items"].as_array().into_iter().flatten() {
            let place = (event["epoch"].as_u64().unwrap(), event["seq"].as_u64().unwrap());
            let before = self.events.insert(place, event.clone());
            assert!(before.is_none_or(|before| before == *event), "one number, one event: {event}");
        }
        frame
    }

    async fn command(&mut self, seq: u64, kind: &str, args: &Value) {
        let cmd_id = CmdId::from_parts(1_760_000_000_000 + seq, &[1; 10]);
        let body = json!({
            "cmd_id": cmd_id, "seq": seq, "kind": kind, "args": args, "actor": {"id": "anna", "role": "admin"},
        });
        self.say("cmd", &body.to_string()).await;
    }

    fn result(&self, seq: u64) -> Option<&Value> {
        let cmd_id = CmdId::from_parts(1_760_000_000_000 + seq, &[1; 10]).to_string();
        let results = self.events.values().filter(|event| event["kind"] == "cmd.result");
        results.map(|event| &event["data"]).find(|data| data["cmd_id"] == cmd_id.as_str())
    }

    async fn ack(&mut self) {
        let Some((epoch, seq)) = self.events.keys().last().copied() else { return };
        self.say("ack", &json!({"epoch": epoch, "seq": seq}).to_string()).await;
    }

    async fn kill_relay(&mut self, phase: Option<Phase>) {
        self.socket = None;
        self.house.kill_and_restart(Part::Relay).unwrap();
        if let Some(phase) = phase {
            *self.kills.entry(phase).or_default() += 1;
        }
        self.dial().await;
    }

    /// A jog, in the middle of whose delivery the relay dies.
    async fn jog(&mut self, phase: Phase) {
        self.seq += 1;
        let (seq, args) = (self.seq, json!({"x": 1.0}));
        self.command(seq, "printer.jog", &args).await;
        if phase >= Phase::Received {
            while !self.receipts.contains(&seq) && self.result(seq).is_none() {
                self.next().await;
            }
        }
        if phase >= Phase::EventsSent {
            while self.result(seq).is_none() {
                self.next().await;
            }
        }
        if phase == Phase::Acked {
            self.ack().await;
        }
        self.kill_relay(Some(phase)).await;
        // What a backend does that has no receipt, and it may have one.
        self.command(seq, "printer.jog", &args).await;
        while self.result(seq).is_none() || !self.receipts.contains(&seq) {
            self.next().await;
        }
        assert_eq!(self.result(seq).unwrap()["status"], "done");
        self.ack().await;
    }

    /// Sends a file, in the middle of whose transfer the relay dies.
    async fn transfer(&mut self, step: Step, bytes: &[u8]) {
        self.seq += 1;
        let (seq, size) = (self.seq, bytes.len() as u64);
        let (job, file) = (format!("job-{seq}"), format!("file-{seq}"));
        let offer = json!({
            "job_id": job, "rev": 1, "owner": "anna", "start": "manual", "sources": [{"kind": "relay"}],
            "copies": 1, "priority": 0, "retain": "delete",
            "file": {
                "file_id": file, "size": size, "chunk": CHUNK_BYTES, "name": "part.gcode",
                "sha256": Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            },
        });
        self.command(seq, "job.offer", &offer).await;
        let mut due = Some(step);
        self.kill_at(Step::Offered, &mut due, &offer).await;
        let mut sent = BTreeMap::new();
        while !self.is_verified(&file) {
            let frame = self.next().await;
            if frame["t"] != "chunk.get" || self.kill_at(Step::Asked, &mut due, &offer).await {
                continue;
            }
            let get = &frame["body"];
            let number = |name: &str| get[name].as_u64().unwrap();
            let from = *sent.entry(number("stream")).or_insert(number("offset"));
            let border = (number("offset") + number("credit") * CHUNK_BYTES as u64).min(size);
            self.send_chunks(number("stream"), bytes, from..border).await;
            sent.insert(number("stream"), border.max(from));
            if border < size {
                if border > size / 3 {
                    self.kill_at(Step::HalfSent, &mut due, &offer).await;
                }
            } else if !self.kill_at(Step::AllSent, &mut due, &offer).await {
                self.say("chunk.end", &json!({"stream": number("stream"), "size": size}).to_string()).await;
                self.kill_at(Step::EndSaid, &mut due, &offer).await;
            }
        }
        self.kill_at(Step::Verified, &mut due, &offer).await;
        assert_eq!(due, None, "the relay died");
        assert!(sent.values().any(|border| *border == size), "{sent:?}");
        assert!(step != Step::HalfSent || sent.len() > 1, "it went on in another stream: {sent:?}");
    }

    /// Sends this part of the file.
    async fn send_chunks(&mut self, stream: u64, bytes: &[u8], range: Range<u64>) {
        let mut frames = Vec::new();
        for offset in range.clone().step_by(CHUNK_BYTES) {
            let end = (offset + CHUNK_BYTES as u64).min(range.end);
            let chunk = Chunk {
                to: *self.house.agent_id().as_bytes(),
                stream: u32::try_from(stream).unwrap(),
                offset,
                payload: &bytes[offset as usize..end as usize],
            };
            frames.push(Frame::binary(chunk.encode().unwrap()));
        }
        self.socket.as_mut().unwrap().send(frames).await.unwrap();
    }

    /// Kills the relay if it is the turn of this step, and offers the job again, as a backend does that may have missed the receipt.
    async fn kill_at(&mut self, step: Step, due: &mut Option<Step>, offer: &Value) -> bool {
        let is_due = *due == Some(step);
        if is_due {
            *due = None;
            self.kill_relay(None).await;
            self.command(self.seq, "job.offer", offer).await;
        }
        is_due
    }

    fn is_verified(&self, file: &str) -> bool {
        self.events.values().any(|event| event["kind"] == "file.verified" && event["data"]["file_id"] == file)
    }

    /// Hears everything until this job has its place in the queue.
    async fn until_queued(&mut self, job: &str) {
        let is_queued = |event: &Value| event["job_id"] == job && event["data"]["to"] == "queued";
        while !self.events.values().any(is_queued) {
            self.next().await;
        }
    }
}

#[tokio::test]
async fn a_relay_that_dies_in_any_phase_of_a_delivery_or_a_transfer_loses_and_doubles_nothing() {
    let mut options = PtyOptions::of_profile("marlin").unwrap();
    options.reset_on_open = ResetOnOpen::First;
    let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
    let plan = PrinterPlan::Real { port: board.path().to_owned(), baud: 115_200 };
    let mut backend = Backend::start(House::start(Path::new(DEMO), b"", &plan).unwrap()).await;
    while !backend
        .events
        .values()
        .any(|event| event["kind"] == "printer.state" && event["data"]["to"] == "idle")
    {
        backend.next().await;
    }
    let phases = [Phase::Offered, Phase::Received, Phase::EventsSent, Phase::Acked];
    for phase in phases.into_iter().chain(phases) {
        backend.jog(phase).await;
    }
    let kills: Vec<_> = backend.kills.iter().map(|(phase, count)| (*phase, *count)).collect();
    assert_eq!(kills, phases.map(|phase| (phase, 2)));
    let steps = [Step::Offered, Step::Asked, Step::HalfSent, Step::AllSent, Step::EndSaid, Step::Verified];
    for (n, step) in steps.into_iter().enumerate() {
        let line = format!("G1 X10 F6000 ; a line of file {n}\n");
        backend.transfer(step, &line.into_bytes().repeat(40_000)).await;
        let job = format!("job-{}", backend.seq);
        backend.until_queued(&job).await;
    }
    let told: Vec<_> = backend.events.values().filter(|event| event["kind"] == "file.verified").collect();
    let files: BTreeSet<_> = told.iter().filter_map(|event| event["data"]["file_id"].as_str()).collect();
    assert_eq!((told.len(), files.len()), (steps.len(), steps.len()), "each was told once");

    // Each life of the outbox is told without a hole.
    let mut next = BTreeMap::new();
    for (epoch, seq) in backend.events.keys() {
        let expected = next.entry(*epoch).or_insert(1);
        assert_eq!(seq, expected, "epoch {epoch}");
        *expected += 1;
    }
    drop(backend);
    let executed = board.finish().unwrap().printer.executed().to_vec();
    let jogs = executed.iter().filter(|line| line.text().starts_with(b"G1 X1 ")).count();
    assert_eq!(jogs, 2 * phases.len(), "each was done once");
}
