//! Control that acts at once: an emergency stop while the database hangs, and stop, cancel and pause during a heat-up, on
//! boards that listen while they are busy and on boards that do not.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use spoolway_agent::local::words::{Answer, Request};
use spoolway_agent::local::{Client, TalkError};
use spoolway_agent::view::JobView;
use spoolway_protocol::JobState;
use spoolway_protocol::printer::PrinterState;
use spoolway_tests::demo::house::{House, Part, PrinterPlan};
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread, ResetOnOpen};

use crate::farm::Farm;
use crate::patience::{client, until};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
const BAUD: u32 = 1_000_000;
/// What leaves the machine safe, by the Marlin profile.
const CANCEL_SCRIPT: [&str; 4] = ["M104 S0", "M140 S0", "M107", "M84"];
/// A heat-up that never ends, in the middle of a job.
const HEATING: &str = "G1 X5 F600\nM109 S240\nG1 X10\nG1 X20\n";

/// The conversation as the board has it.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Relay, agent and a board whose nozzle never gets hot.
struct Bench {
    house: House,
    board: PtyThread,
    heard: Heard,
}

impl Bench {
    fn start(emergency_parser: bool) -> Self {
        let heard = Heard::default();
        let mut options = PtyOptions::uart(BAUD);
        options.printer.emergency_parser = emergency_parser;
        options.printer.hotend.full_power_c = 100.0;
        options.printer.speed = 20.0;
        options.reset_on_open = ResetOnOpen::First;
        options.log = Some(Box::new(heard.clone()));
        let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
        let plan = PrinterPlan::Real { port: board.path().to_owned(), baud: BAUD };
        let house = House::start(Path::new(DEMO), b"", &plan).unwrap();
        let bench = Self { house, board, heard };
        bench.until_state_of_printer(&PrinterState::Idle);
        bench
    }

    fn client(&self) -> Client {
        client(&self.house)
    }

    fn until<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        until(&self.house, what, look)
    }

    fn conversation(&self) -> String {
        String::from_utf8_lossy(&self.heard.0.lock().unwrap()).into_owned()
    }

    fn until_said(&self, words: &str) {
        self.until(words, || self.conversation().contains(words).then_some(()));
    }

    fn until_state_of_printer(&self, state: &PrinterState) {
        self.until("the printer's state", || {
            (self.client().status().unwrap().printer.state == *state).then_some(())
        });
    }

    fn print(&self, text: &str) -> String {
        let file = self.house.socket().with_file_name("job.gcode");
        std::fs::write(&file, text).unwrap();
        self.client().job(&Request::Print { path: file, name: None }).unwrap().job_id.to_string()
    }

    /// A job that waits for its nozzle.
    fn heat(&self) -> String {
        let job = self.print(HEATING);
        self.until("the nozzle to be waited for", || {
            let status = self.client().status().unwrap();
            let heating = status.printer.tools.first().is_some_and(|tool| tool.1 == Some(240.0));
            (heating && status.job.is_some_and(|job| job.state == JobState::Printing)).then_some(())
        });
        job
    }

    fn until_job(&self, id: &str, state: JobState) -> JobView {
        self.until(&format!("job {state}"), || {
            let jobs = self.client().jobs().unwrap();
            jobs.into_iter().find(|job| job.job_id.as_str() == id && job.state == state)
        })
    }

    /// Cancels a job that heats: it ends with the cancel script, ahead of any move.
    fn cancel_and_finish(self, id: &str) {
        self.client().job(&Request::Cancel { job_id: None }).unwrap();
        self.until_job(id, JobState::Cancelled);
        let executed = self.finish();
        assert!(!executed.contains(&"G1 X10".to_owned()), "{executed:?}");
        assert!(executed.ends_with(&CANCEL_SCRIPT.map(str::to_owned)), "{executed:?}");
    }

    /// Ends everything; what the board carried out of the job and of scripts.
    fn finish(self) -> Vec<String> {
        drop(self.house);
        let run = self.board.finish().unwrap();
        let numbered = run.printer.executed().iter().filter(|line| line.number.is_some());
        let texts = numbered.map(|line| String::from_utf8_lossy(line.text()).into_owned());
        texts
            .filter(|text| !["M105", "M110", "M115", "M155"].iter().any(|host| text.starts_with(host)))
            .collect()
    }
}

/// From now on the commit of a command takes days: its row sets off a search through a million million combinations.
fn make_commands_hang(database: &Path) {
    let database = rusqlite::Connection::open(database).unwrap();
    database
        .execute_batch(
            "CREATE TABLE hang(n INTEGER);
             WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000) INSERT INTO hang SELECT n FROM c;
             CREATE TRIGGER hang_on_command AFTER INSERT ON command BEGIN
               SELECT count(*) FROM hang a, hang b, hang c, hang d WHERE a.n + b.n + c.n + d.n = -1;
             END;",
        )
        .unwrap();
}

fn kill_agent(house: &House) {
    let pid = Pid::from_raw(house.pids().1 as i32).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    // It is dead when its state folder can be locked again, which the next one does; until then it may hold the database.
    while std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
        .is_ok_and(|stat| !stat.contains(") Z "))
        && test_kill_process(pid).is_ok()
    {
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[tokio::test]
async fn an_emergency_stop_does_not_wait_for_a_commit_that_never_ends() {
    let mut bench = Bench::start(true);
    let database = bench.house.socket().with_file_name("spoolway.db");
    kill_agent(&bench.house);
    make_commands_hang(&database);
    bench.house.kill_and_restart(Part::Agent).unwrap();
    bench.until_state_of_printer(&PrinterState::Idle);

    let mut farm = Farm::dial(&bench.house).await;
    farm.until_up().await;
    farm.command(&bench.house, 1, "job.pause", r#"{"job_id":"none"}"#).await;
    farm.command(&bench.house, 2, "printer.estop", "{}").await;
    bench.until_said("> M112");
    bench.until_said("Printer halted");

    kill_agent(&bench.house);
    let rows: i64 = rusqlite::Connection::open(&database)
        .unwrap()
        .query_row("SELECT count(*) FROM command", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 0, "the desk was in the middle of its first commit");
}

#[tokio::test]
async fn a_backend_sends_what_the_role_of_its_actor_may() {
    let bench = Bench::start(true);
    let mut farm = Farm::dial(&bench.house).await;
    farm.until_up().await;
    farm.command(&bench.house, 1, "printer.gcode", r#"{"lines":["m114","M104 S50"]}"#).await;
    let done = farm.result(&bench.house, 1).await;
    assert_eq!((done["status"].as_str(), done["code"].as_str()), (Some("done"), None), "{done}");
    assert!(done["data"]["replies"][0][0].as_str().unwrap().contains("X:"), "{done}");
    // An operator does not tune, and what follows a refusal is not sent.
    farm.command(&bench.house, 2, "printer.gcode", r#"{"lines":["M119","M500","M105"]}"#).await;
    let refused = farm.result(&bench.house, 2).await;
    assert_eq!(
        (refused["status"].as_str(), refused["code"].as_str()),
        (Some("rejected"), Some("command.not_allowed"))
    );
    assert_eq!(refused["data"]["replies"].as_array().unwrap().len(), 1, "{refused}");
    farm.command(&bench.house, 3, "printer.gcode", r#"{"lines":[]}"#).await;
    assert_eq!(farm.result(&bench.house, 3).await["code"], "command.bad_args");
    assert_eq!(bench.finish(), ["M114", "M104 S50", "M119"]);
}

#[test]
fn cancel_during_a_heat_up_acts_at_once() {
    for emergency_parser in [true, false] {
        let bench = Bench::start(emergency_parser);
        let id = bench.heat();
        bench.cancel_and_finish(&id);
    }
}

/// Without an emergency parser it is the agent that waits. With one the wait is broken, and begins anew when the job goes on.
#[test]
fn pause_during_a_heat_up_acts_at_once_and_the_job_goes_on_with_the_wait() {
    for emergency_parser in [true, false] {
        let bench = Bench::start(emergency_parser);
        let id = bench.heat();
        bench.client().job(&Request::Pause { job_id: None }).unwrap();
        bench.until_job(&id, JobState::Paused);
        bench.client().job(&Request::Resume { job_id: None, doubt: None }).unwrap();
        bench.until_job(&id, JobState::Printing);
        let waits = || bench.conversation().matches(" M109 S240*").count();
        if emergency_parser {
            bench.until("the wait to begin anew", || (waits() == 2).then_some(()));
        }
        bench.cancel_and_finish(&id);
    }
}

/// What a firmware says by `//action:` is said here by the job's own `M118`.
#[test]
fn the_printer_itself_asks_pauses_and_cancels() {
    let bench = Bench::start(true);
    let id = bench.print(
        "M118 A1 action:notification Colour change\nM118 A1 action:prompt_begin Which colour?\n\
         M118 A1 action:prompt_button Red\nM118 A1 action:prompt_button Blue\nM118 A1 action:prompt_show\n\
         M118 A1 action:paused filament_runout 0\nM400\nG1 X50 F6000\nM118 A1 action:cancel\nM400\nG1 X51\n",
    );
    let job = bench.until_job(&id, JobState::Paused);
    assert!(job.reason.as_deref().unwrap().contains("filament_runout 0"), "{job:?}");
    let printer = bench.client().status().unwrap().printer;
    let prompt = printer.prompt.unwrap();
    assert_eq!(
        (prompt.text.as_str(), prompt.choices.as_slice()),
        ("Which colour?", ["Red", "Blue"].map(String::from).as_slice())
    );
    assert_eq!(printer.note.as_deref(), Some("Colour change"));

    let other = "another".parse().unwrap();
    let refused = |prompt_id, choice| match bench.client().answer(Some(prompt_id), choice) {
        Err(TalkError::Refused(fault)) => fault.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(other, 1), "prompt.closed", "another question");
    assert_eq!(refused(prompt.prompt_id.clone(), 2), "command.bad_args", "there is no such answer");
    bench.client().answer(Some(prompt.prompt_id.clone()), 1).unwrap();
    bench.until_said("M876 S1");
    bench.until("the question to be closed", || {
        bench.client().status().unwrap().printer.prompt.is_none().then_some(())
    });
    assert_eq!(refused(prompt.prompt_id, 1), "prompt.closed", "an answer is given once");

    bench.client().job(&Request::Resume { job_id: None, doubt: None }).unwrap();
    let job = bench.until_job(&id, JobState::Cancelled);
    assert!(job.reason.unwrap().contains("cancelled at the printer"));
    assert!(bench.finish().ends_with(&CANCEL_SCRIPT.map(str::to_owned)));
}

#[test]
fn the_console_shows_the_wire_and_sends_only_what_is_harmless() {
    let bench = Bench::start(true);
    let mut watcher = bench.client();
    let mut answer = watcher.ask(&Request::Console).unwrap();
    let replies = bench.client().send("m115").unwrap();
    assert!(replies.iter().any(|line| line.starts_with("FIRMWARE_NAME:")), "{replies:?}");
    assert!(replies.iter().all(|line| line != "ok"), "{replies:?}");
    let mut seen = Vec::new();
    while !seen.iter().any(|line: &String| line.starts_with("printer FIRMWARE_NAME:")) {
        match answer {
            Answer::Wire { line } => seen.push(format!("{} {}", line.from, line.text)),
            other => panic!("{other:?}"),
        }
        answer = watcher.read().unwrap();
    }
    assert!(seen.iter().any(|line| line.starts_with("agent N") && line.contains("M115*")), "{seen:?}");

    let refused = |command: &str| match bench.client().send(command) {
        Err(TalkError::Refused(fault)) => fault.code,
        other => panic!("{command}: {other:?}"),
    };
    for (command, code) in [
        ("M500", "command.needs_maintenance"),
        ("G28", "command.needs_maintenance"),
        ("M112", "command.not_allowed"),
        ("M105\nM500", "command.not_allowed"),
        ("M104 S400", "heat.above_limit"),
    ] {
        assert_eq!(refused(command), code, "{command}");
    }
    bench.client().send("M104 S50").unwrap();
    let id = bench.heat();
    assert_eq!(refused("M104 S60"), "printer.busy");
    bench.client().job(&Request::Cancel { job_id: None }).unwrap();
    bench.until_job(&id, JobState::Cancelled);
    let executed = bench.finish();
    assert!(
        !executed.iter().any(|line| ["M500", "G28", "M104 S60"].contains(&line.as_str())),
        "{executed:?}"
    );
    assert!(executed.contains(&"M104 S50".to_owned()));
}

#[test]
fn the_last_words_on_the_wire_are_kept_after_a_fault() {
    let bench = Bench::start(true);
    let id = bench.heat();
    bench.board.control().reset();
    bench.until_job(&id, JobState::Interrupted);
    let kept = bench.house.socket().with_file_name("wire.log");
    let text = bench.until("the conversation to be kept", || {
        std::fs::read_to_string(&kept).ok().filter(|text| text.contains("< start"))
    });
    assert!(text.starts_with("# firmware.reset") && text.contains("M109 S240"), "{text}");
    let log = bench.house.socket().parent().unwrap().with_file_name("agent.log");
    bench.until("the log to name the file", || {
        let log = std::fs::read_to_string(&log).unwrap();
        (log.contains("/wire.log") && log.contains("< start")).then_some(())
    });
}

#[test]
fn an_emergency_stop_during_a_heat_up_acts_at_once() {
    for emergency_parser in [true, false] {
        let bench = Bench::start(emergency_parser);
        let id = bench.heat();
        bench.client().emergency_stop().unwrap();
        bench.until_said("Printer halted");
        bench.until_job(&id, JobState::Interrupted);
        let executed = bench.finish();
        assert!(!executed.contains(&"G1 X10".to_owned()), "{emergency_parser}: {executed:?}");
    }
}
