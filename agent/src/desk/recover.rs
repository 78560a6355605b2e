//! Goes on with an interrupted print: a plan that a person sees, and only that plan once they have said yes to it.

use std::io::Read as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use spoolway_agent_core::gcode::{Batch, Position, Reader};
use spoolway_agent_core::recovery::{Followed, Plan, Point, Request, Seeker, Since, plan, unsure_moves};
use spoolway_protocol::event::EventData;
use spoolway_protocol::job::JobState;
use spoolway_protocol::{Fault, JobId};
use tokio::sync::oneshot;
use tracing::info;

use super::Answer;
use super::book::json;
use super::clerk::{Clerk, Done};
use super::commands::unknown_job;
use super::losses::{Heat, Lost};
use super::moves::Reason;
use crate::attempt::Begun;
use crate::line_journal::Subject;
use crate::printer::{Known, Order, feeder};
use crate::spool::Spool;
use crate::store::Write;
use crate::view::Refusal;
use crate::view::recovery::{PlanView, RecoverHow, StepView};

/// Bytes read at once while a file is followed.
const PIECE_BYTES: usize = 64 * 1024;
/// Bytes of its digest that name a plan.
const ID_BYTES: usize = 6;

/// What is to become of a plan.
#[derive(Debug)]
pub(super) enum Then {
    /// It is shown.
    Show(oneshot::Sender<Result<PlanView, Refusal>>),
    /// It is run, if it is the one with this id.
    Run { plan_id: String, answer: Answer },
}

impl Then {
    fn refuse(self, refusal: Refusal) {
        match self {
            Self::Show(answer) => drop(answer.send(Err(refusal))),
            Self::Run { answer, .. } => drop(answer.send(Err(refusal))),
        }
    }
}

/// A plan has been made, or not.
#[derive(Debug)]
pub(super) struct Drafted {
    ask: DraftAsk,
    then: Then,
    draft: Result<Draft, Refusal>,
}

#[derive(Debug)]
struct Draft {
    point: Point,
    plan: Plan,
}

/// Everything that a plan is made of.
#[derive(Debug, Clone)]
struct DraftAsk {
    job_id: JobId,
    rev: u64,
    sha256: String,
    how: RecoverHow,
    acknowledged: Position,
    begun_behind: u64,
    since: Since,
    heat: Heat,
    known: Arc<Known>,
}

impl Clerk {
    /// Follows the file up to where it goes on, away from the desk.
    pub(super) fn draft_recovery(&mut self, id: &JobId, how: RecoverHow, then: Then) {
        let ask = match self.draft_ask(id, how) {
            Ok(ask) => ask,
            Err(refusal) => return then.refuse(refusal),
        };
        self.drafting = true;
        let (spool, done) = (self.spool.clone(), self.done.clone());
        tokio::spawn(async move {
            let asked = ask.clone();
            let made = tokio::task::spawn_blocking(move || draft(&spool, &asked)).await;
            let lost = || Err(Refusal::new(Fault::StoreCorrupt, "the file could not be followed"));
            let draft = made.unwrap_or_else(|_| lost());
            drop(done.send(Done::Drafted(Box::new(Drafted { ask, then, draft }))).await);
        });
    }

    fn draft_ask(&self, id: &JobId, how: RecoverHow) -> Result<DraftAsk, Refusal> {
        let entry = self.book.entries.get(id).ok_or_else(|| unknown_job(id))?;
        let state = entry.job.state();
        if state != JobState::Interrupted {
            return Err(Refusal::new(Fault::JobNotReady, format!("job {id} is {state} and not interrupted")));
        }
        if self.drafting {
            return Err(Refusal::new(Fault::Busy, "another plan is being made"));
        }
        let known = self.snapshot.borrow().known.clone();
        let known = known.ok_or_else(|| {
            Refusal::new(
                Fault::PortLost,
                "the printer does not answer yet: connect it and switch it on first",
            )
        })?;
        let detail = &entry.detail;
        let lost = detail.lost.as_ref();
        Ok(DraftAsk {
            job_id: id.clone(),
            rev: entry.job.rev(),
            sha256: entry.sha256().to_string(),
            how,
            acknowledged: Position { line: detail.line, byte: detail.bytes, layer: detail.layer },
            begun_behind: detail.begun_behind,
            since: lost.map_or(Since::Unknown, |lost| lost.since),
            heat: lost.map_or_else(Heat::default, |lost| lost.heat),
            known,
        })
    }

    pub(super) async fn take_draft(&mut self, drafted: Drafted) {
        self.drafting = false;
        let Drafted { ask, then, draft } = drafted;
        let draft = match draft {
            Ok(draft) => draft,
            Err(refusal) => return then.refuse(refusal),
        };
        let Some(view) = self.plan_view(&ask, &draft) else { return then.refuse(unknown_job(&ask.job_id)) };
        match then {
            Then::Show(answer) => drop(answer.send(Ok(view))),
            Then::Run { plan_id, answer } if plan_id == view.plan_id => {
                let begun = self.begin_recovery(&ask, &draft).await;
                let shown = || self.view_of(&ask.job_id).ok_or_else(|| unknown_job(&ask.job_id));
                drop(answer.send(begun.and_then(|()| shown())));
            }
            Then::Run { plan_id, answer } => {
                let text = format!(
                    "the plan is now {} and not {plan_id}: something has changed since",
                    view.plan_id
                );
                drop(answer.send(Err(Refusal::new(Fault::RecoveryPlanChanged, text))));
            }
        }
    }

    fn plan_view(&self, ask: &DraftAsk, draft: &Draft) -> Option<PlanView> {
        let entry = self.book.entries.get(&ask.job_id)?;
        let loss = entry.detail.lost.as_ref().map(Lost::view)?;
        let steps = draft.plan.steps.iter().map(|step| StepView {
            title: step.title.to_owned(),
            why: step.why.clone(),
            lines: step.lines.clone(),
        });
        Some(PlanView {
            plan_id: plan_id(ask, draft),
            job_id: ask.job_id.clone(),
            name: entry.offer.file.name.clone(),
            loss,
            how: ask.how,
            behind_line: draft.point.behind.line,
            layer: draft.point.behind.layer,
            acknowledged_line: ask.acknowledged.line,
            steps: steps.collect(),
            risks: draft.plan.risks.clone(),
        })
    }

    async fn begin_recovery(&mut self, ask: &DraftAsk, draft: &Draft) -> Result<(), Refusal> {
        let known = self.check_printer()?;
        if !Arc::ptr_eq(&known, &ask.known) || self.stopping {
            return Err(Refusal::new(Fault::RecoveryPlanChanged, "the printer was connected anew since"));
        }
        let behind = draft.point.behind;
        let mut preamble = Batch::default();
        draft.plan.lines().for_each(|line| preamble.push(line.as_bytes(), behind));
        let lines = preamble.len() as u64;
        let read = || {
            let mut body = self.spool.read(&ask.sha256)?;
            body.seek_byte(behind.byte).map(|()| body)
        };
        let body = read().map_err(|error| super::fetch::refusal_of(&error, ask.job_id.as_str()))?;
        let feed = feeder::start_behind(body, Reader::behind(behind), preamble)
            .map_err(|error| Refusal::new(Fault::StoreCorrupt, format!("no thread for the job: {error}")))?;
        let begun = self.begin_again(&ask.job_id).await?;
        let attempt = self.write_recovery(&ask.job_id, &draft.point, &begun).await?;
        self.runs += 1;
        let run = self.runs;
        let subject = Subject {
            run,
            job_id: ask.job_id.to_string(),
            attempt,
            sha256: ask.sha256.clone(),
            from: behind,
            commands_before: draft.point.commands,
            preamble: lines,
        };
        info!(job = %ask.job_id, attempt, behind = behind.line, lines, "an interrupted print goes on");
        self.send_start(known, &ask.job_id, subject, begun, feed).await;
        Ok(())
    }

    /// An interrupted print goes on by the permit of the attempt that it goes on from, and needs no other: only a person at the
    /// machine can let it, and only with the file and the bed that the permit was given for.
    async fn begin_again(&self, id: &JobId) -> Result<Begun, Refusal> {
        let attempt = self.book.entries.get(id).map_or(0, |entry| entry.job.attempt());
        let before = Begun::of(&self.store, id, attempt).await.map_err(|error| {
            Refusal::new(Fault::StoreCorrupt, format!("the interrupted attempt cannot be read: {error}"))
        })?;
        Ok(Begun { started: Some(self.clock.stamp()), permit: before.permit })
    }

    /// The attempt, the state and the event in one transaction; without it nothing is sent.
    async fn write_recovery(&mut self, id: &JobId, point: &Point, begun: &Begun) -> Result<u32, Refusal> {
        let before = self.book.entries.get(id).cloned().ok_or_else(|| unknown_job(id))?;
        let now = self.clock.stamp();
        let entry = self.book.entries.get_mut(id).expect("it was found just now");
        let (expected_rev, attempt) = (entry.job.rev(), entry.job.attempt() + 1);
        let changed =
            entry.job.recover(attempt).map_err(|error| Refusal::new(error.fault(), error.to_string()))?;
        entry.detail.recovered(&now);
        entry.detail.go_on_behind(point.commands, point.behind);
        let mut writes = self.write_move(id, expected_rev, EventData::JobState(changed), &Reason::default());
        let started_ms = self.clock.unix_ms();
        let detail_json = Some(json(begun));
        writes.push(Write::InsertAttempt { job_id: id.to_string(), attempt, started_ms, detail_json });
        if let Err(error) = self.promise(writes).await {
            self.book.queue.set_state(id, before.job.state());
            self.book.entries.insert(id.clone(), before);
            return Err(Refusal::new(Fault::DiskFull, format!("the start was not stored: {error}")));
        }
        Ok(attempt)
    }

    /// The part is given up: heaters, fan and motors are off, and the bed is free for the next job once it is cleared.
    pub(super) async fn abandon(&mut self, id: &JobId) -> Result<crate::view::JobView, Refusal> {
        let entry = self.book.entries.get(id).ok_or_else(|| unknown_job(id))?;
        let state = entry.job.state();
        if state != JobState::Interrupted {
            return Err(Refusal::new(Fault::JobNotReady, format!("job {id} is {state} and not interrupted")));
        }
        if self.following.is_none() {
            drop(self.orders.send(Order::MakeSafe).await);
        }
        let reason = Reason::fault(Fault::Cancelled, "the part was given up after an interruption");
        self.end_unstarted(id, JobState::Cancelled, reason).await;
        self.view_of(id).ok_or_else(|| unknown_job(id))
    }
}

/// Names a plan by everything that it depends on.
fn plan_id(ask: &DraftAsk, draft: &Draft) -> String {
    let mut digest = Sha256::new();
    digest.update(format!("{}\0{}\0{}\0{}\n", ask.job_id, ask.rev, ask.sha256, draft.point.behind.byte));
    for line in draft.plan.lines() {
        digest.update(format!("{line}\n"));
    }
    let digest = digest.finalize();
    digest[..ID_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the file twice: for the place, and up to the place.
fn draft(spool: &Spool, ask: &DraftAsk) -> Result<Draft, Refusal> {
    let profile = &ask.known.profile;
    let mut seeker =
        Seeker::new(ask.how.from, ask.acknowledged, ask.begun_behind, unsure_moves(profile, ask.since));
    read(spool, &ask.sha256, |command, at| {
        let wanted = seeker.wants_more(at);
        if wanted {
            seeker.follow(command, at);
        }
        wanted
    })?;
    let refused = |text: String| Refusal::new(Fault::RecoveryRefused, text);
    let point = seeker.finish().map_err(|error| refused(error.to_string()))?;
    let mut followed = Followed::default();
    read(spool, &ask.sha256, |command, at| {
        let wanted = at.line <= point.behind.line;
        if wanted {
            followed.follow(command, at.line);
        }
        wanted
    })?;
    let wanted = |celsius: Option<f32>| celsius.filter(|celsius| *celsius > 0.0).map(f64::from);
    followed.warm_as(wanted(ask.heat.hot_end_target), wanted(ask.heat.bed_target));
    let hot_ends = ask.known.report.extruders.map_or(1, usize::from).max(1);
    let request = Request { profile, since: ask.since, height: ask.how.height, hot_ends };
    let plan = plan(&request, &point, &followed).map_err(|no| {
        let by_hand = no.by_hand.map_or_else(String::new, |words| format!(". By hand: {words}"));
        refused(format!("{}{by_hand}", no.why))
    })?;
    Ok(Draft { point, plan })
}

/// Hands every command of a file over, until it is not wanted any more.
fn read(spool: &Spool, sha256: &str, mut take: impl FnMut(&[u8], Position) -> bool) -> Result<(), Refusal> {
    let damaged = |error: &dyn std::fmt::Display| Refusal::new(Fault::StoreCorrupt, error.to_string());
    let mut body = spool.read(sha256).map_err(|error| super::fetch::refusal_of(&error, sha256))?;
    let (mut reader, mut wanted) = (Reader::new(), true);
    let mut each = |command: &[u8], at: Position| wanted = wanted && take(command, at);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = body.read(&mut piece).map_err(|error| damaged(&error))?;
        let passed =
            if count == 0 { reader.finish(&mut each) } else { reader.push(&piece[..count], &mut each) };
        passed.map_err(|error| damaged(&error))?;
        if count == 0 {
            return Ok(());
        }
    }
}
