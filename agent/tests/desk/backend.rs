//! What the backend says to the desk, and what it hears of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use spoolway_agent::bus::{Inbound, Outbound};
use spoolway_agent::store::{Position, StoredEvent};
use spoolway_protocol::CmdId;
use spoolway_protocol::transfer::ChunkGet;

use super::rig::Rig;

impl Rig {
    /// A command of the backend; gives its name.
    pub(crate) async fn command(&mut self, kind: &str, args: Value) -> String {
        // Another life goes on counting where the last one ended.
        self.seq = self.seq.max(self.store.highest_command_seq().await.unwrap()) + 1;
        let cmd_id = CmdId::from_parts(1_760_000_000_000 + self.seq, &[1; 10]);
        let command = json!({
            "cmd_id": cmd_id, "seq": self.seq, "kind": kind, "args": args,
            "actor": {"id": "anna", "role": if kind.starts_with("agent.update") { self.update_role } else { "operator" }},
        });
        let command = Box::new(serde_json::from_value(command).unwrap());
        let inbound = Inbound::Command {
            command,
            lane: None,
            ttl_ms: None,
            age_ms: 0,
            signed: None,
            has_stopped: false,
        };
        self.inbound.send(inbound).await.unwrap();
        cmd_id.to_string()
    }

    /// Gives a command and waits for its result: its status and its code.
    pub(crate) async fn result(&mut self, kind: &str, args: Value) -> (String, Option<String>) {
        let cmd_id = self.command(kind, args).await;
        self.until("a command's result", async |rig| {
            let told = rig.told("cmd.result").await;
            let ours = told.into_iter().find(|data| data["cmd_id"] == cmd_id.as_str())?;
            Some((text(&ours["status"]), ours["code"].as_str().map(str::to_owned)))
        })
        .await
    }

    /// All events that nobody has acknowledged.
    pub(crate) async fn events(&self) -> Vec<StoredEvent> {
        self.store.events_after(Position::default(), 100_000, u64::MAX).await.unwrap()
    }

    /// The data of all events of a kind.
    pub(crate) async fn told(&self, kind: &str) -> Vec<Value> {
        let events = self.events().await;
        let ours = events.into_iter().filter(|event| event.event.kind == kind);
        ours.map(|event| serde_json::from_str(&event.event.data_json).unwrap()).collect()
    }

    /// There is a session with the relay.
    pub(crate) async fn connect(&self) {
        self.inbound.send(Inbound::Connected).await.unwrap();
    }

    /// The next part of a file that is asked for, if one is asked for already.
    pub(crate) fn asked(&mut self) -> Option<ChunkGet> {
        while let Ok(said) = self.outbound.try_recv() {
            if let Outbound::ChunkGet(get) = said {
                return Some(get);
            }
        }
        None
    }

    /// A file of one piece comes.
    pub(crate) async fn send_file(&self, get: &ChunkGet, body: &[u8]) {
        let chunk = Inbound::Chunk { stream: get.stream, offset: 0, payload: body.to_vec() };
        self.inbound.send(chunk).await.unwrap();
    }

    /// Digest and size of a job's file that is here.
    pub(crate) async fn job_file(&self) -> (String, u64) {
        let rows = self.store.jobs().await.unwrap();
        let row = rows.iter().find(|row| row.state == "queued").unwrap();
        let offer: Value = serde_json::from_str(&row.body_json).unwrap();
        (row.sha256.clone().unwrap(), offer["file"]["size"].as_u64().unwrap())
    }

    /// No event is missing or told twice, and each job's revisions stand in one event each, up to that of its row.
    pub(crate) async fn assert_told_once(&self) {
        let events = self.events().await;
        let mut places: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut revisions: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for event in &events {
            places.entry(event.position.epoch).or_default().push(event.position.seq);
            if ["job.state", "job.updated"].contains(&event.event.kind.as_str()) {
                let data: Value = serde_json::from_str(&event.event.data_json).unwrap();
                let id = event.event.job_id.clone().unwrap();
                revisions.entry(id).or_default().push(data["rev"].as_u64().unwrap());
            }
        }
        for (epoch, seqs) in places {
            assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "epoch {epoch}");
        }
        let rows = self.store.jobs().await.unwrap();
        assert_eq!(rows.len(), revisions.len());
        for row in rows {
            assert_eq!(revisions[&row.job_id], (1..=row.rev).collect::<Vec<_>>(), "{}", row.job_id);
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
