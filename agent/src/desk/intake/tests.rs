//! Commands against a real store that is dropped and opened again at every edge of their lives, held against a model.

use std::collections::{BTreeMap, BTreeSet};

use spoolway_agent_core::backoff::Jitter;
use spoolway_protocol::command::Actor;
use spoolway_protocol::raw::{Extra, Raw};

use super::*;
use crate::store::{Position, StoreOptions};

const SEEDS: u64 = 20;
const STEPS: u64 = 60;
const COMMANDS: u64 = 6;
/// Kind, arguments, and whether doing it twice is the same as once.
const KINDS: [(&str, &str, bool); 6] = [
    ("job.start", r#"{"job_id":"j","attempt":1}"#, false),
    ("job.resume", r#"{"job_id":"j"}"#, false),
    ("prompt.answer", r#"{"prompt_id":"q","choice":0}"#, false),
    ("job.pause", r#"{"job_id":"other"}"#, true),
    ("job.cancel", r#"{"job_id":"other"}"#, true),
    ("camera.dream", "{}", false),
];

fn command(seq: u64, kind: &str, args: &str) -> Command {
    Command {
        cmd_id: CmdId::from_parts(seq, &[3; 10]),
        seq: Seq(seq),
        printer_id: None,
        kind: kind.to_owned(),
        args: Raw::parse(args.to_owned()).unwrap(),
        actor: Actor { id: "u".to_owned(), role: "r".to_owned(), decision: None, extra: Extra::default() },
        must: Vec::new(),
        precondition: None,
        extra: Extra::default(),
        sig: None,
    }
}

fn done(cmd_id: CmdId) -> CmdResult {
    let (code, detail, data, extra) = (None, None, None, Extra::default());
    CmdResult { cmd_id, status: CommandStatus::Done, code, detail, data, extra }
}

/// One life of the process.
struct Life {
    store: Store,
    intake: Intake,
    /// Commands that are under way, with what they still have to do first.
    running: Vec<(CmdId, bool)>,
}

impl Life {
    async fn begin(dir: &std::path::Path) -> Self {
        let (store, _) = Store::open(dir, &StoreOptions::default()).unwrap();
        let mut intake = Intake::open(&store, &Clock::start().unwrap()).await.unwrap();
        intake.patience = Duration::ZERO;
        Self { store, intake, running: Vec::new() }
    }
}

/// What the backend and the printer know; they do not crash with the agent.
struct World {
    seed: u64,
    dice: Jitter,
    dir: tempfile::TempDir,
    /// None between two lives.
    life: Option<Life>,
    given: Vec<Command>,
    receipts: BTreeSet<CmdId>,
    /// What happened to the printer, and how often.
    effects: BTreeMap<CmdId, u32>,
    crashes: u32,
}

impl World {
    async fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let life = Some(Life::begin(dir.path()).await);
        let (given, receipts, effects) = Default::default();
        Self { seed, dice: Jitter::new(seed), dir, life, given, receipts, effects, crashes: 0 }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.dice.between(0, 99) < percent
    }

    fn life(&mut self) -> &mut Life {
        self.life.as_mut().unwrap()
    }

    /// The process dies, and another begins.
    async fn crash(&mut self) {
        self.crashes += 1;
        self.life = None;
        self.life = Some(Life::begin(self.dir.path()).await);
    }

    fn give(&mut self) {
        if self.given.len() as u64 == COMMANDS || self.chance(30) {
            // A copy of one that was given before.
            if let Some(last) = self.given.len().checked_sub(1) {
                let again = self.given[self.dice.between(0, last as u64) as usize].clone();
                self.life().intake.take(again, (None, 0), None);
            }
            return;
        }
        let (kind, args, _) = KINDS[self.dice.between(0, KINDS.len() as u64 - 1) as usize];
        let command = command(self.given.len() as u64 + 1, kind, args);
        self.given.push(command.clone());
        self.life().intake.take(command, (None, 0), None);
    }

    /// One turn; false when there was nothing to do.
    async fn turn(&mut self) -> bool {
        match self.life().intake.turn().await {
            Turn::Wait(_) => return false,
            Turn::Wrote(committed) => committed.unwrap(),
            Turn::Receipt(receipt) => drop(self.receipts.insert(receipt.cmd_id)),
            Turn::Nack(code) => panic!("seed {}: {code}", self.seed),
            Turn::Execute { command, write_ahead, .. } => {
                self.life().running.push((command.cmd_id, write_ahead));
            }
        }
        true
    }

    /// The oldest command under way does one thing: it is written down, has its effect, or ends.
    async fn work(&mut self) {
        let Some((cmd_id, write_ahead)) = self.life().running.first().copied() else { return };
        if write_ahead {
            self.life().intake.begin(cmd_id).await.unwrap();
            self.life().running[0].1 = false;
        } else {
            self.life().running.remove(0);
            *self.effects.entry(cmd_id).or_default() += 1;
            if !self.chance(20) {
                self.life().intake.end(done(cmd_id));
            } else {
                self.crash().await;
            }
        }
    }

    async fn bad_step(&mut self) {
        match self.dice.between(0, 9) {
            0 | 1 => self.give(),
            2..=6 => drop(self.turn().await),
            7 | 8 => self.work().await,
            _ => self.crash().await,
        }
    }

    /// Nothing fails any more: the backend sends again what has no receipt, and everything comes to its end.
    async fn settle(&mut self) {
        for _ in 0..2 {
            for command in self.given.clone() {
                if !self.receipts.contains(&command.cmd_id) {
                    self.life().intake.take(command, (None, 0), None);
                }
            }
            while self.turn().await || !self.life().running.is_empty() {
                if let Some((cmd_id, write_ahead)) = self.life().running.pop() {
                    if write_ahead {
                        self.life().intake.begin(cmd_id).await.unwrap();
                    }
                    *self.effects.entry(cmd_id).or_default() += 1;
                    self.life().intake.end(done(cmd_id));
                }
            }
        }
    }

    async fn results(&self) -> BTreeMap<String, Vec<String>> {
        let events = self
            .life
            .as_ref()
            .unwrap()
            .store
            .events_after(Position::default(), 10_000, u64::MAX)
            .await
            .unwrap();
        let mut results = BTreeMap::<String, Vec<String>>::new();
        for stored in events.iter().filter(|stored| stored.event.kind == "cmd.result") {
            let result: CmdResult = serde_json::from_str(&stored.event.data_json).unwrap();
            results.entry(result.cmd_id.to_string()).or_default().push(format!("{:?}", result.status));
        }
        results
    }

    async fn check(&self) -> [usize; 2] {
        let results = self.results().await;
        let mut met = [0; 2];
        for command in &self.given {
            let (id, kind) = (command.cmd_id.to_string(), command.kind.as_str());
            let effects = self.effects.get(&command.cmd_id).copied().unwrap_or(0);
            let told = format!("seed {}: {kind} {}: {effects} effects", self.seed, command.seq);
            let [status] = results[&id].as_slice() else { panic!("{told}, {:?}", results[&id]) };
            let twice_is_once = KINDS.iter().any(|(name, _, twice)| *name == kind && *twice);
            assert!(twice_is_once || effects <= 1, "{told}");
            match status.as_str() {
                "Done" => assert!(effects >= 1, "{told}"),
                "Indeterminate" => assert!(self.crashes > 0 && !twice_is_once, "{told}"),
                "Rejected" => assert!(kind == "camera.dream" && effects == 0, "{told}"),
                // A cancel or pause of another job takes nothing back here.
                other => panic!("{told}: {other}"),
            }
            met[0] += usize::from(status == "Indeterminate");
            met[1] += usize::from(effects > 1);
            let row = self.life.as_ref().unwrap().store.command(&id).await.unwrap().unwrap();
            assert_eq!(row.status, status.to_lowercase(), "{told}");
        }
        met
    }
}

#[tokio::test]
async fn a_crash_at_any_edge_runs_nothing_twice_and_leaves_one_result_each() {
    let (mut crashes, mut indeterminate, mut repeated) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut world = World::new(seed).await;
        for _ in 0..STEPS {
            world.bad_step().await;
        }
        world.settle().await;
        let [uncertain, again] = world.check().await;
        indeterminate += uncertain;
        repeated += again;
        crashes += world.crashes;
    }
    // The model has met what it was made for: also idempotent commands that were carried out again.
    let met = format!("{crashes} crashes, {indeterminate} indeterminate, {repeated} repeated");
    assert!(crashes > 40 && indeterminate > 2 && repeated > 0, "{met}");
}

/// Each edge by itself, in order: after how many of its steps does the process die, and what is told in the end?
#[tokio::test]
async fn each_edge_of_a_start_ends_as_it_should() {
    for (edge, status, effects) in [
        ("given", "Done", 1),
        ("stored", "Done", 1),
        ("told", "Done", 1),
        ("due", "Done", 1),
        ("begun", "Indeterminate", 0),
        ("done", "Indeterminate", 1),
        ("ended", "Indeterminate", 1),
        ("result written", "Done", 1),
    ] {
        let mut world = World::new(0).await;
        let start = command(1, "job.start", r#"{"job_id":"j","attempt":1}"#);
        world.given.push(start.clone());
        world.life().intake.take(start.clone(), (None, 0), None);
        let steps = ["given", "stored", "told", "due", "begun", "done", "ended", "result written"];
        for step in steps {
            match step {
                "given" => {}
                "begun" => {
                    world.life().intake.begin(start.cmd_id).await.unwrap();
                    world.life().running[0].1 = false;
                }
                "done" => *world.effects.entry(start.cmd_id).or_default() += 1,
                "ended" => {
                    world.life().running.clear();
                    world.life().intake.end(done(start.cmd_id));
                }
                _ => assert!(world.turn().await, "{step}"),
            }
            if step == edge {
                break;
            }
        }
        world.crash().await;
        world.settle().await;
        let results = world.results().await;
        assert_eq!(results[&start.cmd_id.to_string()], [status], "the process died when it was {edge}");
        assert_eq!(world.effects.get(&start.cmd_id).copied().unwrap_or(0), effects, "{edge}");
    }
}

#[tokio::test]
async fn a_result_that_the_disk_refuses_is_told_later_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { max_page_count: Some(60), ..StoreOptions::default() };
    let (store, _) = Store::open(dir.path(), &options).unwrap();
    let mut intake = Intake::open(&store, &Clock::start().unwrap()).await.unwrap();
    intake.patience = Duration::ZERO;
    let start = command(1, "job.start", r#"{"job_id":"j","attempt":1}"#);
    intake.take(start.clone(), (None, 0), None);
    loop {
        match intake.turn().await {
            Turn::Execute { .. } => break,
            Turn::Wrote(committed) => committed.unwrap(),
            _ => {}
        }
    }
    intake.begin(start.cmd_id).await.unwrap();
    let filler = |bytes| {
        let data = format!("\"{}\"", "x".repeat(bytes));
        let (cls, kind) = (crate::store::EventClass::Critical, "filler".to_owned());
        let (printer_id, job_id, attempt, ts_json) = (None, None, None, "{}".to_owned());
        let event =
            crate::store::NewEvent { cls, kind, printer_id, job_id, attempt, ts_json, data_json: data };
        vec![Write::Event(event)]
    };
    let mut last = Position::default();
    // The last ones are smaller than any result, so that none finds a place between them.
    for bytes in [3_000, 10] {
        while let Ok(committed) = store.commit(filler(bytes), Durability::Promise).await {
            last = committed.positions[0];
        }
    }
    intake.end(done(start.cmd_id));
    assert!(matches!(intake.turn().await, Turn::Wrote(Err(StoreError::DiskFull))));
    assert!(matches!(intake.turn().await, Turn::Wrote(Err(StoreError::DiskFull))), "it is tried again");
    // The backend takes the events away, and there is room.
    store.ack(last).await.unwrap();
    assert!(matches!(intake.turn().await, Turn::Wrote(Ok(()))));
    assert!(matches!(intake.turn().await, Turn::Wait(None)));
    let events = store.events_after(last, 10, u64::MAX).await.unwrap();
    assert_eq!(events.iter().filter(|stored| stored.event.kind == "cmd.result").count(), 1);
}
