//! An update that the owner wishes: its updater is asked when nothing is printed, no job starts meanwhile, and its word is told once.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};
use spoolway_agent::bus::Inbound;
use spoolway_agent::clock::Hands;
use spoolway_agent::local::Counter;
use spoolway_agent::local::words::UpdateAction;
use spoolway_agent::printer::{RunEnd, RunPhase};
use spoolway_agent::update::{Found, Request, Verdict, judge};
use spoolway_protocol::event::UpdateWord;
use spoolway_protocol::{Fault, JobState};

use super::rig::Rig;

const NOW_MS: u64 = 1_760_000_000_000;
const HOUR_MS: u64 = 3_600_000;

/// A folder for a state folder, beside which there is room for an updater's, and the clocks.
struct Machine {
    _dir: tempfile::TempDir,
    state: PathBuf,
    hands: Arc<Hands>,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("spoolway");
        std::fs::create_dir(&state).unwrap();
        let hands = Hands { wall_ms: NOW_MS.into(), is_synchronised: true.into(), ..Hands::default() };
        Self { _dir: dir, state, hands: hands.into() }
    }

    fn live(&self) -> Rig {
        Rig::open_with_hands(&self.state, &self.hands, None)
    }

    /// What an updater of root's finds.
    async fn asked(&self, rig: &Rig) -> Request {
        let found = rig.until("a request", async |_| Found::look(&self.state)).await;
        found.remove().unwrap();
        found.request.unwrap()
    }

    /// An updater gives its word, and time goes by.
    fn says(&self, word: &Verdict) {
        judge(&self.state, word).unwrap();
        self.hands.boot_ms.fetch_add(5_000, Relaxed);
    }
}

async fn wish(rig: &mut Rig, args: Value) -> (String, Option<String>) {
    rig.result("agent.update", args).await
}

fn newest() -> Value {
    json!({"not_after": NOW_MS + HOUR_MS})
}

fn done() -> (String, Option<String>) {
    ("done".to_owned(), None)
}

fn rejected(fault: Fault) -> (String, Option<String>) {
    ("rejected".to_owned(), Some(fault.code().to_owned()))
}

async fn let_in(rig: &Rig, request: &Request) -> Result<(), Fault> {
    let action = UpdateAction::LetIn { id: request.id, own: true };
    rig.desk.update(action, "uid 0".to_owned()).await.map(drop).map_err(|refusal| refusal.fault)
}

async fn told(rig: &Rig) -> Vec<Value> {
    rig.told("update.state").await.into_iter().map(|data| data["state"].clone()).collect()
}

#[tokio::test]
async fn an_update_waits_for_the_end_of_a_print_and_holds_the_next_one_up() {
    let machine = Machine::new();
    let mut rig = machine.live();
    let first = rig.print(&machine.state).await;
    let run = rig.started().await;
    rig.run(run, RunPhase::Printing);
    rig.until_job(&first, JobState::Printing).await;
    assert_eq!(wish(&mut rig, newest()).await, done());
    let shown = rig.desk.status().await.unwrap().update.unwrap();
    assert!(shown.why.unwrap().contains(&first), "it says what it waits for");
    assert!(Found::look(&machine.state).is_none());

    rig.run(run, RunPhase::Ended(RunEnd::Completed));
    rig.until_job(&first, JobState::Completed).await;
    let request = machine.asked(&rig).await;
    assert_eq!((request.version.as_deref(), request.not_after), (None, NOW_MS + HOUR_MS));
    // While the package is fetched a job may start; then the updater is not let in.
    let second = rig.print(&machine.state).await;
    let run = rig.started().await;
    assert_eq!(let_in(&rig, &request).await, Err(Fault::Busy));
    rig.run(run, RunPhase::Ended(RunEnd::Completed));
    rig.until_job(&second, JobState::Completed).await;
    assert_eq!(let_in(&rig, &request).await, Ok(()));
    let third = rig.print(&machine.state).await;
    let held = rig.until_job(&third, JobState::Queued).await;
    let starts = rig.starts_ordered();
    assert!(held.reason.unwrap().contains("an update is being installed"));
    assert_eq!(wish(&mut rig, newest()).await, rejected(Fault::Busy), "one at a time");
    rig.kill().await;

    // The package's own restart, to the next version or back.
    let mut rig = machine.live();
    rig.until_job(&third, JobState::Queued).await;
    rig.desk_is_there().await;
    assert_eq!(rig.starts_ordered(), 0, "it holds over a restart, {starts} were ordered before");
    let word = Verdict {
        from: Some("0.1.0-1".to_owned()),
        to: Some("0.2.0-1".to_owned()),
        ..Verdict::new(request.id, UpdateWord::RolledBack)
    };
    machine.says(&word.because(Fault::UpdateUnhealthy, "it does not stay up"));
    rig.started().await;
    assert_eq!(told(&rig).await, [json!("installing"), json!("rolled_back")]);
    let last = rig.told("update.state").await.pop().unwrap();
    assert_eq!((&last["code"], &last["to"]), (&json!("update.unhealthy"), &json!("0.2.0-1")));
    rig.kill().await;
    let rig = machine.live();
    rig.desk_is_there().await;
    assert_eq!(told(&rig).await.len(), 2, "once");
    let shown = rig.desk.status().await.unwrap().update.unwrap();
    assert_eq!((shown.id, shown.last.unwrap().state), (None, UpdateWord::RolledBack));
}

#[tokio::test]
async fn a_wish_is_taken_back_at_the_machine_and_gives_way_to_a_later_one() {
    let machine = Machine::new();
    let mut rig = machine.live();
    let later =
        json!({"version": "0.2.0-1", "not_before": NOW_MS + HOUR_MS, "not_after": NOW_MS + 2 * HOUR_MS});
    assert_eq!(wish(&mut rig, later.clone()).await, done());
    assert!(
        rig.desk
            .status()
            .await
            .unwrap()
            .update
            .unwrap()
            .why
            .unwrap()
            .contains("opens at 2025-10-09T09:53:20")
    );
    assert_eq!(wish(&mut rig, later).await, done());
    assert_eq!(told(&rig).await, [json!("cancelled")]);
    let cancel = async |rig: &Rig| rig.desk.update(UpdateAction::Cancel, "uid 1000".to_owned()).await;
    assert!(cancel(&rig).await.unwrap().unwrap().id.is_none());
    assert_eq!(cancel(&rig).await.unwrap_err().fault, Fault::PreconditionFailed);
    assert_eq!(told(&rig).await.len(), 2);
    let audit = rig.told("audit").await.pop().unwrap();
    assert_eq!((&audit["actor"], &audit["action"]), (&json!("uid 1000"), &json!("update.cancel")));
    // One that was asked already is not found any more, and not let in.
    assert_eq!(wish(&mut rig, newest()).await, done());
    let request = machine.asked(&rig).await;
    cancel(&rig).await.unwrap();
    assert_eq!(let_in(&rig, &request).await, Err(Fault::PreconditionFailed));
}

#[tokio::test]
async fn an_owner_takes_its_wish_back_until_it_is_begun() {
    let machine = Machine::new();
    let mut rig = machine.live();
    assert_eq!(wish(&mut rig, newest()).await, done());
    let request = machine.asked(&rig).await;
    let withdraw =
        async |rig: &mut Rig, wish: Value| rig.result("agent.update_withdraw", json!({"wish": wish})).await;
    let other = json!("0199c7a2-3b1e-7c44-8a11-5e0d9b7c2f61");
    assert_eq!(withdraw(&mut rig, other).await, rejected(Fault::PreconditionFailed));
    rig.update_role = "operator";
    assert_eq!(withdraw(&mut rig, json!(request.id)).await, rejected(Fault::CommandNotAllowed));
    rig.update_role = "admin";
    assert_eq!(withdraw(&mut rig, json!(request.id)).await, done());
    assert_eq!(let_in(&rig, &request).await, Err(Fault::PreconditionFailed));
    assert_eq!(withdraw(&mut rig, json!(request.id)).await, done(), "once more");
    assert_eq!(told(&rig).await, [json!("cancelled")]);

    assert_eq!(wish(&mut rig, newest()).await, done());
    let request = machine.asked(&rig).await;
    assert_eq!(let_in(&rig, &request).await, Ok(()));
    assert_eq!(withdraw(&mut rig, json!(request.id)).await, rejected(Fault::Busy), "it has begun");
}

#[tokio::test]
async fn what_no_owner_may_wish_is_refused() {
    let machine = Machine::new();
    let mut rig = machine.live();
    for args in [
        json!({"version": "0.2.0-1; reboot", "not_after": NOW_MS + HOUR_MS}),
        json!({"version": "--help", "not_after": NOW_MS + HOUR_MS}),
        json!({"not_after": NOW_MS - 1}),
        json!({"not_before": NOW_MS + HOUR_MS, "not_after": NOW_MS + HOUR_MS}),
    ] {
        assert_eq!(wish(&mut rig, args.clone()).await, rejected(Fault::CommandBadArgs), "{args}");
    }
    rig.update_role = "operator";
    assert_eq!(wish(&mut rig, newest()).await, rejected(Fault::CommandNotAllowed));
    rig.kill().await;
    let mut rig = Rig::open_not_to_be_updated(&machine.state);
    assert_eq!(wish(&mut rig, newest()).await, rejected(Fault::UpdateNotAllowed));
    let action =
        UpdateAction::LetIn { id: "0199c7a2-3b1e-7c44-8a11-5e0d9b7c2f61".parse().unwrap(), own: false };
    let refused = rig.desk.update(action, "uid 0".to_owned()).await.unwrap_err();
    assert_eq!(refused.fault, Fault::UpdateNotAllowed, "not for another agent of the machine either");
}

#[tokio::test]
async fn an_updater_that_says_nothing_is_not_waited_for_for_ever() {
    let machine = Machine::new();
    let mut rig = machine.live();
    assert_eq!(wish(&mut rig, newest()).await, done());
    let request = machine.asked(&rig).await;
    assert_eq!(let_in(&rig, &request).await, Ok(()));
    machine.hands.wall_ms.store(NOW_MS + 3 * HOUR_MS, Relaxed);
    // The wall clock alone says nothing: an updater that was heard a moment ago is still listened to.
    machine.hands.boot_ms.fetch_add(HOUR_MS, Relaxed);
    let last = rig.until("a last word", async |rig| rig.told("update.state").await.into_iter().nth(1)).await;
    assert_eq!((&last["state"], &last["code"]), (&json!("failed"), &json!("update.unattended")));
    // What it says then is about nothing.
    machine.says(&Verdict::new(request.id, UpdateWord::Installed));
    assert_eq!(wish(&mut rig, json!({"not_after": NOW_MS + 9 * HOUR_MS})).await, done());
    machine.asked(&rig).await;
    assert_eq!(told(&rig).await.len(), 2);
}

/// The request cannot be put into its place, because a folder stands there.
#[tokio::test]
async fn an_updater_that_cannot_be_told_is_told_once_the_disk_takes_it() {
    let machine = Machine::new();
    let in_the_way = machine.state.join("update/request.toml");
    std::fs::create_dir_all(in_the_way.join("somebodys")).unwrap();
    let mut rig = machine.live();
    let later = || machine.hands.boot_ms.fetch_add(1_000, Relaxed);
    assert_eq!(wish(&mut rig, newest()).await, done());
    let tried = machine.state.join("update/request.new");
    rig.until("a try", async |_| Some(later()).filter(|_| tried.exists())).await;
    assert_eq!(told(&rig).await, [""; 0], "nothing has become of it yet");
    std::fs::remove_dir_all(&in_the_way).unwrap();
    let found =
        rig.until("a request", async |_| Some(later()).and_then(|_| Found::look(&machine.state))).await;
    let request = found.request.unwrap();
    assert_eq!(let_in(&rig, &request).await, Ok(()));
}

#[tokio::test]
async fn what_the_owner_before_has_wished_is_not_done_for_the_next() {
    let machine = Machine::new();
    let mut rig = machine.live();
    assert_eq!(wish(&mut rig, newest()).await, done());
    rig.until("a request", async |_| Found::look(&machine.state)).await;
    let (done, is_done) = tokio::sync::oneshot::channel();
    rig.inbound.send(Inbound::Owner { owner: "b:next".parse().unwrap(), done }).await.unwrap();
    is_done.await.unwrap();
    rig.kill().await;
    let rig = machine.live();
    assert_eq!(rig.desk.status().await.unwrap().update, None);
    rig.until("no request", async |_| Found::look(&machine.state).is_none().then_some(())).await;
}

/// The package is that of all agents: whose update it is does not matter to a job.
#[tokio::test]
async fn a_wish_that_is_taken_back_starts_no_job_while_another_agents_update_is_installed() {
    let machine = Machine::new();
    let mut rig = machine.live();
    let later = json!({"not_before": NOW_MS + HOUR_MS, "not_after": NOW_MS + 2 * HOUR_MS});
    assert_eq!(wish(&mut rig, later).await, done());
    let id = "0199c7a2-3b1e-7c44-8a11-5e0d9b7c2f61".parse().unwrap();
    let act = async |rig: &Rig, action| rig.desk.update(action, "uid 0".to_owned()).await.map(drop).unwrap();
    act(&rig, UpdateAction::LetIn { id, own: false }).await;
    act(&rig, UpdateAction::Cancel).await;
    let job = rig.print(&machine.state).await;
    let held = rig.until_job(&job, JobState::Queued).await;
    assert_eq!(rig.starts_ordered(), 0);
    assert!(held.reason.unwrap().contains("an update is being installed"));
    act(&rig, UpdateAction::LetOut { id, again: false }).await;
    rig.started().await;
}

#[tokio::test]
async fn who_looks_is_told_why_the_updater_is_not_asked_at_once() {
    let machine = Machine::new();
    let mut rig = machine.live();
    assert_eq!(wish(&mut rig, newest()).await, done());
    let request = machine.asked(&rig).await;
    assert_eq!(let_in(&rig, &request).await, Ok(()));
    let leaves = UpdateAction::LetOut { id: request.id, again: true };
    let view = rig.desk.update(leaves, "uid 0".to_owned()).await.unwrap().unwrap();
    assert_eq!(
        view.why.as_deref(),
        Some("another agent of this machine was at work; it is asked again in 5 min")
    );
}
