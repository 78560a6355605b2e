//! What a backend has done to a printer by hand, from its websocket to the board: homed, moved, heated, cooled, lit, let go of.

use std::path::Path;

use spoolway_agent::local::Client;
use spoolway_agent::local::words::Request;
use spoolway_agent::view::Status;
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::{AgentId, JobState};
use spoolway_tests::demo::house::{House, Part, PrinterPlan};
use spoolway_tests::permit::Signer;
use spoolway_tests::printer::PrinterOptions;
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread, ResetOnOpen};

use crate::farm::{Farm, body};
use crate::patience::{client, until};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
/// What the agent itself asks and sets.
const OWN: [&str; 7] = ["M105", "M110", "M115", "M155", "M114", "$I", "M27"];

struct Bench {
    house: House,
    board: PtyThread,
}

impl Bench {
    /// Relay, agent and a board of this firmware.
    fn start(profile: &str, change: impl FnOnce(&mut PtyOptions)) -> Self {
        Self::start_signed(profile, None, change)
    }

    /// The same with an agent that knows a key of its backend.
    fn start_signed(profile: &str, key: Option<String>, change: impl FnOnce(&mut PtyOptions)) -> Self {
        let mut options = PtyOptions::of_profile(profile).unwrap();
        options.reset_on_open = ResetOnOpen::First;
        change(&mut options);
        let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
        let plan = PrinterPlan::Real { port: board.path().to_owned(), baud: 115_200 };
        let house = match key {
            Some(key) => House::start_signed(Path::new(DEMO), b"", &plan, key),
            None => House::start(Path::new(DEMO), b"", &plan),
        };
        let house = house.unwrap();
        let bench = Self { house, board };
        bench.until_printer(&PrinterState::Idle);
        bench
    }

    async fn farm(&self) -> Farm {
        let mut farm = Farm::dial(&self.house).await;
        farm.until_up().await;
        farm
    }

    fn client(&self) -> Client {
        client(&self.house)
    }

    fn until<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        until(&self.house, what, look)
    }

    fn until_printer(&self, state: &PrinterState) -> Status {
        self.until("the printer's state", || {
            self.client().status().ok().filter(|status| status.printer.state == *state)
        })
    }

    /// Whether the agent's process has the printer's port open.
    fn has_port_open(&self) -> bool {
        let port = std::fs::canonicalize(self.board.path()).unwrap();
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.house.pids().1)).unwrap();
        open.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|path| path == port))
    }

    /// Ends everything; what the board has carried out.
    fn finish(self) -> Vec<String> {
        drop(self.house);
        let run = self.board.finish().unwrap();
        let texts =
            run.printer.executed().iter().map(|line| String::from_utf8_lossy(line.text()).into_owned());
        texts.filter(|text| !OWN.iter().any(|own| text.starts_with(own))).collect()
    }
}

fn as_slow_as_in_life(options: &mut PtyOptions) {
    options.printer = PrinterOptions { speed: 1.0, ..PrinterOptions::for_profile("marlin").unwrap() };
}

fn done() -> (String, String) {
    ("done".to_owned(), String::new())
}

fn rejected(code: &str) -> (String, String) {
    ("rejected".to_owned(), code.to_owned())
}

#[tokio::test]
async fn a_printer_is_homed_moved_heated_and_cooled() {
    let bench = Bench::start("marlin", |_| {});
    let (mut farm, house) = (bench.farm().await, &bench.house);
    let mut ask = async |role: &str, kind: &str, args: &str| farm.ask(role, house, kind, args).await;
    assert_eq!(ask("operator", "printer.home", r#"{"axes":["y","x"]}"#).await, done());
    assert_eq!(ask("operator", "printer.jog", r#"{"x":10,"z":0.5}"#).await, done());
    assert_eq!(ask("operator", "printer.set_temp", r#"{"heater":"tool0","celsius":50}"#).await, done());
    let hot = r#"{"heater":"bed","celsius":500}"#;
    assert_eq!(ask("admin", "printer.set_temp", hot).await, rejected("heat.above_limit"));
    let cold = r#"{"heater":"fridge","celsius":5}"#;
    assert_eq!(ask("admin", "printer.set_temp", cold).await, rejected("printer.cannot"));
    assert_eq!(ask("admin", "printer.jog", r#"{"x":9999}"#).await, rejected("command.bad_args"));
    assert_eq!(ask("viewer", "printer.home", "{}").await, rejected("command.not_allowed"));
    assert_eq!(ask("nobody", "printer.identify", "{}").await, rejected("command.not_allowed"));
    assert_eq!(ask("operator", "printer.light", r#"{"on":true}"#).await, rejected("printer.cannot"));
    assert_eq!(ask("viewer", "printer.heaters_off", "{}").await, done());
    assert_eq!(ask("operator", "printer.identify", "{}").await, done());
    assert_eq!(
        bench.finish(),
        [
            "G28 X Y",
            "G91",
            "G1 X10 Z0.5 F1000",
            "G90",
            "M104 T0 S50",
            "M104 S0",
            "M140 S0",
            "M117 Here I am",
            "M300 S880 P300",
        ]
    );
}

#[tokio::test]
async fn a_mill_has_words_of_its_own_and_no_heaters() {
    for profile in ["grbl", "grblhal"] {
        let bench = Bench::start(profile, |_| {});
        let (mut farm, house) = (bench.farm().await, &bench.house);
        let mut ask = async |kind: &str, args: &str| farm.ask("operator", house, kind, args).await;
        assert_eq!(ask("printer.home", "{}").await, done());
        assert_eq!(ask("printer.home", r#"{"axes":["x"]}"#).await, rejected("command.bad_args"));
        assert_eq!(ask("printer.jog", r#"{"y":-2.5,"feed_mm_min":300}"#).await, done());
        let warm = r#"{"heater":"tool0","celsius":50}"#;
        assert_eq!(ask("printer.set_temp", warm).await, rejected("printer.cannot"));
        assert_eq!(ask("printer.heaters_off", "{}").await, rejected("printer.cannot"));
        assert_eq!(bench.finish(), ["$H", "$J=G91 G21 Y-2.5 F300"], "{profile}");
    }
}

#[tokio::test]
async fn nothing_moves_by_hand_beside_a_job_and_light_and_name_do_no_harm() {
    let bench = Bench::start("marlin", as_slow_as_in_life);
    let file = bench.house.socket().with_file_name("job.gcode");
    std::fs::write(&file, "G1 X100 F3000\nG1 X0\n".repeat(50)).unwrap();
    bench.client().job(&Request::Print { path: file, name: None }).unwrap();
    bench.until_printer(&PrinterState::Printing);
    let (mut farm, house) = (bench.farm().await, &bench.house);
    let mut ask = async |kind: &str, args: &str| farm.ask("admin", house, kind, args).await;
    let warm = r#"{"heater":"tool0","celsius":50}"#;
    for (kind, args) in [
        ("printer.home", "{}"),
        ("printer.jog", r#"{"x":1}"#),
        ("printer.set_temp", warm),
        ("printer.heaters_off", "{}"),
        ("printer.disconnect", "{}"),
    ] {
        assert_eq!(ask(kind, args).await, rejected("printer.busy"), "{kind}");
    }
    assert_eq!(ask("printer.identify", "{}").await, done());
    let carried_out = bench.finish();
    assert!(carried_out.contains(&"M117 Here I am".to_owned()), "{carried_out:?}");
    assert!(!carried_out.iter().any(|line| line.starts_with("G28") || line == "G91"), "{carried_out:?}");
}

#[tokio::test]
async fn an_object_with_a_label_is_left_out_and_others_are_not_guessed() {
    let bench = Bench::start("marlin", as_slow_as_in_life);
    let file = bench.house.socket().with_file_name("job.gcode");
    let object = |n: u32| format!("M486 S{n}\nG1 X100 F3000\nG1 X0\nM486 S-1\n");
    std::fs::write(&file, format!("M486 T2\n{}{}", object(0), object(1)).repeat(20)).unwrap();
    let job = bench.client().job(&Request::Print { path: file, name: None }).unwrap().job_id;
    bench.until_printer(&PrinterState::Printing);
    let (mut farm, house) = (bench.farm().await, &bench.house);
    let mut ask = async |role: &str, job: &str, object: &str| {
        let args = format!(r#"{{"job_id":"{job}","object":"{object}"}}"#);
        farm.ask(role, house, "job.skip_object", &args).await
    };
    bench.until("the job to print", || {
        let jobs = bench.client().jobs().unwrap();
        jobs.iter().any(|job| job.state == JobState::Printing).then_some(())
    });
    assert_eq!(ask("operator", job.as_str(), "2").await, rejected("job.no_object"));
    assert_eq!(ask("operator", "another", "1").await, rejected("job.unknown"));
    assert_eq!(ask("viewer", job.as_str(), "1").await, rejected("command.not_allowed"));
    assert_eq!(ask("operator", job.as_str(), "1").await, done());
    assert_eq!(
        bench.finish().iter().filter(|line| line.starts_with("M486 P")).collect::<Vec<_>>(),
        ["M486 P1"]
    );
}

#[tokio::test]
async fn a_port_that_is_let_go_is_left_to_others_until_it_is_wanted_again() {
    let bench = Bench::start("marlin", |_| {});
    assert!(bench.has_port_open());
    let (mut farm, house) = (bench.farm().await, &bench.house);
    let mut ask = async |role: &str, kind: &str, args: &str| farm.ask(role, house, kind, args).await;
    assert_eq!(ask("operator", "printer.disconnect", "{}").await, rejected("command.not_allowed"));
    assert_eq!(ask("admin", "printer.disconnect", "{}").await, done());
    let status = bench.until_printer(&PrinterState::Offline);
    assert_eq!(status.printer.fault.unwrap().code, "port.released");
    assert!(!bench.has_port_open());
    assert_eq!(ask("admin", "printer.home", "{}").await, rejected("port.released"));
    assert_eq!(ask("admin", "printer.disconnect", "{}").await, done(), "it is so already");
    assert_eq!(ask("admin", "printer.connect", "{}").await, done());
    bench.until_printer(&PrinterState::Idle);
    assert_eq!(ask("admin", "printer.connect", "{}").await, done(), "it is so already");
    assert_eq!(ask("admin", "printer.home", "{}").await, done());
    assert_eq!(bench.finish(), ["G28"]);
}

#[tokio::test]
async fn what_was_under_way_when_the_agent_died_is_not_done_again() {
    let mut bench = Bench::start("marlin", |options| {
        // Longer than anybody waits here.
        options.printer.home_us = 3_600_000_000;
        options.printer.speed = 1.0;
    });
    let mut farm = bench.farm().await;
    farm.command(&bench.house, 1, "printer.home", "{}").await;
    let began = || bench.house.logs().contains("sent by hand");
    bench.until("the home to be sent", || began().then_some(()));
    bench.house.kill_and_restart(Part::Agent).unwrap();
    let ended = farm.result(&bench.house, 1).await;
    assert_eq!(
        (ended["status"].as_str(), ended["code"].as_str()),
        (Some("indeterminate"), Some("agent.restarted"))
    );
    assert_eq!(bench.finish().iter().filter(|line| line.starts_with("G28")).count(), 1);
}

/// A relay that was taken over has no key, and no body of another agent's command is of use to it.
#[tokio::test]
async fn where_starts_need_permits_nothing_moves_or_heats_without_a_signature() {
    let signer = Signer::new();
    let bench = Bench::start_signed("marlin", Some(signer.public_key()), |_| {});
    let (mut farm, house) = (bench.farm().await, &bench.house);
    let warm = ("printer.set_temp", r#"{"heater":"tool0","celsius":50}"#);
    let lines = ("printer.gcode", r#"{"lines":["M104 S60"]}"#);
    let here = house.agent_id();
    let elsewhere = AgentId::from_bytes([7; 16]);
    let signed = |seq, what, agent: &AgentId| signer.sign_command(agent, &body(seq, "operator", what));
    let altered = signed(5, warm, &here).replace(r#""celsius":50"#, r#""celsius":90"#);
    let foreign = Signer::new().sign_command(&here, &body(6, "operator", warm));
    for (seq, sent, code) in [
        (1, body(1, "operator", warm), Some("command.unsigned")),
        (2, body(2, "operator", lines), Some("command.unsigned")),
        (3, body(3, "operator", ("printer.heaters_off", "{}")), None),
        (4, signed(4, warm, &elsewhere), Some("command.bad_signature")),
        (5, altered, Some("command.bad_signature")),
        (6, foreign, Some("command.bad_signature")),
        (7, signed(7, warm, &here), None),
        (8, signed(8, lines, &here), None),
    ] {
        farm.send(house, &sent).await;
        assert_eq!(farm.result(house, seq).await["code"].as_str(), code, "{seq}");
    }
    assert_eq!(bench.finish(), ["M104 S0", "M140 S0", "M104 T0 S50", "M104 S60"]);
}

#[tokio::test]
async fn who_has_no_manager_is_not_restarted() {
    let bench = Bench::start("marlin", |_| {});
    let (mut farm, house) = (bench.farm().await, &bench.house);
    let pid = house.pids().1;
    assert_eq!(farm.ask("operator", house, "agent.restart", "{}").await, rejected("command.not_allowed"));
    assert_eq!(farm.ask("admin", house, "agent.restart", "{}").await, rejected("agent.unmanaged"));
    assert_eq!(farm.ask("admin", house, "printer.home", "{}").await, done(), "it runs on");
    assert_eq!(house.pids().1, pid);
}
