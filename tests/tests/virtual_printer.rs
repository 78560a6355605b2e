//! The whole agent against OctoPrint's virtual printer: somebody else's idea of a firmware, with faults of its own.
//!
//! It needs Python with OctoPrint, so it runs on demand only: `SPOOLWAY_OCTOPRINT_PYTHON` names the interpreter, and
//! `docs/testing.md` says how to get one. Without it these tests fail; they are never skipped in silence.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use spoolway_agent::config::{Config, ProfileChoice};
use spoolway_agent::local::Client;
use spoolway_agent::local::words::Request;
use spoolway_agent::paths::Paths;
use spoolway_agent::view::JobView;
use spoolway_protocol::JobState;
use spoolway_protocol::printer::PrinterState;
use spoolway_tests::expected::Commands;
use spoolway_tests::process::ChildProcess;
use tokio_util::sync::CancellationToken;

/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(300);
/// A pseudo-terminal takes any.
const BAUD: u32 = 115_200;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Lines of the file that are printed, from its beginning; its last lines follow.
const HEAD_LINES: usize = 420;
const TAIL_LINES: usize = 12;
/// Commands of the agent's own between those of the job.
const HOST_COMMANDS: [&str; 4] = ["M105", "M110", "M115", "M155"];
/// So warm that nothing has to be waited for; the bed is as warm and cools slowly. (Half a degree from a target the plug-in trips over itself.)
const WARM: &str = "--set=ambientTemperature=214.3";

/// The beginning and the end of a sliced gear.
fn gear() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("gcode/gear.gcode");
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let (head, tail) = (&lines[..HEAD_LINES], &lines[lines.len() - TAIL_LINES..]);
    [head, tail].concat().join("\n").into_bytes()
}

fn expected() -> Vec<String> {
    Commands::of(gear().into()).map(|command| String::from_utf8(command.text).unwrap()).collect()
}

/// The virtual printer and one agent, each where the other can reach it.
struct Bench {
    printer: ChildProcess,
    agent: Option<JoinHandle<anyhow::Result<()>>>,
    stop: CancellationToken,
    dir: tempfile::TempDir,
}

impl Bench {
    /// Starts both; `words` are for the virtual printer, `overlay` takes the place of Marlin's profile.
    fn start(profile: ProfileChoice, overlay: &str, words: &[&str]) -> Self {
        let python = std::env::var_os("SPOOLWAY_OCTOPRINT_PYTHON");
        let python = PathBuf::from(python.expect("SPOOLWAY_OCTOPRINT_PYTHON names a Python with OctoPrint"));
        let dir = tempfile::tempdir().unwrap();
        let bridge = Path::new(env!("CARGO_MANIFEST_DIR")).join("virtual_printer.py");
        let mut arguments =
            vec![bridge.display().to_string(), format!("--record={}", dir.path().join("record").display())];
        arguments.extend(words.iter().map(ToString::to_string));
        let log = dir.path().join("printer.log");
        let printer = ChildProcess::spawn("virtual printer", &python, &arguments, &log).unwrap();
        let device = printer.line(HANG).unwrap_or_else(|error| panic!("{error}\n{}", printer.log_tail()));
        std::fs::create_dir(dir.path().join("profiles")).unwrap();
        std::fs::write(dir.path().join("profiles/marlin.toml"), overlay).unwrap();
        let stop = CancellationToken::new();
        let agent = Some(agent(dir.path(), device.into(), profile, stop.clone()));
        Self { printer, agent, stop, dir }
    }

    fn client(&self) -> Option<Client> {
        Client::connect(&self.dir.path().join("agent.sock")).ok()
    }

    fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let hung = Instant::now() + HANG;
        loop {
            if let Some(found) = look() {
                return found;
            }
            let ended = self.agent.as_ref().is_none_or(JoinHandle::is_finished);
            let went_wrong = ended || Instant::now() > hung;
            assert!(!went_wrong, "waited for {what}; the printer says: {}", self.printer.log_tail());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Prints the gear; gives how the job ended, or where it stands still.
    fn print(&self) -> JobView {
        self.until("a printer that is ready", || {
            let status = self.client()?.status().ok()?;
            (status.printer.state == PrinterState::Idle).then_some(())
        });
        let path = self.dir.path().join("gear.gcode");
        std::fs::write(&path, gear()).unwrap();
        let id = self.client().unwrap().job(&Request::Print { path, name: None }).unwrap().job_id;
        self.until("the end of the job", || {
            let jobs = self.client()?.jobs().ok()?;
            let rests = |state: JobState| {
                state.is_terminal() || matches!(state, JobState::Interrupted | JobState::Paused)
            };
            jobs.into_iter().find(|job| job.job_id == id).filter(|job| rests(job.state))
        })
    }

    /// Ends both; gives what the printer accepted.
    fn finish(mut self) -> Vec<String> {
        self.stop.cancel();
        self.agent.take().unwrap().join().unwrap().unwrap();
        self.printer.ask_to_end();
        let status = self.printer.wait(HANG).unwrap();
        assert!(status.success(), "{status}: {}", self.printer.log_tail());
        accepted(&std::fs::read_to_string(self.dir.path().join("record")).unwrap())
    }
}

/// The agent as a program would run it, on a thread of its own.
fn agent(
    folder: &Path,
    port: PathBuf,
    profile: ProfileChoice,
    stop: CancellationToken,
) -> JoinHandle<anyhow::Result<()>> {
    let folder = folder.to_owned();
    let mut config = Config::new(&Paths { config: folder.clone(), state: folder.clone(), runtime: folder });
    config.printer.port = port.into();
    config.printer.baud = BAUD.into();
    config.printer.profile = profile;
    config.profiles.folder = Some(config.state_dir.join("profiles")).filter(|folder| folder.is_dir());
    config.spool.reserve_bytes = 0;
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ended = runtime.block_on(spoolway_agent::run::run(config, stop));
        runtime.shutdown_background();
        ended
    })
}

/// What was accepted in the end, by the record of the printer: a line behind which it went back counts no more. The
/// agent's own commands are left out.
fn accepted(record: &str) -> Vec<String> {
    let mut lines: Vec<(u64, String)> = Vec::new();
    // What came before the counter was set, or the board started, is never taken back.
    let mut settled = 0;
    for entry in record.lines() {
        let (kind, rest) = entry.split_once(' ').unwrap_or((entry, ""));
        match kind {
            "accept" => {
                let (number, text) = rest.split_once(' ').unwrap();
                lines.push((number.parse().unwrap(), text.to_owned()));
            }
            "rewind" => {
                let number: u64 = rest.parse().unwrap();
                while lines.len() > settled && lines.last().is_some_and(|(last, _)| *last > number) {
                    lines.pop();
                }
            }
            "counter" | "reset" => settled = lines.len(),
            _ => panic!("{entry:?}"),
        }
    }
    let texts = lines.into_iter().map(|(_, text)| text);
    texts.filter(|text| !HOST_COMMANDS.iter().any(|host| text.starts_with(host))).collect()
}

fn marlin() -> ProfileChoice {
    ProfileChoice::Id("marlin".to_owned())
}

/// Marlin's profile as shipped, but for a bed that may be as warm as the air around this printer.
fn in_warm_air() -> String {
    changed(include_str!("../../firmware-profiles/profiles/marlin.toml"), "bed_max = 120", "bed_max = 250")
}

/// The same for a firmware that says no `ok` behind a request.
fn without_ok_behind_requests() -> String {
    changed(&in_warm_air(), "ok_after_resend = true", "ok_after_resend = false")
}

fn changed(profile: &str, shipped: &str, ours: &str) -> String {
    assert_eq!(profile.matches(shipped).count(), 1, "{shipped}");
    profile.replace(shipped, ours)
}

/// The job ends well, and each line of it was accepted once and in order.
fn prints_whole(profile: ProfileChoice, words: &[&str]) {
    prints_whole_with(profile, &in_warm_air(), words);
}

/// The same with a profile of the user's own.
fn prints_whole_with(profile: ProfileChoice, overlay: &str, words: &[&str]) {
    let bench = Bench::start(profile, overlay, words);
    let job = bench.print();
    let accepted = bench.finish();
    let expected = expected();
    let difference = expected.iter().zip(&accepted).enumerate().find(|(_, (should, is))| should != is);
    assert_eq!(difference, None, "{words:?}: {job:?}");
    assert_eq!((job.state, accepted.len()), (JobState::Completed, expected.len()), "{words:?}: {job:?}");
}

/// The job ends in this state, and what was accepted until then is the beginning of it. What makes the machine safe may
/// follow.
fn ends_as(state: JobState, words: &[&str]) -> JobView {
    let bench = Bench::start(marlin(), &in_warm_air(), words);
    let job = bench.print();
    assert_eq!(job.state, state, "{words:?}: {job:?}");
    let accepted = bench.finish();
    let expected = expected();
    let same = expected.iter().zip(&accepted).take_while(|(should, is)| should == is).count();
    let script = ["M104 S0", "M140 S0", "M107", "M84"];
    let rest = &accepted[same..];
    assert!(same < expected.len() && rest.iter().all(|line| script.contains(&line.as_str())), "{rest:?}");
    job
}

#[test]
#[ignore = "needs OctoPrint"]
fn plain_with_the_profile_that_it_gets_by_itself() {
    prints_whole(ProfileChoice::Auto, &[WARM]);
}

#[test]
#[ignore = "needs OctoPrint"]
fn plain_with_a_small_buffer_and_a_heater_that_takes_a_while() {
    prints_whole(marlin(), &["--set=ambientTemperature=200", "--set=rxBuffer=32", "--set=commandBuffer=1"]);
}

#[test]
#[ignore = "needs OctoPrint"]
fn with_an_ok_that_tells_of_line_and_buffer() {
    prints_whole(marlin(), &[WARM, "--set=okFormatString=\"ok N{lastN} P15 B{buffer}\""]);
}

#[test]
#[ignore = "needs OctoPrint"]
fn with_an_ok_ahead_of_what_the_command_says() {
    let reports = "--set=capabilities={\"AUTOREPORT_TEMP\":false,\"EMERGENCY_PARSER\":true}";
    prints_whole(marlin(), &[WARM, "--set=okBeforeCommandOutput=true", reports, "--speed=20"]);
}

#[test]
#[ignore = "needs OctoPrint"]
fn with_busy_while_it_heats() {
    let words = ["--set=ambientTemperature=195", "--set=sendBusy=true", "--set=busyInterval=0.3"];
    prints_whole(marlin(), &words);
}

#[test]
#[ignore = "needs OctoPrint"]
fn with_damaged_lines_whose_reply_never_comes() {
    prints_whole(marlin(), &[WARM, "--set=resend_ratio=4"]);
}

#[test]
#[ignore = "needs OctoPrint"]
fn with_damage_and_no_ok_behind_a_request() {
    let words = [WARM, "--set=resend_ratio=4", "--set=brokenResend=true"];
    prints_whole_with(marlin(), &without_ok_behind_requests(), &words);
}

#[test]
#[ignore = "needs OctoPrint"]
fn with_the_errors_that_the_plug_in_simulates_at_fixed_lines() {
    let kinds = ["resend", "resend_with_timeout", "missing_lineno", "checksum_mismatch"];
    let errors: Vec<_> = (0..24).map(|n| format!("\"{}:{}\"", 1030 + 14 * n, kinds[n % 4])).collect();
    prints_whole(marlin(), &[WARM, &format!("--set=simulated_errors=[{}]", errors.join(","))]);
}

#[test]
#[ignore = "needs OctoPrint"]
fn with_requests_for_lines_that_it_had_accepted() {
    for trigger in ["trigger_resend_lineno", "trigger_resend_checksum", "trigger_missing_checksum"] {
        prints_whole(marlin(), &[WARM, &format!("--every=40={trigger}")]);
    }
}

#[test]
#[ignore = "needs OctoPrint"]
fn with_lines_that_are_swallowed() {
    prints_whole(marlin(), &[WARM, "--every=45=dont_answer"]);
}

#[test]
#[ignore = "needs OctoPrint"]
fn with_lines_that_are_swallowed_by_a_printer_that_never_says_wait() {
    prints_whole(marlin(), &[WARM, "--at=90=dont_answer", "--set=sendWait=false"]);
}

#[test]
#[ignore = "needs OctoPrint"]
fn with_replies_that_are_lost_or_broken() {
    let oks: Vec<_> = (0..360)
        .map(|n| match n % 40 {
            20 => "\"\"",
            39 => "\"o\"",
            _ => "\"ok\"",
        })
        .collect();
    prints_whole(marlin(), &[WARM, &format!("--set=preparedOks=[{}]", oks.join(","))]);
}

#[test]
#[ignore = "needs OctoPrint"]
fn with_temperatures_in_every_manner_it_knows() {
    for manner in ["smoothie", "klipper"] {
        let words = [WARM, &format!("--set={manner}TemperatureReporting=true"), "--set=numExtruders=2"];
        prints_whole(marlin(), &words);
    }
    prints_whole(marlin(), &[WARM, "--set=repetierStyleTargetTemperature=true"]);
}

#[test]
#[ignore = "needs OctoPrint"]
fn with_chatter_between_the_replies() {
    let words =
        ["send echo:Unknown", "send //action:notification hello", "send T:20.0 /0.0 B:20.0 /0.0", "sleep 1"];
    let every: Vec<_> =
        words.iter().enumerate().map(|(n, word)| format!("--every={}={word}", 61 + 9 * n)).collect();
    let mut all = vec![WARM];
    all.extend(every.iter().map(String::as_str));
    prints_whole(marlin(), &all);
}

#[test]
#[ignore = "needs OctoPrint"]
fn a_board_that_starts_anew_interrupts_the_job() {
    let job = ends_as(JobState::Interrupted, &[WARM, "--at=150=reset"]);
    assert!(job.reason.is_some(), "{job:?}");
}

#[test]
#[ignore = "needs OctoPrint"]
fn a_board_that_halts_ends_the_job() {
    let job = ends_as(JobState::Interrupted, &[WARM, "--at=150=trigger_fatal_error_marlin"]);
    assert!(job.reason.unwrap().contains("Thermal Runaway"));
}

#[test]
#[ignore = "needs OctoPrint"]
fn a_board_that_asks_for_one_line_for_ever_is_given_up() {
    let job = ends_as(JobState::Interrupted, &[WARM, "--at=150=rerequest_last"]);
    assert!(job.reason.is_some(), "{job:?}");
}

#[test]
fn a_record_is_read_as_the_printer_means_it() {
    let record = "counter 1000\naccept 1001 G28\naccept 1002 G1 X1\nrewind 1001\naccept 1002 G1 X1\naccept 1003 M105\n\
        counter 1000\naccept 1001 M84\nrewind 1000\naccept 1001 M84\n";
    assert_eq!(accepted(record), ["G28", "G1 X1", "M84"]);
    assert_eq!(accepted("accept 1 G28\nreset\naccept 1 M84\nrewind 0\n"), ["G28"]);
}
