//! A desk that only writes down what it is asked.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use spoolway_agent::local::Counter;
use spoolway_agent::local::words::{MaintenanceAction, PrintWishes, UpdateAction};
use spoolway_agent::printer::{Speaker, Tap, Watcher, WireLine};
use spoolway_agent::view::history::{AttemptView, HistoryView};
use spoolway_agent::view::recovery::{PlanView, RecoverHow};
use spoolway_agent::view::{
    BedView, ForgottenView, JobView, LinkView, MaintenanceView, PrinterView, Refusal, Status, UpdateView,
};
use spoolway_agent_core::Moment;
use spoolway_agent_core::job::Place;
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::{AgentId, Doubt, Fault, JobId, JobState, PromptId};

/// Writes down what it is asked, and always answers the same.
#[derive(Clone, Default)]
pub(crate) struct FakeDesk {
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    pub(crate) jobs: usize,
    pub(crate) tap: Tap,
}

impl FakeDesk {
    fn note(&self, what: impl Into<String>) {
        self.asked.lock().unwrap().push(what.into());
    }

    fn moved(&self, verb: &str, job: Option<JobId>, state: JobState) -> Result<JobView, Refusal> {
        self.note(format!("{verb} {job:?}"));
        let Some(id) = job else {
            return Err(Refusal::new(Fault::JobNotReady, "no job holds the printer"));
        };
        Ok(view(id.as_str(), state))
    }
}

fn view(id: &str, state: JobState) -> JobView {
    JobView {
        job_id: JobId::new(id).unwrap(),
        name: format!("{id}.gcode"),
        state,
        attempt: 1,
        commands_acked: 5,
        commands_total: 10,
        line: 5,
        layer: 0,
        layers_total: 0,
        bytes: 50,
        size: 100,
        reason: None,
        code: None,
        loss: None,
        findings: Vec::new(),
        created_ms: 0,
        rev: 1,
        priority: 0,
        copies: 1,
        copies_done: 0,
        held: false,
    }
}

impl Counter for FakeDesk {
    async fn status(&self) -> Result<Status, Refusal> {
        Ok(Status {
            agent_id: agent_id().to_string(),
            version: "0.1.0".into(),
            uptime_ms: 5,
            printer: PrinterView {
                state: PrinterState::Idle,
                port: "/dev/x".into(),
                baud: 115_200,
                profile: None,
                profile_verified: false,
                firmware: None,
                window: None,
                wire: None,
                prompt: None,
                note: None,
                ready: None,
                tools: vec![(20.5, None)],
                bed: Some((21.0, Some(60.0))),
                link_use: 0.25,
                lines_per_s: 1.5,
                refusals: 0,
                fault: None,
                alarms: Vec::new(),
            },
            job: None,
            needs_a_person: None,
            link: LinkView::default(),
            bed: None,
            permits: Default::default(),
            storage: None,
            jobs_waiting: 0,
            events_unacked: 3,
            maintenance: None,
            update: None,
        })
    }

    async fn jobs(&self) -> Result<Vec<JobView>, Refusal> {
        Ok((0..self.jobs).map(|number| view(&format!("job-{number}"), JobState::Queued)).collect())
    }

    async fn history(&self, job: JobId) -> Result<HistoryView, Refusal> {
        self.note(format!("history {job}"));
        let attempt = |attempt| AttemptView {
            attempt,
            started_ms: 5,
            ended_ms: None,
            outcome: None,
            line: None,
            reason: None,
            used: None,
            record: false,
        };
        Ok(HistoryView {
            job: view(job.as_str(), JobState::Printing),
            owner: "local".into(),
            steps: Vec::new(),
            steps_left_out: 0,
            attempts: vec![attempt(1), attempt(2)],
        })
    }

    async fn wire(&self) -> Result<Vec<WireLine>, Refusal> {
        let line =
            |n| WireLine { at: Moment::from_millis(n), speaker: Speaker::Printer, text: format!("ok {n}") };
        Ok((0..700).map(line).collect())
    }

    async fn rotate(&self, actor: String) -> Result<(), Refusal> {
        self.note(format!("rotate for {}", actor.starts_with("uid ")));
        Ok(())
    }

    async fn print_file(&self, path: PathBuf, wishes: PrintWishes) -> Result<JobView, Refusal> {
        self.note(format!("print {} as {:?} {} times", path.display(), wishes.name, wishes.copies));
        Ok(view("job-1", JobState::Queued))
    }

    async fn place(&self, job: JobId, place: Place) -> Result<JobView, Refusal> {
        self.note(format!("{job} {place:?}"));
        Ok(view(job.as_str(), JobState::Queued))
    }

    async fn hold(&self, job: JobId) -> Result<JobView, Refusal> {
        self.moved("hold", Some(job), JobState::Queued)
    }

    async fn release(&self, job: JobId) -> Result<JobView, Refusal> {
        self.moved("release", Some(job), JobState::Queued)
    }

    async fn pause(&self, job: Option<JobId>) -> Result<JobView, Refusal> {
        self.moved("pause", job, JobState::Paused)
    }

    async fn resume(&self, job: Option<JobId>, doubt: Option<Doubt>) -> Result<JobView, Refusal> {
        if doubt.is_none() {
            return Err(Refusal::new(Fault::CommUncertain, "lines 4 to 7 are in doubt"));
        }
        self.moved("resume", job, JobState::Printing)
    }

    async fn maintenance(
        &self,
        action: MaintenanceAction,
        by: String,
    ) -> Result<Option<MaintenanceView>, Refusal> {
        self.note(format!("maintenance {action:?} by {by}"));
        match action {
            MaintenanceAction::Open { minutes, reason } => {
                Ok(Some(MaintenanceView { left_s: u64::from(minutes) * 60, by, reason }))
            }
            MaintenanceAction::Close | MaintenanceAction::Show => Ok(None),
        }
    }

    async fn update(&self, action: UpdateAction, by: String) -> Result<Option<UpdateView>, Refusal> {
        self.note(format!("update {action:?} by {by}"));
        Ok(None)
    }

    async fn answer(&self, prompt: Option<PromptId>, choice: u32) -> Result<(), Refusal> {
        self.note(format!("answer {prompt:?} {choice}"));
        Ok(())
    }

    async fn send(&self, command: String) -> Result<Vec<String>, Refusal> {
        Ok(vec![format!("echo:{command}")])
    }

    fn watch(&self) -> Watcher {
        self.tap.watch()
    }

    async fn cancel(&self, job: Option<JobId>) -> Result<JobView, Refusal> {
        self.moved("cancel", job, JobState::Cancelled)
    }

    async fn clear_bed(&self, epoch: u64) -> Result<BedView, Refusal> {
        if epoch != 3 {
            return Err(Refusal::new(Fault::BedStale, "the bed epoch is 3"));
        }
        self.note("bed clear 3");
        Ok(BedView { epoch, clear: true, confirm_required: true, part: None, interrupted: Vec::new() })
    }

    async fn plan_recovery(&self, job: JobId, how: RecoverHow) -> Result<PlanView, Refusal> {
        self.note(format!("plan {job} {how:?}"));
        Err(Refusal::new(Fault::JobNotReady, "it is printing"))
    }

    async fn recover(&self, job: JobId, _: RecoverHow, plan_id: String) -> Result<JobView, Refusal> {
        self.moved(&format!("recover by {plan_id}"), Some(job), JobState::Recovering)
    }

    async fn abandon(&self, job: JobId) -> Result<JobView, Refusal> {
        self.moved("abandon", Some(job), JobState::Cancelled)
    }

    async fn override_findings(
        &self,
        job: JobId,
        codes: Option<Vec<String>>,
        actor: String,
    ) -> Result<JobView, Refusal> {
        assert!(actor.starts_with("uid "), "the system says who it is");
        self.moved(&format!("override {codes:?}"), Some(job), JobState::Queued)
    }

    async fn forget(&self) -> Result<ForgottenView, Refusal> {
        self.note("forget");
        Ok(ForgottenView::default())
    }

    async fn accept_printer(&self) -> Result<String, Refusal> {
        self.note("accept");
        Ok("firmware=marlin".into())
    }

    async fn emergency_stop(&self) -> Result<(), Refusal> {
        self.note("estop");
        Ok(())
    }
}

pub(crate) fn agent_id() -> AgentId {
    AgentId::from_bytes(*b"0123456789abcdef")
}
