//! One agent process and one simulated printer behind a terminal, without any relay that answers: what people do at the
//! machine, and what happens when the agent, the board or the cable goes away in the middle.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use spoolway_agent::local::words::Request;
use spoolway_protocol::JobState;
use spoolway_protocol::printer::PrinterState;
use spoolway_tests::at_port::{AgentAtPort, BAUD, commands};
use spoolway_tests::expected::Commands;
use spoolway_tests::pty::{PtyControl, PtyOptions, PtyPrinter, PtyThread, ResetOnOpen};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
/// What leaves the machine safe, by the Marlin profile.
const CANCEL_SCRIPT: [&str; 4] = ["M104 S0", "M140 S0", "M107", "M84"];

struct Bench {
    agent: AgentAtPort,
    printer: Option<PtyThread>,
}

impl Deref for Bench {
    type Target = AgentAtPort;

    fn deref(&self) -> &AgentAtPort {
        &self.agent
    }
}

impl Bench {
    fn start(speed: f64) -> Self {
        let mut options = PtyOptions::uart(BAUD);
        options.printer.speed = speed;
        options.printer.reply_latency_us = 0;
        options.printer.keep_executed = 1_000_000;
        // A killed agent leaves the port; HUPCL is off, so that the board is not reset when the next one opens it.
        options.reset_on_open = ResetOnOpen::First;
        let printer = PtyPrinter::open(options).unwrap().spawn().unwrap();
        let agent = AgentAtPort::start(Path::new(DEMO), printer.path(), "auto");
        Self { agent, printer: Some(printer) }
    }

    fn until_line(&self, id: &str, line: u64) {
        self.until("some lines", || {
            let job = self.job(id);
            assert!(!matches!(job.state, JobState::Failed | JobState::Interrupted), "{job:?}");
            (job.line >= line).then_some(())
        });
    }

    fn control(&self) -> &PtyControl {
        self.printer.as_ref().unwrap().control()
    }

    /// Ends everything; what the printer carried out, without what the agent itself asks.
    fn finish(mut self) -> Vec<String> {
        self.agent.end();
        commands(self.printer.take().unwrap().finish().unwrap().printer.executed())
    }
}

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("gcode").join(name)
}

fn expected(file: &Path) -> Vec<String> {
    let bytes = std::fs::read(file).unwrap();
    Commands::of(bytes.into()).map(|command| String::from_utf8_lossy(&command.text).into_owned()).collect()
}

/// Moves that take a while each and that no other line is equal to.
fn long_job(lines: usize) -> String {
    (0..lines).map(|n| format!("G1 X{} Y{}.{:03} F3000\n", n % 200, n % 170, n % 1000)).collect()
}

fn assert_safe_end(executed: &[String], job: &[String]) {
    let (printed, script) = executed.split_at(executed.len() - CANCEL_SCRIPT.len());
    assert_eq!(script, CANCEL_SCRIPT);
    assert!(printed.len() < job.len(), "the print was stopped in the middle");
    assert_eq!(
        printed,
        &job[..printed.len()],
        "what was printed is the beginning of the job, each line once"
    );
}

#[test]
fn two_jobs_and_a_clean_restart_between_them() {
    let file = shipped("box-smoothie.gcode");
    let mut bench = Bench::start(2_000.0);
    bench.until_idle();
    let first = bench.print(&file);
    bench.until_job(&first, JobState::Completed);
    bench.agent.end();
    bench.agent.start_again();
    bench.until_idle();
    assert_eq!(bench.job(&first).state, JobState::Completed);
    let second = bench.print(&file);
    bench.until_job(&second, JobState::Completed);
    let job = expected(&file);
    assert_eq!(bench.finish(), [job.clone(), job].concat());
}

#[test]
fn a_job_that_waits_survives_a_kill_and_is_printed_once() {
    let file = shipped("box-reprapfirmware.gcode");
    let mut bench = Bench::start(2_000.0);
    bench.until_idle();
    let first = bench.print(&file);
    // It was answered, so it is stored; whether it has begun to wait or not does not matter.
    let second = bench.print(&shipped("box-smoothie.gcode"));
    bench.until_job(&first, JobState::Completed);
    bench.until("the second job to be told of", || {
        matches!(bench.job(&second).state, JobState::Starting | JobState::Printing).then_some(())
    });
    let begun = bench.job(&second);
    bench.agent.kill();
    bench.agent.start_again();
    let found = bench.until("the second job's end", || {
        let job = bench.job(&second);
        (job.state == JobState::Interrupted || job.state == JobState::Completed).then_some(job)
    });
    assert_eq!(found.attempt, begun.attempt);
    bench.until("the printer to be idle", || {
        (bench.status().printer.state == PrinterState::Idle).then_some(())
    });
    let executed = bench.finish();
    let job = expected(&file);
    let (whole, rest) = executed.split_at(job.len());
    assert_eq!(whole, job);
    let second = expected(&shipped("box-smoothie.gcode"));
    match found.state {
        JobState::Completed => {
            assert_eq!(rest, second, "the next process went on with the line that was due")
        }
        // It had not come to the printer yet.
        _ => assert_safe_end(rest, &second),
    }
}

#[test]
fn a_stopped_agent_gives_the_print_up_safely_and_does_not_take_it_up_again() {
    let text = long_job(20_000);
    let mut bench = Bench::start(20.0);
    bench.until_idle();
    let id = bench.print_text("long.gcode", &text);
    bench.until_line(&id, 50);
    let pid = Pid::from_raw(bench.id().unwrap() as i32).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    bench.agent.wait();
    bench.agent.start_again();
    bench.until_idle();
    let job = bench.job(&id);
    assert_eq!(job.state, JobState::Interrupted);
    assert!(job.line >= 50 && job.reason.as_deref().unwrap().contains("the agent was stopped"), "{job:?}");
    let executed = bench.finish();
    assert_safe_end(&executed, &text.lines().map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn a_killed_agent_makes_the_machine_safe_when_it_comes_back() {
    let text = long_job(20_000);
    let mut bench = Bench::start(20.0);
    bench.until_idle();
    let id = bench.print_text("long.gcode", &text);
    bench.until_line(&id, 50);
    bench.agent.kill();
    // Without its memory of the conversation the next process cannot go on.
    std::fs::remove_file(bench.folder().join("print.journal")).unwrap();
    bench.agent.start_again();
    let job = bench.until_job(&id, JobState::Interrupted);
    assert!(job.reason.unwrap().contains("the agent ended in the middle of the print"));
    bench.until_idle();
    let executed = bench.finish();
    assert_safe_end(&executed, &text.lines().map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn cancel_ends_the_print_and_leaves_the_machine_safe() {
    let text = long_job(20_000);
    let bench = Bench::start(20.0);
    bench.until_idle();
    let id = bench.print_text("long.gcode", &text);
    bench.until_line(&id, 50);
    bench.client().job(&Request::Cancel { job_id: None }).unwrap();
    let job = bench.until_job(&id, JobState::Cancelled);
    assert!(job.reason.unwrap().contains("behind line"));
    let executed = bench.finish();
    assert_safe_end(&executed, &text.lines().map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn cancel_does_not_wait_for_a_heater() {
    let bench = Bench::start(1.0);
    bench.until_idle();
    let id = bench.print_text("hot.gcode", "M109 S240\nG1 X10\n");
    bench.until("the heater to be waited for", || {
        let status = bench.status();
        let heating = status.printer.tools.first().is_some_and(|tool| tool.1 == Some(240.0));
        (heating && status.job.is_some_and(|job| job.state == JobState::Printing)).then_some(())
    });
    bench.client().job(&Request::Cancel { job_id: None }).unwrap();
    bench.until_job(&id, JobState::Cancelled);
    let executed = bench.finish();
    assert_eq!(executed.iter().filter(|text| *text == "G1 X10").count(), 0, "{executed:?}");
    assert!(executed.ends_with(&CANCEL_SCRIPT.map(str::to_owned)));
}

#[test]
fn a_paused_print_goes_on_where_it_stood() {
    let file = shipped("box-smoothie.gcode");
    let bench = Bench::start(300.0);
    bench.until_idle();
    let id = bench.print(&file);
    bench.until_line(&id, 200);
    bench.client().job(&Request::Pause { job_id: None }).unwrap();
    let paused = bench.until_job(&id, JobState::Paused);
    assert_eq!(bench.status().printer.state, PrinterState::Paused);
    assert!(paused.commands_acked < paused.commands_total);
    bench.client().job(&Request::Resume { job_id: None, doubt: None }).unwrap();
    bench.until_job(&id, JobState::Completed);
    let (executed, expected) = (bench.finish(), expected(&file));
    // The head was taken away from the part and brought back, between two lines of the job.
    let began = executed.iter().zip(&expected).take_while(|(done, meant)| done == meant).count();
    let went_on = began + executed.len() - expected.len();
    assert_eq!(executed[went_on..], expected[began..]);
    let away = ["M83", "G1 E-1 F2100", "G91", "G1 Z5 F600", "G90", "G27 P2"];
    assert_eq!(executed[began..began + away.len()], away);
    let back = &executed[began + away.len()..went_on];
    assert!(back.iter().any(|line| line.starts_with("G92 E")) && back.last().unwrap().starts_with("G1 F"));
}

#[test]
fn a_board_that_resets_interrupts_the_print() {
    let text = long_job(20_000);
    let bench = Bench::start(20.0);
    bench.until_idle();
    let id = bench.print_text("long.gcode", &text);
    bench.until_line(&id, 50);
    bench.control().reset();
    let job = bench.until_job(&id, JobState::Interrupted);
    assert!(job.reason.unwrap().contains("the printer restarted"));
    bench.until_idle();
    let executed = bench.finish();
    assert_safe_end(&executed, &text.lines().map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn a_pulled_cable_interrupts_the_print_and_is_named() {
    let mut bench = Bench::start(20.0);
    bench.until_idle();
    let id = bench.print_text("long.gcode", &long_job(20_000));
    bench.until_line(&id, 50);
    bench.printer.take().unwrap().finish().unwrap();
    let job = bench.until_job(&id, JobState::Interrupted);
    let device = bench.port().display().to_string();
    assert!(job.reason.unwrap().contains(&device));
    let status = bench.until("the port to be missed", || {
        Some(bench.status()).filter(|status| status.printer.state == PrinterState::Offline)
    });
    let fault = status.printer.fault.unwrap();
    assert!(fault.code.starts_with("port.") && fault.text.contains(&device), "{fault:?}");
    bench.agent.end();
}

#[test]
fn what_cannot_be_printed_is_refused_before_anything_is_sent() {
    let bench = Bench::start(100.0);
    bench.until_idle();
    let long = format!("G28\nM117 {}\n", "long ".repeat(30));
    for (name, text, code, says) in [
        ("long.gcode", long.as_str(), "job.line_too_long", "line 2"),
        ("binary.gcode", "G28\n\u{1}\u{2}\u{3}\n", "job.not_gcode", "line 2"),
        ("page.html", "<html><body>404</body></html>\n", "job.not_gcode", "line 1"),
        ("empty.gcode", "; nothing\n", "job.not_gcode", "no command"),
    ] {
        let id = bench.print_text(name, text);
        let job = bench.until_job(&id, JobState::Failed);
        assert!(job.reason.as_deref().unwrap().contains(says), "{name}: {job:?}");
        let log = bench.log();
        assert!(log.contains(code), "{name} is logged with {code}");
    }
    let missing = Request::Print { path: "/no/such/file.gcode".into(), name: None };
    let refused = bench.client().job(&missing).unwrap_err().to_string();
    assert!(refused.contains("/no/such/file.gcode"), "{refused}");
    assert_eq!(bench.finish(), Vec::<String>::new());
}

#[test]
fn the_emergency_stop_halts_the_machine_and_says_so() {
    let mut bench = Bench::start(20.0);
    bench.until_idle();
    let id = bench.print_text("long.gcode", &long_job(20_000));
    bench.until_line(&id, 50);
    bench.client().emergency_stop().unwrap();
    let job = bench.until_job(&id, JobState::Interrupted);
    assert!(job.reason.unwrap().contains("emergency stop"));
    assert_eq!(bench.status().printer.state, PrinterState::Halted);
    let run = bench.printer.take().unwrap().finish().unwrap();
    assert!(run.printer.is_killed());
    bench.agent.end();
}
