//! One agent process and one simulated printer behind a terminal, without any relay that answers: what people do at the
//! machine, and what happens when the agent, the board or the cable goes away in the middle.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use spoolway_agent::local::Client;
use spoolway_agent::local::words::Request;
use spoolway_agent::view::{JobView, Status};
use spoolway_protocol::JobState;
use spoolway_protocol::printer::PrinterState;
use spoolway_tests::expected::Commands;
use spoolway_tests::printer::Executed;
use spoolway_tests::process::ChildProcess;
use spoolway_tests::pty::{PtyControl, PtyOptions, PtyPrinter, PtyRun, PtyThread, ResetOnOpen};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
const BAUD: u32 = 1_000_000;
/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(120);
/// What leaves the machine safe, by the Marlin profile.
const CANCEL_SCRIPT: [&str; 4] = ["M104 S0", "M140 S0", "M107", "M84"];

struct Bench {
    agent: Option<ChildProcess>,
    printer: Option<PtyThread>,
    device: PathBuf,
    dir: tempfile::TempDir,
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
        let dir = tempfile::tempdir().unwrap();
        spoolway_relay::certs::init(&dir.path().join("tls"), &["localhost".to_owned()]).unwrap();
        let device = printer.path().to_owned();
        let mut bench = Self { agent: None, printer: Some(printer), device, dir };
        bench.start_agent();
        bench
    }

    fn start_agent(&mut self) {
        let words = [
            "agent".to_owned(),
            format!("--folder={}", self.dir.path().display()),
            // Nobody listens there: the agent does all local work all the same.
            "--relay=wss://localhost:9".to_owned(),
            format!("--ca={}", self.dir.path().join("tls/ca.pem").display()),
            format!("--port={}", self.device.display()),
            format!("--baud={BAUD}"),
        ];
        let log = self.dir.path().join("agent.log");
        self.agent = Some(ChildProcess::spawn("agent", Path::new(DEMO), &words, &log).unwrap());
    }

    /// SIGKILL, as the kernel's memory killer or a power button would.
    fn kill_agent(&mut self) {
        self.agent.take().unwrap().kill().unwrap();
    }

    /// SIGTERM's way: the agent ends in order.
    fn end_agent(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.ask_to_end();
        let status = agent.wait(HANG).unwrap();
        assert!(status.success(), "{status}: {}", agent.log_tail());
    }

    fn client(&self) -> Client {
        self.until("the agent's socket", || Client::connect(&self.dir.path().join("agent.sock")).ok())
    }

    fn status(&self) -> Status {
        self.client().status().unwrap()
    }

    fn job(&self, id: &str) -> JobView {
        self.client().jobs().unwrap().into_iter().find(|job| job.job_id.as_str() == id).unwrap()
    }

    fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let hung = Instant::now() + HANG;
        loop {
            if let Some(found) = look() {
                return found;
            }
            if Instant::now() > hung {
                let log = std::fs::read_to_string(self.dir.path().join("agent.log")).unwrap_or_default();
                panic!("waited for {what}\n{log}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn until_idle(&self) {
        self.until("an idle printer", || (self.status().printer.state == PrinterState::Idle).then_some(()));
    }

    fn print(&self, file: &Path) -> String {
        let request = Request::Print { path: file.to_owned(), name: None };
        self.client().job(&request).unwrap().job_id.to_string()
    }

    fn print_text(&self, name: &str, text: &str) -> String {
        let file = self.dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        self.print(&file)
    }

    fn until_line(&self, id: &str, line: u64) {
        self.until("some lines", || {
            let job = self.job(id);
            assert!(!matches!(job.state, JobState::Failed | JobState::Interrupted), "{job:?}");
            (job.line >= line).then_some(())
        });
    }

    fn until_state(&self, id: &str, state: JobState) -> JobView {
        self.until(&format!("job {state}"), || Some(self.job(id)).filter(|job| job.state == state))
    }

    fn control(&self) -> &PtyControl {
        self.printer.as_ref().unwrap().control()
    }

    /// Ends everything; what the printer carried out, without what the agent itself asks.
    fn finish(mut self) -> Vec<String> {
        if self.agent.is_some() {
            self.end_agent();
        }
        let run: PtyRun = self.printer.take().unwrap().finish().unwrap();
        commands(run.printer.executed())
    }
}

fn commands(executed: &[Executed]) -> Vec<String> {
    // What carries no number stands outside of the order: a host's hello and the emergency lane.
    let numbered = executed.iter().filter(|line| line.number.is_some());
    let texts = numbered.map(|line| String::from_utf8_lossy(line.text()).into_owned());
    texts.filter(|text| !["M105", "M110", "M115", "M155"].iter().any(|host| text.starts_with(host))).collect()
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
    bench.until_state(&first, JobState::Completed);
    bench.end_agent();
    bench.start_agent();
    bench.until_idle();
    assert_eq!(bench.job(&first).state, JobState::Completed);
    let second = bench.print(&file);
    bench.until_state(&second, JobState::Completed);
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
    bench.until_state(&first, JobState::Completed);
    bench.until("the second job to be told of", || {
        matches!(bench.job(&second).state, JobState::Starting | JobState::Printing).then_some(())
    });
    let begun = bench.job(&second);
    bench.kill_agent();
    bench.start_agent();
    let found = bench.until("the second job's end", || {
        let job = bench.job(&second);
        (job.state == JobState::Interrupted || job.state == JobState::Completed).then_some(job)
    });
    assert_eq!((found.state, found.attempt), (JobState::Interrupted, begun.attempt));
    bench.until("the machine to be made safe", || {
        (bench.status().printer.state == PrinterState::Idle).then_some(())
    });
    let executed = bench.finish();
    let job = expected(&file);
    let (whole, rest) = executed.split_at(job.len());
    assert_eq!(whole, job);
    assert_safe_end(rest, &expected(&shipped("box-smoothie.gcode")));
}

#[test]
fn a_stopped_agent_gives_the_print_up_safely_and_does_not_take_it_up_again() {
    let text = long_job(20_000);
    let mut bench = Bench::start(20.0);
    bench.until_idle();
    let id = bench.print_text("long.gcode", &text);
    bench.until_line(&id, 50);
    let pid = Pid::from_raw(bench.agent.as_ref().unwrap().id() as i32).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let status = bench.agent.take().unwrap().wait(HANG).unwrap();
    assert!(status.success(), "{status}");
    bench.start_agent();
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
    bench.kill_agent();
    bench.start_agent();
    let job = bench.until_state(&id, JobState::Interrupted);
    assert!(job.reason.unwrap().contains("the agent ended while printing"));
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
    let job = bench.until_state(&id, JobState::Cancelled);
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
    bench.until_state(&id, JobState::Cancelled);
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
    let paused = bench.until_state(&id, JobState::Paused);
    assert_eq!(bench.status().printer.state, PrinterState::Paused);
    assert!(paused.commands_acked < paused.commands_total);
    bench.client().job(&Request::Resume { job_id: None, doubt: None }).unwrap();
    bench.until_state(&id, JobState::Completed);
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
    let job = bench.until_state(&id, JobState::Interrupted);
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
    let job = bench.until_state(&id, JobState::Interrupted);
    let device = bench.device.display().to_string();
    assert!(job.reason.unwrap().contains(&device));
    let status = bench.until("the port to be missed", || {
        Some(bench.status()).filter(|status| status.printer.state == PrinterState::Offline)
    });
    let fault = status.printer.fault.unwrap();
    assert!(fault.code.starts_with("port.") && fault.text.contains(&device), "{fault:?}");
    bench.end_agent();
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
        let job = bench.until_state(&id, JobState::Failed);
        assert!(job.reason.as_deref().unwrap().contains(says), "{name}: {job:?}");
        let log = std::fs::read_to_string(bench.dir.path().join("agent.log")).unwrap();
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
    let job = bench.until_state(&id, JobState::Interrupted);
    assert!(job.reason.unwrap().contains("emergency stop"));
    assert_eq!(bench.status().printer.state, PrinterState::Halted);
    let run = bench.printer.take().unwrap().finish().unwrap();
    assert!(run.printer.is_killed());
    bench.end_agent();
}
