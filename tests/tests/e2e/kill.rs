//! An agent that dies in the middle of a print, as a process that really dies: the printer does not notice, and nothing is
//! lost, repeated or started twice. The programs judge; these tests see that they had something to judge.

use std::process::Command;

use serde_json::Value;
use spoolway_tests::demo::summary::Summary;

const TORTURE: &str = env!("CARGO_BIN_EXE_spoolway-torture");
const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");

fn kill(arguments: &[&str]) -> Value {
    let output = Command::new(TORTURE).args(["kill", "--json"]).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    assert!(output.status.success(), "{report:#}");
    report
}

#[test]
fn a_print_goes_on_over_kills_while_somebody_keeps_the_port() {
    let report = kill(&["--profile=marlin", "--kills=12", "--print-s=4", "--seed=5"]);
    let row = &report["rows"][0];
    assert_eq!((&report["kills"], &row["descriptors"]), (&12.into(), &1.into()), "{report:#}");
    let measured = row["gone_on"]["count"].as_u64().unwrap() + row["idle"].as_u64().unwrap();
    assert_eq!(measured, 12);
    assert!(row["lines"].as_u64().unwrap() >= 4 * 222);
}

#[test]
fn a_print_goes_on_over_kills_that_leave_it_no_time() {
    let report = kill(&["--profile=repetier", "--kills=40", "--min-ms=1", "--max-ms=60", "--print-s=3"]);
    assert_eq!(report["kills"], 40);
}

#[test]
fn a_print_goes_on_when_the_port_has_to_be_opened_again() {
    let report = kill(&["--profile=marlin", "--kills=8", "--print-s=4", "--without-store"]);
    assert_eq!(report["kills"], 8);
    // A process that is killed before it has opened the port does not count; the last one always does.
    assert!(report["rows"][0]["descriptors"].as_u64().unwrap() > 1, "{report:#}");
}

#[test]
fn a_house_that_is_broken_all_the_time_prints_the_whole_part() {
    let output = Command::new(DEMO).args(["--chaos", "--json", "--speed=48"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let summary: Summary = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    assert!(output.status.success(), "{summary}{}", String::from_utf8_lossy(&output.stderr));
    assert!(summary.chaos.unwrap().has_all());
    assert_eq!(summary.printer.unwrap().comparison.difference, None);
    assert_eq!(summary.usage_fault, None, "it is accounted once, and as the file says");
}
