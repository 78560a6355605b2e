//! What a backend may have done by hand, as far as the desk judges it.

use serde_json::json;
use spoolway_agent::config::BedConfirm;
use spoolway_agent::printer::{Order, RunEnd, RunPhase};
use spoolway_protocol::JobState;

use super::rig::Rig;

fn rejected(code: &str) -> (String, Option<String>) {
    ("rejected".to_owned(), Some(code.to_owned()))
}

#[tokio::test]
async fn a_few_commands_by_hand_are_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    for lines in [Vec::new(), vec!["M105"; 9]] {
        let refused = rig.result("printer.gcode", json!({"lines": lines})).await;
        assert_eq!(refused, rejected("command.bad_args"), "{}", lines.len());
    }
}

/// A head that comes down could meet the part of the last print.
#[tokio::test]
async fn nothing_comes_down_on_a_bed_that_nobody_has_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::Required);
    let job = rig.print(dir.path()).await;
    let run = rig.started().await;
    rig.run(run, RunPhase::Printing);
    rig.until_job(&job, JobState::Printing).await;
    assert_eq!(rig.result("printer.home", json!({"axes": ["x"]})).await, rejected("printer.busy"));
    rig.run(run, RunPhase::Ended(RunEnd::Completed));
    rig.until_job(&job, JobState::Completed).await;
    assert_eq!(rig.result("printer.home", json!({})).await, rejected("bed.not_clear"));
    assert_eq!(rig.result("printer.jog", json!({"z": -1.0})).await, rejected("bed.not_clear"));
    // To the side is no harm: the printer thread gets it, and there is no answer here.
    rig.command("printer.home", json!({"axes": ["x"]})).await;
    let order = tokio::time::timeout(std::time::Duration::from_secs(120), rig.orders.recv()).await;
    assert!(matches!(order, Ok(Some(Order::SendAside(_)))), "{order:?}");
}
