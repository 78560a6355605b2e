//! The wall clock jumps by ten years, both ways, in the middle of a print and between two processes: nothing lasts longer or
//! shorter for it, nothing is over, and nothing starts.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::{Value, json};
use spoolway_agent::clock::Hands;
use spoolway_agent::local::Counter;
use spoolway_agent::local::PrintWishes;
use spoolway_agent::printer::{Run, RunEnd, RunPhase};
use spoolway_agent_core::stream::Stats;
use spoolway_protocol::JobState;

use crate::rig::{Rig, gcode};
use crate::usage::{at_command, part};

const TEN_YEARS_MS: u64 = 3_652 * 86_400_000;
/// Some day on which nothing has jumped yet.
const TODAY_MS: u64 = 1_790_000_000_000;
const COMMANDS: u64 = 40;

/// Time goes by, and the wall clock is set.
fn pass(hands: &Hands, ms: u64, wall_ms: u64) {
    hands.boot_ms.fetch_add(ms, Relaxed);
    hands.wall_ms.store(wall_ms, Relaxed);
}

fn run_of(rig: &Rig, id: u64, phase: RunPhase, paused: Duration) -> Run {
    let ended = matches!(phase, RunPhase::Ended(_)).then(|| rig.clock.now());
    let stats = Stats { job_lines_sent: COMMANDS, ..Stats::default() };
    Run { id, phase, progress: at_command(&part(), COMMANDS), stats, paused, ended, cause: None }
}

/// The offer of a file that is here, for an hour of this day.
async fn offer_for_an_hour(rig: &mut Rig) {
    let (sha256, size) = rig.job_file().await;
    let args = json!({
        "job_id": "today", "rev": 1, "owner": "farm", "start": "at", "sources": [{"kind": "relay"}],
        "not_before": TODAY_MS, "not_after": TODAY_MS + 3_600_000,
        "file": {"file_id": "file-1", "size": size, "sha256": sha256, "chunk": 65_536, "name": "part.gcode"},
    });
    assert_eq!(rig.result("job.offer", args).await.0, "done");
}

#[tokio::test]
async fn a_print_lasts_as_long_as_it_lasts_whatever_the_wall_clock_shows() {
    let folder = tempfile::tempdir().unwrap();
    let hands = Arc::new(Hands::default());
    pass(&hands, 60_000, TODAY_MS);
    let mut rig = Rig::open_with_hands(folder.path(), &hands, None);
    let id = rig.print_text(folder.path(), &part()).await;
    let ticket = rig.ticket().await;
    let run = ticket.subject.run;
    rig.say(run_of(&rig, run, RunPhase::Printing, Duration::ZERO));
    rig.until_job(&id, JobState::Printing).await;
    let held = PrintWishes { hold: true, ..PrintWishes::default() };
    let held = rig.desk.print_file(gcode(folder.path(), "G28\n"), held).await.unwrap().job_id.to_string();
    rig.until_job(&held, JobState::Queued).await;
    offer_for_an_hour(&mut rig).await;
    rig.until_job("today", JobState::Queued).await;

    pass(&hands, 2_000, TODAY_MS + TEN_YEARS_MS);
    rig.say(run_of(&rig, run, RunPhase::Paused, Duration::ZERO));
    rig.until_job(&id, JobState::Paused).await;
    assert_eq!(rig.job("today").await.state, JobState::Queued, "nobody knows that its hour is over");
    rig.kill().await;

    // The next process of the same boot finds a clock that was set back.
    pass(&hands, 3_000, TODAY_MS - TEN_YEARS_MS);
    let mut rig = Rig::open_with_hands(folder.path(), &hands, Some((ticket, RunPhase::Paused)));
    rig.until_job(&id, JobState::Paused).await;
    rig.say(run_of(&rig, run, RunPhase::Printing, Duration::from_millis(3_000)));
    rig.until_job(&id, JobState::Printing).await;
    pass(&hands, 5_000, TODAY_MS);
    let ended = RunPhase::Ended(RunEnd::Completed);
    rig.say(run_of(&rig, run, ended, Duration::from_millis(3_000)));
    rig.until_job(&id, JobState::Completed).await;

    let [usage] = &rig.told("job.usage").await[..] else { panic!("one record") };
    assert_eq!((&usage["printing_ms"], &usage["paused_ms"]), (&json!(7_000), &json!(3_000)));
    assert_eq!(usage["times"], Value::Null, "both ends were seen with one clock");
    assert_eq!(rig.told("job.result").await[0]["elapsed_ms"], json!(10_000));
    for waits in [&held[..], "today"] {
        assert_eq!(rig.job(waits).await.state, JobState::Queued, "{waits} goes on waiting");
    }
    assert_eq!(rig.starts_ordered(), 0, "nothing has started by itself");
    rig.assert_told_once().await;
}
