//! The load generator speaks to the real relay: its agents log in, what they send comes, and they come back. Nothing is timed.

use std::process::Command;

use serde_json::Value;

const BENCH: &str = env!("CARGO_BIN_EXE_spoolway-bench");

#[test]
fn agents_of_the_load_log_in_send_and_come_back_without_a_loss() {
    let few = ["--connections=30", "--agents=20", "--flooders=4", "--rate=200"];
    let short = ["--idle-seconds=1", "--seconds=1", "--overload-seconds=1"];
    let mut bench = Command::new(BENCH);
    bench.args(["relay", "--peers=none", "--json"]).args(few).args(short);
    let output = bench.output().unwrap();
    let (text, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{log}");
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{log}"));
    let relay = &report["columns"][0];
    assert_eq!((&relay["contender"], report["columns"].as_array().unwrap().len()), (&"Spoolway".into(), 1));
    assert_eq!(relay["idle"]["connections"], 30);
    for figures in [&relay["forward"], &relay["coalesced"]] {
        assert!(figures["sent"].as_u64().unwrap() > 0, "{figures}");
        assert_eq!(figures["delivered"], figures["sent"]);
    }
    assert_eq!((&relay["storm"]["agents"], &relay["storm"]["failed"]), (&20.into(), &0.into()));
    let overload = &relay["overload"];
    assert!(overload["events"].as_u64().unwrap() > 0 && overload["commands"].as_u64().unwrap() > 0);
    assert_eq!((&overload["events_lost"], &overload["commands_lost"]), (&0.into(), &0.into()), "{overload}");
    assert!(report["routing"]["small_ns"].as_f64().unwrap() > 0.0);
    assert_eq!(report["missing"], Value::Array(Vec::new()));
}

#[test]
fn a_server_that_cannot_be_had_is_named_and_fails_the_run_unless_it_may() {
    let nowhere = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| {
        let mut bench = Command::new(BENCH);
        bench.args([
            "relay",
            "--only=routing",
            "--agents=1",
            "--connections=1",
            "--flooders=1",
            "--peers=node",
        ]);
        // Without a program on the path there is no Node.js.
        let output = bench.args(more).env("PATH", nowhere.path()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = run(&[]);
    assert!(code == Some(1) && text.contains("MISSING: Node ws"), "{text}");
    let (code, text) = run(&["--allow-missing"]);
    assert!(code == Some(0) && text.contains("MISSING: Node ws"), "{text}");
}
