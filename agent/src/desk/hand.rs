//! What a backend has done to its printer by hand: judged here by role, bed and jobs, put into the firmware's words by the
//! core, and sent by the printer thread, which alone knows for certain whether a job is under way.

use std::sync::Arc;
use std::time::Duration;

use spoolway_agent_core::allow::Role;
use spoolway_agent_core::hand::{self, Unfit};
use spoolway_agent_core::preflight::Volume;
use spoolway_firmware_profiles::reply::Replies;
use spoolway_protocol::command::{Actor, CommandArgs, GcodeReplies};
use spoolway_protocol::hand::JogArgs;
use spoolway_protocol::job::JobState;
use spoolway_protocol::queue::SkipObjectArgs;
use spoolway_protocol::{CmdId, Fault};
use tokio::sync::{mpsc, oneshot};
use tracing::info;

use super::by_hand::{Sent, send};
use super::clerk::{Clerk, Done};
use super::stopping;
use crate::printer::{Aside, DeedTime, Known, Order};
use crate::view::Refusal;

/// How long somebody waits for what does not block the firmware.
const SOON: Duration = Duration::from_secs(30);

/// What a firmware says to a command that it does not have.
const UNKNOWN: &str = "unknown command";

/// Something that may be done, as far as the desk can tell.
struct Deed {
    when: DeedTime,
    patience: Duration,
    what: What,
    /// The firmware has to know the command: to do without is not enough.
    is_known: bool,
}

enum What {
    Lines(Vec<String>),
    /// It has to be known first where the head is, if it is known where it may be.
    Jog(JogArgs, Option<Volume>),
}

impl Deed {
    fn idle(what: What) -> Self {
        Self { when: DeedTime::Idle, patience: SOON, what, is_known: false }
    }
}

/// Refuses whoever may not change anything, or has no role that is known.
pub(super) fn check_role(actor: &Actor, needs_admin: bool) -> Result<(), Refusal> {
    let denied = |text| Err(Refusal::new(Fault::CommandNotAllowed, text));
    match Role::of_backend(&actor.role) {
        Some(Role::Admin) => Ok(()),
        Some(Role::Operator) if !needs_admin => Ok(()),
        Some(role) => denied(format!("this is not done for {role}")),
        None => denied(format!("the role {:?} may do nothing", actor.role)),
    }
}

impl Clerk {
    /// Does what a command asks of the printer, away from the desk.
    pub(super) fn do_by_hand(&mut self, cmd_id: CmdId, actor: &Actor, args: &CommandArgs) {
        let judged = self.answering().and_then(|known| Ok((self.judge_deed(&known, actor, args)?, known)));
        let (deed, known) = match judged {
            Ok(judged) => judged,
            Err(refusal) => return self.end_command(cmd_id, Err(refusal)),
        };
        info!(command = %cmd_id, kind = args.kind(), role = actor.role, "by hand");
        let (orders, done) = (self.orders.clone(), self.done.clone());
        tokio::spawn(async move {
            let mut replies = GcodeReplies::default();
            let is_known = deed.is_known;
            let ended = match carry_out(&orders, &known, deed).await {
                Ok(heard) => {
                    let judged = judge_replies(&known.profile.replies, &heard, is_known);
                    replies.replies.push(heard);
                    judged
                }
                Err(refusal) => Err(refusal),
            };
            drop(done.send(Done::SentByHand(Sent { cmd_id, replies, ended })).await);
        });
    }

    /// The printer, if it answers.
    fn answering(&self) -> Result<Arc<Known>, Refusal> {
        let snapshot = self.snapshot.borrow();
        let (known, fault) = (snapshot.known.clone(), snapshot.fault.clone());
        known.ok_or_else(|| {
            let silent = || (Fault::FirmwareSilent, "the printer has not answered yet".to_owned());
            let (fault, text) = fault.unwrap_or_else(silent);
            Refusal::new(fault, text)
        })
    }

    fn judge_deed(&self, known: &Known, actor: &Actor, args: &CommandArgs) -> Result<Deed, Refusal> {
        let hand = &known.profile.hand;
        let lines = |lines: Result<_, Unfit>| lines.map(What::Lines).map_err(|unfit| refusal(&unfit));
        // Whoever sees that nothing should be hot any more may say so.
        if !matches!(args, CommandArgs::PrinterHeatersOff(_)) {
            check_role(actor, false)?;
        }
        let always = |what| Deed { when: DeedTime::Always, ..Deed::idle(what) };
        match args {
            CommandArgs::PrinterHome(args) => {
                let what = lines(hand::home(hand, args))?;
                self.check_motion(hand::homes_height(args))?;
                let patience = SOON + Duration::from_millis(known.profile.timeouts.blocking_ms.into());
                Ok(Deed { patience, ..Deed::idle(what) })
            }
            CommandArgs::PrinterJog(args) => {
                let by = hand::distances(args).map_err(|unfit| refusal(&unfit))?;
                self.check_motion(by[2] < 0.0)?;
                let volume = self.printer_for_files(known).volume;
                Ok(Deed::idle(What::Jog(args.clone(), volume)))
            }
            CommandArgs::PrinterSetTemp(args) => {
                let limits = &known.profile.temperature.limits;
                let what = lines(hand::heat(hand, limits, self.hot_ends(), args))?;
                self.check_printer()?;
                Ok(Deed::idle(what))
            }
            CommandArgs::PrinterHeatersOff(_) => {
                let what = lines(hand::heaters_off(hand, self.hot_ends()))?;
                self.check_unused("cancel it: that switches the heaters off, too")?;
                Ok(Deed::idle(what))
            }
            CommandArgs::PrinterLight(args) => {
                lines(hand::light(hand, |name| known.report.has(name), args.on)).map(always)
            }
            CommandArgs::JobSkipObject(args) => {
                self.check_object(args)?;
                let what = lines(hand::skip_object(hand, &args.object))?;
                Ok(Deed { is_known: true, ..always(what) })
            }
            CommandArgs::PrinterIdentify(_) => lines(hand::identify(hand)).map(always),
            other => {
                let text = format!("this agent does not carry out {:?}", other.kind());
                Err(Refusal::new(Fault::CommandUnknown, text))
            }
        }
    }

    /// Whether the head may be moved: nothing is printed, no part waits to be gone on with, and none is in the way of a head
    /// that comes down.
    fn check_motion(&self, goes_down: bool) -> Result<(), Refusal> {
        self.check_printer()?;
        if let Some(id) = self.interrupted().first() {
            let text =
                format!("job {id} was interrupted, and goes on from where the head is or is given up first");
            return Err(Refusal::new(Fault::Busy, text));
        }
        if goes_down { self.check_bed() } else { Ok(()) }
    }

    /// Refuses while a job holds the printer.
    fn check_unused(&self, instead: &str) -> Result<(), Refusal> {
        let active = self.book.active().map(|entry| entry.job.id());
        match active.or_else(|| self.following.as_ref().map(|following| &following.job_id)) {
            Some(id) => Err(Refusal::new(Fault::Busy, format!("job {id} is under way; {instead}"))),
            None => Ok(()),
        }
    }

    /// Whether the print under way has such an object.
    fn check_object(&self, args: &SkipObjectArgs) -> Result<(), Refusal> {
        let (id, object) = (&args.job_id, &args.object);
        let entry = self.book.entries.get(id).ok_or_else(|| super::commands::unknown_job(id))?;
        let state = entry.job.state();
        if !matches!(state, JobState::Printing | JobState::Paused) {
            return Err(Refusal::new(Fault::JobNotReady, format!("job {id} is {state} and not printed")));
        }
        let objects = &entry.detail.objects;
        if objects.contains(object) {
            return Ok(());
        }
        let text = match objects.is_empty() {
            true => format!("the file of job {id} has no labels of objects"),
            false => format!("the file of job {id} has no object {object:?}, but {}", objects.join(", ")),
        };
        Err(Refusal::new(Fault::JobNoObject, text))
    }

    fn hot_ends(&self) -> usize {
        let temperatures = self.snapshot.borrow().temperatures.unwrap_or_default();
        temperatures.tools.iter().flatten().count()
    }

    /// Lets go of the port; whoever wants it back says `printer.connect`, or starts the agent anew.
    pub(super) async fn disconnect(&mut self, actor: &Actor) -> Result<(), Refusal> {
        check_role(actor, true)?;
        self.check_unused("wait for its end or cancel it")?;
        let (answer, said) = oneshot::channel();
        self.orders.send(Order::Release { answer }).await.map_err(|_| stopping())?;
        said.await.map_err(|_| stopping())?
    }

    /// Takes the port up again; whether the printer answers is told by `printer.state`.
    pub(super) async fn connect(&mut self, actor: &Actor) -> Result<(), Refusal> {
        check_role(actor, true)?;
        self.orders.send(Order::TakeUp).await.map_err(|_| stopping())
    }
}

async fn carry_out(orders: &mpsc::Sender<Order>, known: &Known, deed: Deed) -> Result<Vec<String>, Refusal> {
    let lines = match deed.what {
        What::Lines(lines) => lines,
        What::Jog(args, volume) => jog(orders, known, &args, volume).await?,
    };
    send(orders, Aside::deed(deed.when, lines), deed.patience).await
}

async fn jog(
    orders: &mpsc::Sender<Order>,
    known: &Known,
    args: &JogArgs,
    volume: Option<Volume>,
) -> Result<Vec<String>, Refusal> {
    let hand = &known.profile.hand;
    let mut is = None;
    if let (Some(_), Some(question)) = (volume, &hand.position) {
        let heard = send(orders, Aside::deed(DeedTime::Idle, vec![question.clone()]), SOON).await?;
        let unknown = || Refusal::new(Fault::PrinterRefused, "the printer did not say where its head is");
        is = Some(hand::position(&heard).ok_or_else(unknown)?);
    }
    let borders = volume.map(|volume| (volume.least, volume.most));
    hand::jog(hand, args, is, borders).map_err(|unfit| refusal(&unfit))
}

/// Whether a printer has carried out what it was told, by what it says.
fn judge_replies(replies: &Replies, heard: &[String], is_known: bool) -> Result<(), Refusal> {
    let begins = |line: &str, texts: &[String]| {
        texts.iter().any(|text| line.get(..text.len()).is_some_and(|head| head.eq_ignore_ascii_case(text)))
    };
    let is_harmless = |line: &str| {
        let line = line.to_ascii_lowercase();
        replies.harmless_errors.iter().any(|text| line.contains(&text.to_ascii_lowercase()))
    };
    // Marlin and its relatives say so and go on.
    let is_unknown = |line: &str| is_known && line.to_ascii_lowercase().contains(UNKNOWN);
    let refuses = |line: &str| begins(line, &replies.error) && !is_harmless(line) || is_unknown(line);
    let complaint = heard.iter().find(|line| refuses(line));
    let refused = |line| Refusal::new(Fault::PrinterRefused, format!("the printer says {line:?}"));
    complaint.map_or(Ok(()), |line| Err(refused(line)))
}

fn refusal(unfit: &Unfit) -> Refusal {
    Refusal::new(unfit.fault(), unfit.to_string())
}

#[cfg(test)]
mod tests {
    use spoolway_firmware_profiles::Registry;

    use super::*;

    #[test]
    fn what_a_printer_refuses_is_not_done() {
        for (profile, line, fault) in [
            ("marlin", "Error:Printer is lost", Some(Fault::PrinterRefused)),
            ("marlin", "echo:Unknown command: \"M300\"", None),
            ("marlin", "Error:No SD card", None),
            ("grbl", "error:5", Some(Fault::PrinterRefused)),
            ("klipper", "!! Must home axis first", Some(Fault::PrinterRefused)),
            ("grbl", "er", None),
        ] {
            let replies = Registry::built_in().get(profile).unwrap().profile.replies.clone();
            let judged = judge_replies(&replies, &["ok".to_owned(), line.to_owned()], false);
            assert_eq!(judged.err().map(|refusal| refusal.fault), fault, "{profile}: {line}");
        }
        let replies = Registry::built_in().get("marlin").unwrap().profile.replies.clone();
        let unknown = ["echo:Unknown command: \"M486 P1\"".to_owned()];
        assert!(judge_replies(&replies, &unknown, true).is_err(), "nothing was left out");
    }

    #[test]
    fn only_some_roles_may_change_anything() {
        let actor = |role: &str| -> Actor {
            serde_json::from_value(serde_json::json!({"id": "u", "role": role})).unwrap()
        };
        for (role, may, may_as_admin) in
            [("admin", true, true), ("operator", true, false), ("viewer", false, false), ("x", false, false)]
        {
            assert_eq!(check_role(&actor(role), false).is_ok(), may, "{role}");
            assert_eq!(check_role(&actor(role), true).is_ok(), may_as_admin, "{role}");
        }
    }
}
