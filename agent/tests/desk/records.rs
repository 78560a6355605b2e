//! Records of prints that failed, and the backend that asks for one: whose it may have, and what is left of it on the way.

use serde_json::{Value, json};
use spoolway_agent::bus::Inbound;
use spoolway_agent::config::BedConfirm;
use spoolway_agent::post_mortem::{Record, Shelf};
use spoolway_agent::view::WireLineView;
use spoolway_protocol::limits::{EVENT_BYTES, RECORD_BYTES};
use spoolway_protocol::{JobId, Stamp};

use crate::rig::Rig;

const THEIRS: &str = "theirs";

fn record(job: &str, attempt: u32, text: &str, lines: usize) -> Record {
    let stamp: Stamp = serde_json::from_value(json!({"w": 1, "m": 2, "b": uuid(), "c": "none"})).unwrap();
    let line =
        |n: usize| WireLineView { at_ms: n as u64, from: "agent".into(), text: format!("N{n} G1 X{n}*1") };
    let value = json!({
        "v": 1, "job_id": job, "attempt": attempt, "outcome": "failed", "code": "port.lost", "text": text,
        "ended": stamp, "line": 7, "commands_acked": 7, "commands_total": 9, "layer": 1,
        "usage": {"printing_ms": 1, "paused_ms": 0}, "versions": {"agent": "0.1.0"},
        "wire": {"lines": (0..lines).map(line).collect::<Vec<_>>()},
    });
    serde_json::from_value(value).unwrap()
}

fn uuid() -> &'static str {
    "6f1c2a04-55d1-4a7e-9a1b-3f0c8d2e7b11"
}

impl Rig {
    /// The whole result of a command that asks for a record.
    async fn ask(&mut self, args: Value) -> Value {
        let cmd_id = self.command("job.record", args).await;
        self.until("a command's result", async |rig| {
            rig.told("cmd.result").await.into_iter().find(|data| data["cmd_id"] == cmd_id.as_str())
        })
        .await
    }

    /// Why nothing is given.
    async fn refusal(&mut self, args: Value) -> (String, String) {
        let result = self.ask(args).await;
        assert!(result.get("data").is_none(), "{result}");
        (result["status"].as_str().unwrap().to_owned(), result["code"].as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn an_owner_gets_the_record_of_its_own_print_without_names_and_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open_giving_records(folder.path());
    rig.inbound.send(Inbound::Connected).await.unwrap();
    rig.offer(THEIRS, b"G28\n", json!([{"kind": "relay"}])).await;
    let name = rig.job(THEIRS).await.name;
    let said = format!("{name} is lost; password=hunter2 at https://anna:pa55@files.example.org/x?sig=abc");
    Shelf::of(folder.path()).put(&record(THEIRS, 1, "the first", 3), None).unwrap();
    Shelf::of(folder.path()).put(&record(THEIRS, 2, &said, 3), None).unwrap();
    let result = rig.ask(json!({"job_id": THEIRS})).await;
    assert_eq!(result["status"], "done", "{result}");
    let record = &result["data"]["record"];
    assert_eq!(
        (&record["v"], &record["attempt"], &record["code"]),
        (&json!(1), &json!(2), &json!("port.lost"))
    );
    assert_eq!(record["wire"]["lines"].as_array().unwrap().len(), 3);
    let text = record["text"].as_str().unwrap();
    for secret in [name.as_str(), "hunter2", "anna", "pa55", "abc"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.contains("is lost"), "{text}");
    let first = rig.ask(json!({"job_id": THEIRS, "attempt": 1})).await;
    assert_eq!(first["data"]["record"]["text"], "the first");
}

#[tokio::test]
async fn of_a_long_record_the_newest_lines_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open_giving_records(folder.path());
    rig.offer(THEIRS, b"G28\n", json!([{"kind": "relay"}])).await;
    let lines = 3_000;
    Shelf::of(folder.path()).put(&record(THEIRS, 1, "long", lines), None).unwrap();
    let result = rig.ask(json!({"job_id": THEIRS})).await;
    let wire = &result["data"]["record"]["wire"];
    let given = wire["lines"].as_array().unwrap();
    assert_eq!(given.len() as u64 + wire["left_out"].as_u64().unwrap(), lines as u64);
    assert_eq!(given.last().unwrap()["text"], format!("N{0} G1 X{0}*1", lines - 1));
    let bytes = result["data"]["record"].to_string().len();
    assert!((RECORD_BYTES / 2..=RECORD_BYTES).contains(&bytes), "{bytes}");
    assert!(result.to_string().len() < EVENT_BYTES);
}

#[tokio::test]
async fn nothing_is_given_without_the_operators_word_or_of_what_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), BedConfirm::NotRequired);
    rig.offer(THEIRS, b"G28\n", json!([{"kind": "relay"}])).await;
    Shelf::of(folder.path()).put(&record(THEIRS, 1, "private", 1), None).unwrap();
    let private = rig.refusal(json!({"job_id": THEIRS})).await;
    assert_eq!(private, ("rejected".to_owned(), "record.private".to_owned()));
    rig.kill().await;

    let mut rig = Rig::open_giving_records(folder.path());
    let missing = rig.refusal(json!({"job_id": THEIRS, "attempt": 2})).await;
    assert_eq!(missing, ("rejected".to_owned(), "record.missing".to_owned()));
    // What somebody prints at the machine is not the backend's.
    let mine = rig.print(folder.path()).await;
    Shelf::of(folder.path()).put(&record(&mine, 1, "mine", 1), None).unwrap();
    assert!(Shelf::of(folder.path()).find(&JobId::new(mine.as_str()).unwrap(), None).unwrap().is_some());
    for job in [mine.as_str(), "nobodys"] {
        let unknown = rig.refusal(json!({"job_id": job})).await;
        assert_eq!(unknown, ("rejected".to_owned(), "job.unknown".to_owned()));
    }
}
