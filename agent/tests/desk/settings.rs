//! What the owner sets: one revision after the other, whole or not at all, kept over a kill and gone with the owner.

use serde_json::{Value, json};
use spoolway_agent::bus::Inbound;
use spoolway_agent::config::BedConfirm;

use super::rig::Rig;

async fn set(rig: &mut Rig, rev: u64, patch: Value) -> (String, Option<String>) {
    rig.result("config.set", json!({"rev": rev, "patch": patch})).await
}

fn done() -> (String, Option<String>) {
    ("done".to_owned(), None)
}

fn rejected(code: &str) -> (String, Option<String>) {
    ("rejected".to_owned(), Some(code.to_owned()))
}

#[tokio::test]
async fn settings_of_the_owner_follow_one_another_and_outlive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    assert_eq!(set(&mut rig, 1, json!({"printer.filament": "PLA"})).await, done());
    assert_eq!(
        set(&mut rig, 1, json!({"printer.filament": "PETG"})).await,
        rejected("command.precondition_failed")
    );
    assert_eq!(set(&mut rig, 1, json!({"printer.filament": "PLA"})).await, done(), "it is so already");
    assert_eq!(set(&mut rig, 2, json!({"printer.nozzle_mm": 99})).await, rejected("command.bad_args"));
    assert_eq!(set(&mut rig, 2, json!({"bed.confirm": "required"})).await, rejected("command.bad_args"));
    let told = rig.told("config.applied").await;
    let ok: Vec<_> = told.iter().map(|data| (data["rev"].clone(), data["ok"].clone())).collect();
    assert_eq!(ok, [(json!(1), json!(true)), (json!(1), json!(false)), (json!(1), json!(false))]);
    rig.kill().await;

    let mut rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    assert_eq!(set(&mut rig, 2, json!({"printer.tools": 2})).await, done());
    let last = rig.told("config.applied").await.pop().unwrap();
    assert_eq!(last["set"], json!({"printer.filament": "PLA", "printer.tools": 2}));
    assert_eq!(set(&mut rig, 3, json!({"printer.filament": null})).await, done());
    let last = rig.told("config.applied").await.pop().unwrap();
    assert_eq!(last["set"], json!({"printer.tools": 2}), "given back");

    let (done, changed) = tokio::sync::oneshot::channel();
    rig.inbound.send(Inbound::Owner { owner: "b:next".parse().unwrap(), done }).await.unwrap();
    changed.await.unwrap();
    let again = set(&mut rig, 1, json!({"printer.model": "MK4"})).await;
    assert_eq!(again, ("done".to_owned(), None), "the next owner begins anew");
}
