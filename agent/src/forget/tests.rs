//! Forgetting on the disk alone, cut at every place; with a relay it is tested from end to end.

use std::fs;
use std::path::Path;

use super::*;
use crate::paths::Paths;

const FILES: [&str; 13] = [
    "spoolway.db",
    "spoolway.db-wal",
    "spoolway.db.corrupt-1",
    "spoolway.db.corrupt-1-wal",
    "spoolway.epoch",
    "line-journal",
    "wire.log",
    "wire.log.1",
    "post-mortem/00000001-j1.1.json",
    "spool/aa.job",
    "spool/aa.job-journal",
    "run/print.journal",
    "run/print.mark",
];
/// What is not the agent's, or says nothing of anybody.
const OTHERS: [&str; 4] = ["agent.toml", "agent.lock", "spoolway.dbx", "mine/spoolway.db"];

fn filled() -> (tempfile::TempDir, Config) {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().to_owned();
    let mut config = Config::new(&Paths { config: state.clone(), runtime: state.join("run"), state });
    config.socket = dir.path().join("run/agent.sock");
    for name in FILES.iter().chain(&OTHERS) {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "secret").unwrap();
    }
    Identity::open(dir.path()).unwrap();
    (dir, config)
}

fn left(dir: &Path) -> Vec<&'static str> {
    FILES.iter().chain(&OTHERS).copied().filter(|name| dir.join(name).exists()).collect()
}

#[tokio::test]
async fn what_is_of_the_agent_goes_and_nothing_else_does() {
    let (dir, config) = filled();
    let (id, clock) = (Identity::open(dir.path()).unwrap().agent_id(), Clock::start().unwrap());
    let view = forget(&config, &clock).await.unwrap();
    assert_eq!((view.agent_id, view.relay, view.untold), (Some(id.to_string()), None, None));
    assert_eq!(left(dir.path()), OTHERS);
    let again = forget(&config, &clock).await.unwrap();
    assert_eq!(again, ForgottenView::default(), "nothing is left to forget");
    assert!(!dir.path().join("forgotten").exists());
    assert_ne!(Identity::open(dir.path()).unwrap().agent_id(), id);
}

#[test]
fn a_key_that_was_made_since_is_not_taken_along() {
    let (dir, config) = filled();
    let (state, key) = (dir.path(), dir.path().join("identity/agent.p8"));
    let before = fs::read(&key).unwrap();
    places(&config).begin().unwrap();
    assert!(!key.exists(), "the power went here");
    // Somebody pairs before the agent is started.
    let id = Identity::open(state).unwrap().agent_id();
    finish(&config).unwrap();
    assert_eq!(left(state), OTHERS);
    assert_eq!(Identity::open(state).unwrap().agent_id(), id);
    assert!(fs::read(&key).unwrap() != before && !state.join("forgotten").exists());
    fs::write(state.join("wire.log"), "of the new one").unwrap();
    finish(&config).unwrap();
    assert!(state.join("wire.log").exists(), "what is over is over");
}

/// Wherever the power goes in the middle of it, the next start ends with the same: any part of the files may be gone already.
#[test]
fn a_power_cut_at_any_file_is_made_up_for() {
    for cut in 0..=FILES.len() {
        let (dir, config) = filled();
        places(&config).begin().unwrap();
        FILES[..cut].iter().for_each(|name| fs::remove_file(dir.path().join(name)).unwrap());
        if cut > 0 {
            fs::remove_file(dir.path().join("forgotten/agent.p8")).unwrap();
        }
        finish(&config).unwrap();
        assert_eq!(left(dir.path()), OTHERS, "cut behind {cut}");
    }
}

#[test]
fn what_cannot_be_removed_is_named_and_keeps_nothing_else() {
    let (dir, config) = filled();
    places(&config).begin().unwrap();
    // A folder in the place of a folder's entry list cannot be read as one.
    fs::remove_dir_all(dir.path().join("spool")).unwrap();
    fs::write(dir.path().join("spool"), "no folder").unwrap();
    let error = finish(&config).unwrap_err();
    assert_eq!((error.fault(), error.path()), (Fault::ForgetIncomplete, dir.path().join("spool").as_path()));
    assert!(!dir.path().join("spoolway.db").exists() && dir.path().join("forgotten").exists());
    fs::remove_file(dir.path().join("spool")).unwrap();
    finish(&config).unwrap();
    assert_eq!(left(dir.path()), OTHERS);
}

#[test]
fn the_authority_of_a_pairing_is_found_where_it_was_moved() {
    let (dir, config) = filled();
    let relay = |ca: &Path| RelaySettings {
        url: "wss://relay.example".parse().unwrap(),
        ca_file: Some(ca.to_owned()),
        ca_only: false,
        allow_unbound: false,
        client: config.relay.client.clone(),
        proxy: config.relay.proxy.clone(),
    };
    let places = places(&config);
    let kept = moved(relay(&dir.path().join("identity/relay-ca.pem")), places);
    assert_eq!(kept.ca_file, Some(dir.path().join("forgotten/relay-ca.pem")));
    let other = Path::new("/etc/ssl/campus.pem");
    assert_eq!(moved(relay(other), places).ca_file.as_deref(), Some(other));
}
