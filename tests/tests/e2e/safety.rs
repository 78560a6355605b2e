//! The guard and the maintenance window at a real serial line: what is left on, what is too hot, what does not move, and who
//! may send what.

use std::io::Cursor;
use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use spoolway_agent::config::Safety;
use spoolway_agent::local::TalkError;
use spoolway_agent::local::words::{MaintenanceAction, Request};
use spoolway_agent::printer::feeder::{self, Feed};
use spoolway_agent::printer::{Aside, Cause, Order, RunEnd, RunPhase};
use spoolway_agent::view::{MaintenanceView, Refusal};
use spoolway_agent_core::Moment;
use spoolway_agent_core::allow::Role;
use spoolway_agent_core::gcode::{Batch, Heater, Position};
use spoolway_agent_core::guard::Wrong;
use spoolway_firmware_profiles::Registry;
use spoolway_protocol::Fault;
use spoolway_protocol::printer::PrinterState;
use spoolway_tests::at_port::{AgentAtPort, BAUD, commands};
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread};
use tokio::sync::mpsc;

use crate::thread::PrinterThread;

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
/// What leaves the machine safe, by the Marlin profile.
const CANCEL_SCRIPT: [&str; 4] = ["M104 S0", "M140 S0", "M107", "M84"];
const HOT_END: Heater = Heater::HotEnd(Some(0));

fn board() -> PtyThread {
    let mut options = PtyOptions::uart(BAUD);
    options.printer.speed = 50.0;
    PtyPrinter::open(options).unwrap().spawn().unwrap()
}

/// A printer thread and its board.
struct Site {
    thread: PrinterThread,
    board: PtyThread,
}

impl Deref for Site {
    type Target = PrinterThread;

    fn deref(&self) -> &PrinterThread {
        &self.thread
    }
}

impl Site {
    fn start(safety: Safety, registry: Registry, profile: &str) -> Self {
        let board = board();
        let thread = PrinterThread::start(board.path().to_owned(), safety, registry, profile);
        thread.until("the printer", |now| (now.state == PrinterState::Idle).then_some(()));
        Self { thread, board }
    }

    fn marlin(safety: Safety) -> Self {
        Self::start(safety, Registry::built_in(), "marlin")
    }

    fn print_text(&self, text: &str) {
        self.print(feeder::start(Cursor::new(text.as_bytes().to_vec())).unwrap());
    }

    fn until_completed(&self) {
        self.until("the end of the job", |now| {
            let run = now.run.as_ref()?;
            (run.phase == RunPhase::Ended(RunEnd::Completed)).then_some(())
        });
    }

    /// Waits for an alarm, gives its words, and waits until it is over if that is wanted.
    fn until_alarm(&self, wrong: Wrong, is_over: bool) -> String {
        self.until(&format!("{wrong:?}, over: {is_over}"), |now| {
            let alarm = now.alarms.iter().find(|alarm| alarm.wrong == wrong)?;
            (alarm.is_over || !is_over).then(|| alarm.text.clone())
        })
    }

    fn send(&self, role: Role, command: &str) -> Result<Vec<String>, Refusal> {
        let (aside, replies) = Aside::new(role, command.to_owned());
        self.order(Order::SendAside(Box::new(aside)));
        replies.blocking_recv().unwrap()
    }

    fn open_window(&self) {
        self.order(Order::Maintain { until: self.clock.now() + Duration::from_secs(3_600) });
    }

    /// Ends everything; what the board carried out of the job and of scripts.
    fn finish(self) -> Vec<String> {
        self.thread.leave();
        commands(self.board.finish().unwrap().printer.executed())
    }
}

fn never() -> Safety {
    Safety { idle_heater_off_after_s: 0, stall_after_s: 0 }
}

#[test]
fn what_a_job_left_on_is_switched_off_and_told() {
    let site = Site::marlin(Safety { idle_heater_off_after_s: 1, ..never() });
    site.print_text("M104 S200\nG1 X5 F6000\n");
    site.until_completed();
    let text = site.until_alarm(Wrong::LeftOn(HOT_END), true);
    assert!(text.starts_with("the hot end was left on at 200 °C"), "{text}");
    let executed = site.finish();
    let expected = [["M104 S200", "G1 X5 F6000", "M27"].as_slice(), &CANCEL_SCRIPT].concat();
    assert_eq!(executed, expected);
}

#[test]
fn a_line_that_is_too_hot_waits_for_a_person_at_the_machine() {
    let site = Site::marlin(never());
    site.print_text("G1 X5 F6000\nM104 S310\nG1 X10\n");
    let held = |site: &Site| {
        site.until("the job to be held", |now| {
            let run = now.run.as_ref().filter(|run| run.phase == RunPhase::Paused)?;
            match &run.cause {
                Some(Cause::Guard(Fault::HeatAboveLimit, text)) => Some(text.clone()),
                _ => None,
            }
        })
    };
    let text = held(&site);
    assert!(text.starts_with("line 2 of the file asks for 310 °C of the hot end"), "{text}");
    site.order(Order::Resume { doubt: None });
    // The order to go on is taken before this question, and has changed nothing.
    assert!(site.send(Role::Viewer, "M114").is_ok());
    held(&site);
    site.open_window();
    site.order(Order::Resume { doubt: None });
    site.until_completed();
    assert_eq!(site.finish(), ["G1 X5 F6000", "M114", "M104 S310", "G1 X10"]);
}

#[test]
fn a_heater_that_is_hotter_than_the_profile_allows_is_switched_off() {
    let folder = tempfile::tempdir().unwrap();
    let marlin = include_str!("../../../firmware-profiles/profiles/marlin.toml");
    let cool =
        marlin.replace("id = \"marlin\"", "id = \"cool\"").replace("hotend_max = 300", "hotend_max = 100");
    std::fs::write(folder.path().join("cool.toml"), cool).unwrap();
    let (registry, broken) = Registry::load(Some(folder.path()));
    assert!(broken.is_empty(), "{broken:?}");
    let site = Site::start(never(), registry, "cool");
    assert_eq!(site.send(Role::AtTheMachine, "M104 S160").unwrap_err().fault, Fault::HeatAboveLimit);
    site.open_window();
    site.send(Role::AtTheMachine, "M104 S160").unwrap();
    site.until("the heat", |now| {
        now.temperatures?.tools[0].filter(|hot_end| hot_end.actual > 155.0).map(drop)
    });
    assert!(site.printer.snapshot.borrow().alarms.is_empty(), "a person has wanted it so");
    site.order(Order::Maintain { until: Moment::ZERO });
    let text = site.until_alarm(Wrong::TooHot(HOT_END), true);
    assert_eq!(text, "the hot end is at 160 °C, and the profile allows 100 °C");
    let executed = site.finish();
    assert!(executed.ends_with(&CANCEL_SCRIPT.map(str::to_owned)), "{executed:?}");
}

#[test]
fn a_job_whose_file_does_not_come_is_told_and_goes_on_when_it_comes() {
    let site = Site::marlin(Safety { stall_after_s: 1, ..never() });
    let (lines, feed) = mpsc::channel(4);
    site.print(feed);
    let text = site.until_alarm(Wrong::Stalled, false);
    assert!(text.starts_with("no line has come from the job's file"), "{text}");
    let mut batch = Batch::default();
    batch.push(b"G1 X5 F6000", Position { line: 1, byte: 12, layer: 0 });
    lines.blocking_send(Feed::Commands(batch)).unwrap();
    lines.blocking_send(Feed::End).unwrap();
    site.until_completed();
    site.until_alarm(Wrong::Stalled, true);
    assert_eq!(site.finish(), ["G1 X5 F6000"]);
}

#[test]
fn everybody_may_send_what_is_for_them() {
    let site = Site::marlin(never());
    let refused = |role, command: &str| site.send(role, command).unwrap_err().fault;
    for (role, command, fault) in [
        (Role::Viewer, "M104 S50", Fault::CommandNotAllowed),
        (Role::Operator, "M500", Fault::CommandNotAllowed),
        (Role::Admin, "M500", Fault::CommandNeedsMaintenance),
        (Role::AtTheMachine, "M303 E0 S200 C3", Fault::CommandNeedsMaintenance),
        (Role::Admin, "M104 S400", Fault::HeatAboveLimit),
    ] {
        assert_eq!(refused(role, command), fault, "{role}: {command}");
    }
    site.open_window();
    assert_eq!(refused(Role::Operator, "M500"), Fault::CommandNotAllowed);
    for (role, command) in
        [(Role::AtTheMachine, "M500"), (Role::Admin, "M206 Z0.1"), (Role::Operator, "M104 S50")]
    {
        site.send(role, command).unwrap();
    }
    site.order(Order::Maintain { until: Moment::ZERO });
    assert_eq!(refused(Role::AtTheMachine, "M500"), Fault::CommandNeedsMaintenance);
    assert_eq!(site.finish(), ["M500", "M206 Z0.1", "M104 S50"]);
}

/// Kinds, actions and details of the audit events that the agent has stored.
fn audits(folder: &Path) -> Vec<(String, String)> {
    let database = rusqlite::Connection::open(folder.join("spoolway.db")).unwrap();
    let mut found = database.prepare("SELECT data FROM event WHERE kind = 'audit' ORDER BY pos").unwrap();
    let rows = found.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|text| {
        let data: serde_json::Value = serde_json::from_str(&text.unwrap()).unwrap();
        let word = |key: &str| data[key].as_str().unwrap().to_owned();
        assert!(word("actor").starts_with("uid "), "{data}");
        (word("action"), word("via"))
    })
    .collect()
}

#[test]
fn a_maintenance_window_survives_the_agent_and_is_written_down() {
    let board = board();
    let mut agent = AgentAtPort::start(Path::new(DEMO), board.path(), "marlin");
    let maintain = |agent: &AgentAtPort, action| agent.client().maintenance(&Request::Maintenance { action });
    let open = |minutes| MaintenanceAction::Open { minutes, reason: Some("a new nozzle".to_owned()) };
    let code_of = |error| match error {
        TalkError::Refused(fault) => fault.code,
        other => panic!("{other}"),
    };
    agent.until_idle();
    assert_eq!(maintain(&agent, MaintenanceAction::Show).unwrap(), None);
    for minutes in [0, 121] {
        assert_eq!(code_of(maintain(&agent, open(minutes)).unwrap_err()), "command.bad_args");
    }
    assert_eq!(code_of(agent.client().send("M500").unwrap_err()), "command.needs_maintenance");

    let window: MaintenanceView = maintain(&agent, open(120)).unwrap().unwrap();
    assert_eq!(window.reason.as_deref(), Some("a new nozzle"));
    agent.client().send("M500").unwrap();
    agent.kill();
    agent.start_again();
    agent.until_idle();
    let again = agent.status().maintenance.unwrap();
    assert!(again.left_s <= window.left_s && again.by == window.by, "{again:?}");
    agent.client().send("M502").unwrap();

    assert_eq!(maintain(&agent, MaintenanceAction::Close).unwrap(), None);
    assert_eq!(agent.status().maintenance, None);
    assert_eq!(code_of(agent.client().send("M504").unwrap_err()), "command.needs_maintenance");
    for words in
        ["maintenance window opened", "maintenance window is still open", "maintenance window closed"]
    {
        assert!(agent.log().contains(words), "{words}\n{}", agent.log());
    }
    let folder = agent.folder().to_owned();
    agent.end();
    let expected = [("maintenance.open", "cli"), ("maintenance.close", "cli")];
    assert_eq!(audits(&folder), expected.map(|(action, via)| (action.to_owned(), via.to_owned())));
    let executed = commands(board.finish().unwrap().printer.executed());
    let settings: Vec<_> = executed.iter().filter(|line| line.starts_with("M50")).collect();
    assert_eq!(settings, ["M500", "M502"]);
}
