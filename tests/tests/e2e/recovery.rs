//! Interrupted prints that go on by a plan that somebody has seen: what the board carries out is the plan, and then exactly
//! the lines of the file from the place that the plan names to its end.

use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest, Sha256};
use spoolway_agent::local::TalkError;
use spoolway_agent::local::words::Request;
use spoolway_agent::store::{Position, Store, StoreOptions};
use spoolway_agent::view::JobView;
use spoolway_agent::view::recovery::{PlanView, RecoverHow};
use spoolway_agent_core::recovery::{Height, Loss, ResumeFrom, Since};
use spoolway_protocol::job::Outcome;
use spoolway_protocol::usage::{Certainty, JobUsage};
use spoolway_protocol::{JobId, JobState};
use spoolway_tests::at_port::{AgentAtPort, commands};
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread, ResetOnOpen};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
/// What leaves the machine safe, by the Marlin profile.
const CANCEL_SCRIPT: [&str; 4] = ["M104 S0", "M140 S0", "M107", "M84"];
/// The slots of the line journal.
const SLOT_BYTES: usize = 4096;

/// A part of ten layers, with a comment ahead of every move, so that lines are not commands.
fn part() -> Vec<String> {
    let head = ["M140 S60", "M104 S210", "M190 S60", "M109 S210", "G28", "G90", "M82", "G92 E0", "M106 S128"];
    let mut lines: Vec<String> = head.map(str::to_owned).to_vec();
    let mut filament = 0.0;
    for layer in 1..=10 {
        lines.push(";LAYER_CHANGE".to_owned());
        lines.push(format!("G1 Z{:.1} F600", 0.2 * f64::from(layer)));
        for step in 0..200 {
            filament += 0.5;
            lines.push(format!("; step {step}"));
            lines.push(format!("G1 X{} Y{} E{filament:.1} F6000", 20 + step % 2 * 10, 20 + step / 2));
        }
    }
    lines
}

fn board(reset_on_open: ResetOnOpen) -> PtyThread {
    let mut options = PtyOptions::uart(spoolway_tests::at_port::BAUD);
    options.printer.speed = 20.0;
    options.reset_on_open = reset_on_open;
    PtyPrinter::open(options).unwrap().spawn().unwrap()
}

fn print_until(agent: &AgentAtPort, board: &PtyThread, lines: u64) -> (String, Vec<String>) {
    agent.until_idle();
    let file = part();
    let text = file.iter().fold(String::new(), |mut text, line| {
        writeln!(text, "{line}").unwrap();
        text
    });
    let job = agent.print_text("part.gcode", &text);
    agent.until("lines that were carried out", || (board.control().executed() > lines).then_some(()));
    (job, file)
}

fn plan(agent: &AgentAtPort, job: &str, how: RecoverHow) -> Result<PlanView, TalkError> {
    agent.client().plan_recovery(JobId::new(job).unwrap(), how)
}

fn recover(agent: &AgentAtPort, plan: &PlanView, plan_id: &str) -> Result<JobView, TalkError> {
    let (job_id, how) = (plan.job_id.clone(), plan.how);
    agent.client().job(&Request::Recover { job_id, how, plan_id: plan_id.to_owned() })
}

/// What has to follow once a plan runs: its own lines, and the file's behind the place.
fn rest(plan: &PlanView, file: &[String]) -> Vec<String> {
    let own = plan.steps.iter().flat_map(|step| step.lines.clone());
    let behind = usize::try_from(plan.behind_line).unwrap();
    own.chain(file[behind..].iter().filter(|line| !line.starts_with(';')).cloned()).collect()
}

/// The last commands have to be these; only the first difference is shown.
fn assert_ends_with(executed: &[String], expected: &[String]) {
    assert!(executed.len() >= expected.len(), "{} commands and not {}", executed.len(), expected.len());
    let end = &executed[executed.len() - expected.len()..];
    for (at, (one, other)) in end.iter().zip(expected).enumerate() {
        assert_eq!(waited(one), waited(other), "command {at} of {}", expected.len());
    }
}

/// Where the agent waits for a heater in the firmware's place, the board is only told the target.
fn waited(command: &str) -> String {
    command.replace("M190 ", "M140 ").replace("M109 ", "M104 ")
}

fn loss(job: &JobView) -> (Loss, Since) {
    let loss = job.loss.expect("an interrupted job says what happened");
    (loss.loss, loss.since)
}

#[test]
fn a_printer_that_was_reset_goes_on_by_the_plan_that_was_shown() {
    let board = board(ResetOnOpen::First);
    let mut agent = AgentAtPort::start(Path::new(DEMO), board.path(), "marlin");
    let (job, file) = print_until(&agent, &board, 700);
    board.control().reset();
    let lost = agent.until_job(&job, JobState::Interrupted);
    assert_eq!(loss(&lost), (Loss::PrinterReset, Since::Reset));
    agent.until_idle();

    // Nobody has said how high the nozzle is.
    let TalkError::Refused(unsaid) = plan(&agent, &job, RecoverHow::default()).unwrap_err() else { panic!() };
    assert!(unsaid.code == "recovery.refused" && unsaid.text.contains("--z touching"), "{unsaid:?}");
    let how = RecoverHow { height: Some(Height::Touching), ..RecoverHow::default() };
    let shown = plan(&agent, &job, how).unwrap();
    assert_eq!(shown.acknowledged_line, lost.line);
    assert!(shown.behind_line < lost.line, "what the planner held is lost");
    // Another plan than the one that was shown is not run.
    let TalkError::Refused(fault) = recover(&agent, &shown, "000000000000").unwrap_err() else { panic!() };
    assert_eq!(fault.code, "recovery.plan_changed");
    assert_eq!(agent.job(&job).state, JobState::Interrupted);

    let begun = recover(&agent, &shown, &shown.plan_id).unwrap();
    assert_eq!((begun.state, begun.attempt), (JobState::Recovering, 2));
    let done = agent.until_job(&job, JobState::Completed);
    assert_eq!((done.commands_acked, done.line), (done.commands_total, file.len() as u64));
    agent.end();
    let executed = commands(board.finish().unwrap().printer.executed());
    let expected = rest(&shown, &file);
    let begins = executed.len() - expected.len();
    assert_ends_with(&executed, &expected);
    assert_eq!(executed[begins - CANCEL_SCRIPT.len()..begins], CANCEL_SCRIPT, "it was made safe before");
    let printed: Vec<&String> = file.iter().filter(|line| !line.starts_with(';')).collect();
    let first = &executed[..begins - CANCEL_SCRIPT.len()];
    assert!(first.iter().zip(printed).all(|(one, other)| one == other), "nothing else was sent before");
    let [first, second] = usage(agent.folder());
    assert_eq!((first.outcome, &first.times), (Outcome::Interrupted, &Certainty::Measured));
    assert_counted_once(&first, &second);
}

/// What both attempts tell, in order.
fn usage(folder: &Path) -> [JobUsage; 2] {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let events = runtime.block_on(async {
        let (store, _) = Store::open(folder, &StoreOptions::default()).unwrap();
        store.events_after(Position::default(), 10_000, u64::MAX).await.unwrap()
    });
    let told = events.iter().map(|stored| &stored.event).filter(|event| event.kind == "job.usage");
    let told: Vec<JobUsage> = told.map(|event| serde_json::from_str(&event.data_json).unwrap()).collect();
    told.try_into().unwrap()
}

/// What was sent again counts for the first attempt only.
fn assert_counted_once(first: &JobUsage, second: &JobUsage) {
    assert_eq!((second.outcome, second.lines_before), (Outcome::Completed, first.lines_acked));
    assert_eq!(first.lines_acked + second.lines_acked, first.lines_total);
    let mm = |usage: &JobUsage| usage.filament_mm.as_ref().unwrap().iter().sum::<f64>();
    let all = 0.5 * 200.0 * 10.0;
    assert!((mm(first) + mm(second) - all).abs() < 1e-6, "{first:?} {second:?}");
}

/// The board resets once more, before the first line of the plan or while these go out: another plan goes on with the part.
fn reset_again(heats: bool) {
    let board = board(ResetOnOpen::First);
    let mut agent = AgentAtPort::start(Path::new(DEMO), board.path(), "marlin");
    let (job, file) = print_until(&agent, &board, 700);
    board.control().reset();
    agent.until_job(&job, JobState::Interrupted);
    agent.until_idle();
    let how = RecoverHow { height: Some(Height::Touching), ..RecoverHow::default() };
    let first = plan(&agent, &job, how).unwrap();
    assert_eq!(recover(&agent, &first, &first.plan_id).unwrap().state, JobState::Recovering);
    if heats {
        let is_heated = |(_, target): &(f32, Option<f32>)| target.is_some_and(|target| target > 0.0);
        let heated = || agent.status().printer.tools.iter().any(is_heated).then_some(());
        agent.until("the plan to heat", heated);
    }
    board.control().reset();
    let again = agent.until_job(&job, JobState::Interrupted);
    assert_eq!((again.attempt, loss(&again)), (2, (Loss::PrinterReset, Since::Reset)));
    agent.until_idle();

    let second = plan(&agent, &job, how).unwrap();
    assert_eq!(second.behind_line, first.behind_line, "what was certain before stays certain");
    let begun = recover(&agent, &second, &second.plan_id).unwrap();
    assert_eq!((begun.state, begun.attempt), (JobState::Recovering, 3));
    agent.until_job(&job, JobState::Completed);
    agent.end();
    let executed = commands(board.finish().unwrap().printer.executed());
    assert_ends_with(&executed, &rest(&second, &file));
}

#[test]
fn a_reset_while_a_plan_runs_interrupts_the_print_again() {
    reset_again(true);
}

#[test]
fn a_reset_before_a_plan_runs_has_another_plan_made() {
    reset_again(false);
}

/// The machine loses power and the printer does not: the journal is one of another boot, and the board still warm.
#[test]
fn a_printer_that_stood_all_the_time_goes_on_where_the_journal_says() {
    let board = board(ResetOnOpen::Never);
    let mut agent = AgentAtPort::start(Path::new(DEMO), board.path(), "marlin");
    let (job, file) = print_until(&agent, &board, 900);
    agent.kill();
    let written = rewrite_boot(agent.folder());
    forget_this_boot(agent.folder());
    agent.start_again();
    let lost = agent.until("what happened", || {
        let job = agent.job(&job);
        job.loss.filter(|loss| loss.since != Since::Unknown).map(|_| job)
    });
    assert_eq!((lost.state, loss(&lost)), (JobState::Interrupted, (Loss::HostPower, Since::Stood)));
    assert_eq!(lost.line, written, "the journal of the boot before is believed");
    agent.until_idle();
    let how = RecoverHow { height: Some(Height::Held), from: ResumeFrom::Auto };
    let shown = plan(&agent, &job, how).unwrap();
    assert_eq!(shown.behind_line, lost.line, "nothing that was planned is lost");
    let says_z = shown.steps.iter().flat_map(|step| &step.lines).any(|line| line.starts_with("G92 Z"));
    assert!(!says_z, "it knows its height");
    recover(&agent, &shown, &shown.plan_id).unwrap();
    agent.until_job(&job, JobState::Completed);
    agent.end();
    let executed = commands(board.finish().unwrap().printer.executed());
    let expected = rest(&shown, &file);
    assert_ends_with(&executed, &expected);
    let [first, second] = usage(agent.folder());
    assert_eq!((&first.times, first.printing_ms), (&Certainty::Uncertain, 0), "the clocks are of two boots");
    assert_counted_once(&first, &second);
}

#[test]
fn a_part_that_is_given_up_makes_room_and_is_not_gone_on_with() {
    let board = board(ResetOnOpen::First);
    let mut agent = AgentAtPort::start(Path::new(DEMO), board.path(), "marlin");
    let (job, _) = print_until(&agent, &board, 300);
    board.control().reset();
    agent.until_job(&job, JobState::Interrupted);
    agent.until_idle();
    let job_id = JobId::new(job.clone()).unwrap();
    agent.client().job(&Request::Abandon { job_id }).unwrap();
    agent.until_job(&job, JobState::Cancelled);
    let how = RecoverHow { height: Some(Height::Touching), ..RecoverHow::default() };
    let refused = plan(&agent, &job, how).unwrap_err();
    assert!(refused.to_string().contains("not interrupted"), "{refused}");
    agent.end();
    drop(board.finish().unwrap());
}

/// Makes the journal one of another boot, as if its newest mark had just been flushed; gives the line that it holds.
fn rewrite_boot(folder: &Path) -> u64 {
    let path = folder.join("line-journal");
    let mut bytes = std::fs::read(&path).unwrap();
    let on_disk = bytes.len();
    bytes.extend(std::fs::read(folder.join("print.mark")).unwrap());
    let (mut newest, mut newest_at, mut found) = (0, 0, None);
    for (at, slot) in bytes.chunks_mut(SLOT_BYTES).enumerate() {
        if !slot.starts_with(b"spoolwlj") {
            continue;
        }
        let number = u64::from_le_bytes(slot[12..20].try_into().unwrap());
        let length = u32::from_le_bytes(slot[20..24].try_into().unwrap()) as usize;
        let mut mark: serde_json::Value = serde_json::from_slice(&slot[24..24 + length]).unwrap();
        if number >= newest {
            (newest, newest_at, found) = (number, at, mark["line"].as_u64());
        }
        let other = "0".repeat(mark["boot"].as_str().unwrap().len());
        mark["boot"] = other.into();
        let text = serde_json::to_vec(&mark).unwrap();
        slot[20..24].copy_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
        slot[24..].fill(0);
        slot[24..24 + text.len()].copy_from_slice(&text);
        let digest = Sha256::digest(&slot[..24 + text.len()]);
        slot[24 + text.len()..][..32].copy_from_slice(&digest);
    }
    bytes.copy_within(newest_at * SLOT_BYTES..(newest_at + 1) * SLOT_BYTES, 0);
    std::fs::write(&path, &bytes[..on_disk]).unwrap();
    found.expect("a mark was written")
}

/// What lives in memory only is gone with the power.
fn forget_this_boot(folder: &Path) {
    for name in ["print.journal", "print.mark"] {
        let path = folder.join(name);
        if path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    }
}
