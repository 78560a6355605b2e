//! What an attempt has used is told once, however often the desk is killed while it tells it, and counts each line of a file
//! once, whichever process and whichever attempt has printed it.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use spoolway_agent::config::BedConfirm;
use spoolway_agent::local::Counter;
use spoolway_agent::printer::{Run, RunEnd, RunPhase, Ticket};
use spoolway_agent::store::{Durability, Write};
use spoolway_agent::view::recovery::RecoverHow;
use spoolway_agent_core::gcode::Reader;
use spoolway_agent_core::recovery::{Height, ResumeFrom};
use spoolway_agent_core::stream::{Progress, Stats};
use spoolway_protocol::{Fault, JobId, JobState};

use crate::rig::Rig;

const ANY: BedConfirm = BedConfirm::NotRequired;
/// Two tools; each number is what was pushed in the end.
const TWO_TOOLS: &str = "M83\nT0\nG1 X1 E1.5 F600\nT1\nG1 X2 E2\nG1 E-1\nG1 E1\nG1 X3 E4\n";
const COMMANDS: u64 = 8;

/// Two layers of a part that a plan can go on with.
pub(crate) fn part() -> String {
    let head = "M140 S60\nM104 S210\nM190 S60\nM109 S210\nG28\nG90\nM83\nG92 E0\n";
    let layer = |z: f64| {
        let moves: String =
            (0..60).map(|n| format!("G1 X{} Y{} E0.5 F6000\n", 20 + n % 2 * 10, 20 + n / 2)).collect();
        format!(";LAYER_CHANGE\nG1 Z{z} F600\n{moves}")
    };
    format!("{head}{}{}", layer(0.2), layer(0.4))
}

/// Commands of the part, and those ahead of the first that pushes.
const PART: u64 = 8 + 61 + 61;
const FIRST_LAYER: u64 = 8 + 61;
const PUSH_MM: f64 = 0.5;

async fn begin(rig: &mut Rig, folder: &Path, text: &str) -> (String, Ticket) {
    let id = rig.print_text(folder, text).await;
    let ticket = rig.ticket().await;
    rig.run_at(ticket.subject.run, RunPhase::Printing, at_command(text, 1));
    rig.until_job(&id, JobState::Printing).await;
    (id, ticket)
}

async fn usage(rig: &Rig) -> Vec<Value> {
    let told = rig.told("job.usage").await;
    let results = rig.told("job.result").await;
    assert_eq!(told.len(), results.len(), "whoever has the result has the usage");
    for (usage, result) in told.iter().zip(&results) {
        assert_eq!(usage["outcome"], result["outcome"]);
        let ms = |data: &Value, name: &str| data[name].as_u64().unwrap();
        assert_eq!(ms(usage, "printing_ms") + ms(usage, "paused_ms"), ms(result, "elapsed_ms"));
        assert!(usage["sig"].is_string());
    }
    told
}

/// How far a run is behind so many commands of a file.
pub(crate) fn at_command(text: &str, commands: u64) -> Progress {
    let (mut reader, mut progress) = (Reader::new(), Progress::default());
    let mut follow = |_: &[u8], position| {
        if progress.commands < commands {
            progress = Progress { commands: progress.commands + 1, position };
        }
    };
    reader.push(text.as_bytes(), &mut follow).unwrap();
    reader.finish(&mut follow).unwrap();
    progress
}

/// A run that has ended, and no process has seen when.
fn unseen(id: u64, progress: Progress) -> Run {
    let (stats, paused) = (Stats { job_lines_sent: 4, ..Stats::default() }, Duration::ZERO);
    Run { id, phase: interrupted(Fault::AgentRestarted), progress, stats, paused, ended: None, cause: None }
}

fn interrupted(fault: Fault) -> RunPhase {
    RunPhase::Ended(RunEnd::Interrupted(fault, "it is gone".to_owned()))
}

#[tokio::test]
async fn each_end_tells_what_each_tool_has_pushed_so_far() {
    for (end, commands, state, filament) in [
        (RunPhase::Ended(RunEnd::Completed), COMMANDS, JobState::Completed, json!([1.5, 6.0])),
        (RunPhase::Ended(RunEnd::Cancelled), 5, JobState::Cancelled, json!([1.5, 2.0])),
        (interrupted(Fault::PortLost), 7, JobState::Interrupted, json!([1.5, 2.0])),
        (interrupted(Fault::PortLost), 3, JobState::Interrupted, json!([1.5])),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut rig = Rig::open(folder.path(), ANY);
        let id = rig.print_text(folder.path(), TWO_TOOLS).await;
        let run = rig.started().await;
        rig.run_at(run, end, at_command(TWO_TOOLS, commands));
        rig.until_job(&id, state).await;
        let told = usage(&rig).await;
        let [one] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(one["usage_id"], format!("{id}/1"));
        assert_eq!(
            (&one["filament_mm"], one["lines_acked"].as_u64()),
            (&filament, Some(commands)),
            "{state}"
        );
        assert_eq!((one["lines_total"].as_u64(), &one["times"]), (Some(COMMANDS), &Value::Null));
    }
}

#[tokio::test]
async fn an_attempt_of_which_no_line_went_out_has_used_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let id = rig.print_text(folder.path(), TWO_TOOLS).await;
    let run = rig.started().await;
    let ended = Some(rig.clock.now());
    rig.say(Run { stats: Stats::default(), ended, ..unseen(run, Progress::default()) });
    rig.until_job(&id, JobState::Failed).await;
    let told = usage(&rig).await;
    assert_eq!((told.len(), &told[0]["filament_mm"], &told[0]["lines_acked"]), (1, &json!([]), &json!(0)));
}

/// The desk is killed after each turn that it takes to tell an end, and the next one finds the run as the printer thread left it.
#[tokio::test]
async fn an_end_is_told_once_however_often_the_desk_dies_while_telling_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let (id, ticket) = begin(&mut rig, folder.path(), TWO_TOOLS).await;
    let run = ticket.subject.run;
    let end = || RunPhase::Ended(RunEnd::Completed);
    rig.run_at(run, end(), at_command(TWO_TOOLS, COMMANDS));
    for turns in 0..60 {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        rig.kill().await;
        rig = Rig::open_after(folder.path(), ANY, Some((ticket.clone(), RunPhase::Printing)));
        rig.run_at(run, end(), at_command(TWO_TOOLS, COMMANDS));
        let told = rig.told("job.usage").await;
        assert!(told.len() <= 1, "{told:?}");
    }
    rig.until_job(&id, JobState::Completed).await;
    let told = usage(&rig).await;
    let [one] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((&one["filament_mm"], &one["lines_acked"]), (&json!([1.5, 6.0]), &json!(COMMANDS)));
}

/// Nobody goes on with the run: the next desk ends it, and is killed after each turn of that.
#[tokio::test]
async fn an_attempt_that_ended_while_nobody_looked_is_told_once_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let id = rig.print_text(folder.path(), TWO_TOOLS).await;
    let run = rig.started().await;
    rig.run_at(run, RunPhase::Printing, at_command(TWO_TOOLS, 5));
    rig.until_job(&id, JobState::Printing).await;
    for turns in 0..60 {
        rig.kill().await;
        rig = Rig::open(folder.path(), ANY);
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }
    rig.until_job(&id, JobState::Interrupted).await;
    let told = usage(&rig).await;
    let [one] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((&one["filament_mm"], &one["lines_acked"]), (&json!([1.5, 2.0]), &json!(5)));
    assert_eq!((&one["times"], &one["outcome"]), (&json!("at_least"), &json!("interrupted")));
}

#[tokio::test]
async fn a_print_of_two_processes_is_one_attempt_with_the_lines_of_both() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let (id, ticket) = begin(&mut rig, folder.path(), TWO_TOOLS).await;
    let run = ticket.subject.run;
    rig.run_at(run, RunPhase::Printing, at_command(TWO_TOOLS, 4));
    rig.kill().await;
    rig = Rig::open_after(folder.path(), ANY, Some((ticket, RunPhase::Printing)));
    rig.run_at(run, RunPhase::Printing, at_command(TWO_TOOLS, 6));
    rig.run_at(run, RunPhase::Ended(RunEnd::Completed), at_command(TWO_TOOLS, COMMANDS));
    rig.until_job(&id, JobState::Completed).await;
    let told = usage(&rig).await;
    let [one] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((&one["filament_mm"], &one["lines_acked"]), (&json!([1.5, 6.0]), &json!(COMMANDS)));
    assert_eq!(one["times"], Value::Null, "both ends were seen");
}

#[tokio::test]
async fn a_run_whose_end_nobody_has_seen_lasted_until_it_was_seen_last() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let (id, ticket) = begin(&mut rig, folder.path(), TWO_TOOLS).await;
    rig.kill().await;
    rig = Rig::open_after(folder.path(), ANY, Some((ticket.clone(), RunPhase::Printing)));
    rig.say(unseen(ticket.subject.run, at_command(TWO_TOOLS, 5)));
    rig.until_job(&id, JobState::Interrupted).await;
    let told = usage(&rig).await;
    assert_eq!((told.len(), &told[0]["times"], &told[0]["lines_acked"]), (1, &json!("at_least"), &json!(5)));
}

#[tokio::test]
async fn an_end_that_the_disk_refuses_is_told_when_it_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    Rig::open(folder.path(), ANY).kill().await;
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON attempt
        WHEN (SELECT value FROM meta WHERE key = 'full') = '1'
        BEGIN SELECT RAISE(ABORT, 'the disk is full'); END;";
    let database = rusqlite::Connection::open(folder.path().join("spoolway.db")).unwrap();
    database.busy_timeout(Duration::from_secs(60)).unwrap();
    database.execute_batch(refuse).unwrap();
    drop(database);
    let mut rig = Rig::open(folder.path(), ANY);
    let (id, ticket) = begin(&mut rig, folder.path(), TWO_TOOLS).await;
    set_full(&rig, true).await;
    rig.run_at(ticket.subject.run, RunPhase::Ended(RunEnd::Completed), at_command(TWO_TOOLS, COMMANDS));
    for _ in 0..500 {
        assert_eq!(rig.job(&id).await.state, JobState::Printing, "what is not written down has not happened");
        assert!(rig.told("job.usage").await.is_empty());
    }
    set_full(&rig, false).await;
    rig.until_job(&id, JobState::Completed).await;
    assert_eq!(usage(&rig).await.len(), 1);
    rig.assert_told_once().await;
}

async fn set_full(rig: &Rig, full: bool) {
    let value = u8::from(full).to_string();
    let write = Write::PutMeta { key: "full".to_owned(), value };
    rig.store.commit(vec![write], Durability::Promise).await.unwrap();
}

/// A print that a reset of the printer has interrupted behind so many commands.
async fn begin_and_reset(rig: &mut Rig, folder: &Path, text: &str, commands: u64) -> String {
    let (id, ticket) = begin(rig, folder, text).await;
    rig.run_at(ticket.subject.run, interrupted(Fault::FirmwareReset), at_command(text, commands));
    rig.until_job(&id, JobState::Interrupted).await;
    id
}

/// Two recoveries: one goes on a little before where the print stopped, the other leaves lines out.
#[tokio::test]
async fn attempts_that_go_on_from_one_another_count_each_line_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut rig, text, first) = (Rig::open(folder.path(), ANY), part(), FIRST_LAYER + 20);
    let id = begin_and_reset(&mut rig, folder.path(), &text, first).await;

    let ticket = recover(&mut rig, &id, ResumeFrom::Auto).await;
    let subject = ticket.subject;
    assert!(subject.commands_before < first, "what the planner held is sent again");
    let second = first + 10;
    let sent = |to: u64| subject.preamble + to - subject.commands_before;
    let at = Progress { commands: sent(second), ..at_command(&text, second) };
    rig.run_at(subject.run, interrupted(Fault::FirmwareReset), at);
    rig.until_job(&id, JobState::Interrupted).await;

    let left_out = 5;
    let line = u64::try_from(text.lines().count()).unwrap() - (PART - second) + left_out + 1;
    let ticket = recover(&mut rig, &id, ResumeFrom::Line(line)).await;
    let subject = ticket.subject;
    assert_eq!(subject.commands_before, second + left_out);
    let commands = subject.preamble + PART - subject.commands_before;
    let at = Progress { commands, ..at_command(&text, PART) };
    rig.run_at(subject.run, RunPhase::Ended(RunEnd::Completed), at);
    rig.until_job(&id, JobState::Completed).await;

    let told = usage(&rig).await;
    let counted: Vec<_> = told
        .iter()
        .map(|one| (one["usage_id"].clone(), one["lines_before"].as_u64(), one["lines_acked"].as_u64()))
        .collect();
    let rest = PART - second - left_out;
    let expected = [(1, None, first), (2, Some(first), 10), (3, Some(second + left_out), rest)];
    let expected =
        expected.map(|(attempt, before, lines)| (json!(format!("{id}/{attempt}")), before, Some(lines)));
    assert_eq!(counted, expected);
    // Ahead of the first layer nothing is pushed, and one command of each layer only moves.
    let mm = |moves: u64| json!([PUSH_MM * moves as f64]);
    let filament: Vec<_> = told.iter().map(|one| one["filament_mm"].clone()).collect();
    assert_eq!(filament, [mm(60 + 19), mm(10), mm(rest)]);
}

/// The attempt that goes on dies as well, and nobody takes it over.
#[tokio::test]
async fn an_attempt_that_goes_on_and_dies_counts_from_where_the_first_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (mut rig, text, first) = (Rig::open(folder.path(), ANY), part(), FIRST_LAYER + 20);
    let id = begin_and_reset(&mut rig, folder.path(), &text, first).await;
    let subject = recover(&mut rig, &id, ResumeFrom::Auto).await.subject;
    let second = first + 7;
    let commands = subject.preamble + second - subject.commands_before;
    rig.run_at(subject.run, RunPhase::Printing, Progress { commands, ..at_command(&text, second) });
    rig.until_job(&id, JobState::Printing).await;
    rig.kill().await;

    let rig = Rig::open(folder.path(), ANY);
    rig.until_job(&id, JobState::Interrupted).await;
    let told = usage(&rig).await;
    let [one, two] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((&one["lines_acked"], &two["lines_before"]), (&json!(first), &json!(first)));
    assert_eq!((&two["lines_acked"], &two["times"]), (&json!(7), &json!("at_least")));
    assert_eq!(two["filament_mm"], json!([PUSH_MM * 7.0]));
}

async fn recover(rig: &mut Rig, id: &str, from: ResumeFrom) -> Ticket {
    let how = RecoverHow { from, height: Some(Height::Touching) };
    let job = JobId::new(id).unwrap();
    let plan = rig.desk.plan_recovery(job.clone(), how).await.unwrap();
    rig.desk.recover(job, how, plan.plan_id).await.unwrap();
    rig.ticket().await
}
