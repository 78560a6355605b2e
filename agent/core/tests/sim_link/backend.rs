//! The backend's side: it gives commands, sends them again, stores events and acks them.

use serde_json::Value;
use spoolway_agent_core::link::Arrival;
use spoolway_protocol::command::{Actor, Command};
use spoolway_protocol::event::EventAck;
use spoolway_protocol::ids::{CmdId, Epoch, Seq};
use spoolway_protocol::raw::{Extra, Raw};

use crate::world::{Frame, World};

const KINDS: [&str; 6] =
    ["job.start", "job.resume", "job.pause", "job.cancel", "printer.estop", "camera.dream"];

impl World {
    /// What a backend does when presence says up.
    pub(crate) fn resend_commands(&mut self) {
        let cmd_seq = self.inbox.cmd_seq();
        let missing = |arrival: &&Arrival| {
            arrival.command.seq > cmd_seq || !self.backend.receipts.contains(&arrival.command.cmd_id)
        };
        let frames: Vec<_> = self
            .backend
            .commands
            .iter()
            .filter(missing)
            .cloned()
            .map(|arrival| Frame::Command(Box::new(arrival)))
            .collect();
        if self.up && !self.backend.away {
            self.to_agent.extend(frames);
        }
    }

    pub(crate) fn issue_command(&mut self) {
        let seq = self.backend.commands.len() as u64 + 1;
        let kind = KINDS[self.dice.between(0, 5) as usize];
        let job = self.dice.between(1, 2);
        let args = match kind {
            "job.start" => format!(r#"{{"job_id":"j{job}","attempt":{seq}}}"#),
            "printer.estop" | "camera.dream" => "{}".to_owned(),
            _ => format!(r#"{{"job_id":"j{job}"}}"#),
        };
        let command = Command {
            cmd_id: CmdId::from_parts(seq, &[1; 10]),
            seq: Seq(seq),
            printer_id: None,
            kind: kind.to_owned(),
            args: Raw::parse(args).expect("it is JSON"),
            actor: Actor {
                id: "u".to_owned(),
                role: "r".to_owned(),
                decision: None,
                extra: Extra::default(),
            },
            must: Vec::new(),
            precondition: None,
            extra: Extra::default(),
            sig: None,
        };
        let ttl_ms = (self.dice.between(0, 3) == 0).then_some(2_000);
        let arrival =
            Arrival { command, ttl_ms, age_ms: self.dice.between(0, 2_200), id: None, unsigned: None };
        self.backend.commands.push(arrival.clone());
        if self.up {
            self.to_agent.push(Frame::Command(Box::new(arrival)));
        }
    }

    /// Stores what follows without a gap, then acks the batch's epoch.
    pub(crate) fn backend_stores(&mut self, body: &Raw) {
        let body: Value = serde_json::from_str(body.get()).expect("it is JSON");
        let items = body["items"].as_array().expect("a list");
        let epoch = items[0]["epoch"].as_u64().expect("a number");
        let stored = self.backend.stored.entry(epoch).or_default();
        for item in items {
            assert_eq!(item["epoch"], epoch, "seed {}: a batch of two epochs", self.seed);
            if item["seq"] == stored.len() as u64 + 1 {
                stored.push(item.clone());
            }
        }
        let seq = Seq(stored.len() as u64);
        self.to_agent.push(Frame::Ack(EventAck { epoch: Epoch(epoch), seq, extra: Extra::default() }));
    }

    pub(crate) fn toggle_backend(&mut self) {
        self.backend.away = !self.backend.away;
        self.resend_commands();
    }
}
