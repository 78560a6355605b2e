//! `doctor` beside an agent that has its printer: it takes the agent at its word, and the board is neither asked nor reset.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use spoolway_tests::agent_program::{AgentProgram, AgentSetup};
use spoolway_tests::at_port::commands;
use spoolway_tests::pty::{PtyOptions, PtyPrinter};

const BENCH: &str = env!("CARGO_BIN_EXE_spoolway-bench");

/// The end of a program that lives for as long as its standard input is open.
fn doctor(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(BENCH);
    command.arg("agent-program").arg(format!("--config={}", folder.join("agent.toml").display()));
    command.arg("doctor").args(words);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let input = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(input);
    output
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn verdict(report: &Value, name: &str) -> String {
    let step = report["steps"].as_array().unwrap().iter().find(|step| step["step"] == name);
    step.unwrap_or_else(|| panic!("{name}: {report}"))["verdict"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_machine_of_an_agent_that_prints_is_well_and_its_printer_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("agent");
    let mut options = PtyOptions::of_profile("marlin").unwrap();
    options.printer.keep_executed = 100;
    let printer = PtyPrinter::open(options).unwrap().spawn().unwrap();
    let setup = AgentSetup::new(&folder, printer.path(), 115_200);
    let program = AgentProgram::within(Path::new(BENCH), "agent-program");
    let mut agent = program.start(&setup, &folder.with_extension("log")).unwrap();
    agent.ready().await.unwrap();
    let opened = printer.control().opens();
    let json = doctor(&folder, &["machine", "--json"]);
    let found = report(&json);
    assert_eq!(json.status.code(), Some(0), "{found}");
    for name in ["config", "profile", "version", "port", "access", "driver", "printer", "disk"] {
        assert_eq!(verdict(&found, name), "ok", "{name}: {found}");
    }
    assert_eq!(verdict(&found, "service"), "skipped", "it is not the system's agent: {found}");
    let all = report(&doctor(&folder, &["--json"]));
    assert_eq!((verdict(&all, "printer"), verdict(&all, "settings")), ("ok".into(), "warning".into()));
    let told = String::from_utf8(doctor(&folder, &[]).stdout).unwrap();
    assert!(told.contains("     ok  printer     Marlin"), "{told}");
    assert_eq!(printer.control().opens(), opened, "nobody has opened the port anew");
    agent.finish().unwrap();
    let executed = commands(printer.finish().unwrap().printer.executed());
    assert_eq!(executed, [""; 0], "nothing was sent for it");
    let gone = doctor(&folder, &["machine", "--json"]);
    let found = report(&gone);
    assert_eq!((gone.status.code(), verdict(&found, "port")), (Some(69), "failed".into()), "{found}");
    assert_eq!(verdict(&found, "printer"), "warning", "{found}");
}
