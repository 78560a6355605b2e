//! The simulated printer in each dialect, against what the firmwares' sources say and what running firmware was seen to say.

use spoolway_agent_core::Moment;
use spoolway_agent_core::greeting::{Greeting, GreetingOptions, GreetingOutput};
use spoolway_firmware_profiles::identify;
use spoolway_firmware_profiles::registry::Registry;
use spoolway_tests::printer::{Dialect, Printer, PrinterFaults, PrinterOptions};
use spoolway_tests::world;

const SECOND: u64 = 1_000_000;

/// A host that writes when it is told to and reads everything.
struct Bench {
    printer: Printer,
    now_us: u64,
}

impl Bench {
    fn of(profile: &str) -> Self {
        Self::with(PrinterOptions { tx_baud: None, ..board(profile) })
    }

    fn with(options: PrinterOptions) -> Self {
        Self { printer: Printer::new(options, 1), now_us: 0 }
    }

    /// Writes a text and returns what comes within half a second.
    fn ask(&mut self, text: &str) -> Vec<String> {
        self.printer.receive(self.now_us, text.as_bytes());
        self.pass(SECOND / 2)
    }

    fn pass(&mut self, us: u64) -> Vec<String> {
        self.now_us += us;
        self.printer.advance(self.now_us);
        let replies = self.printer.take_output();
        replies.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).trim_end().to_owned()).collect()
    }

    fn texts(&self) -> Vec<String> {
        self.printer.executed().iter().map(|line| String::from_utf8_lossy(line.text()).into_owned()).collect()
    }
}

fn board(profile: &str) -> PrinterOptions {
    PrinterOptions::for_profile(profile).expect("a board for each of these")
}

/// A frame as a host would write it; reckoned here and nowhere else.
fn frame(number: u64, command: &str) -> String {
    let body = format!("N{number} {command}");
    let sum = body.bytes().fold(0u8, |sum, byte| sum ^ byte);
    format!("{body}*{sum}\n")
}

fn broken(number: u64, command: &str) -> String {
    frame(number, command).replace('*', "*9")
}

#[test]
fn every_board_says_who_it_is_and_acknowledges() {
    for dialect in Dialect::all() {
        let mut bench = Bench::of(dialect.profile);
        let question = match dialect.profile {
            "grbl" | "grblhal" => "$I\n",
            "flashforge" => "~M115\n",
            _ => "M115\n",
        };
        let replies = bench.ask(question);
        assert!(replies.iter().any(|reply| reply == "ok" || reply.starts_with("ok ")), "{replies:?}");
        assert!(replies.len() >= 2, "{replies:?}");
    }
}

#[test]
fn repetier_acknowledges_on_receipt_skips_and_asks_without_flushing() {
    let mut bench = Bench::of("repetier");
    assert_eq!(bench.ask(&frame(0, "M110 N1000")), ["ok"]);
    assert_eq!(bench.ask(&frame(1001, "G28")), ["ok 1001"]);
    bench.pass(20 * SECOND);
    // A line that is known already, and one whose number differs in the upper half only.
    assert_eq!(bench.ask(&frame(990, "G1 X1")), ["skip 990", "ok"]);
    assert_eq!(bench.ask(&frame(1002 + 65_536, "G1 X2")), ["ok 66538"]);
    bench.ask(&frame(0, "M110 N1002"));
    let damaged = format!("{}{}", broken(1003, "G1 X3"), frame(1004, "G1 X4"));
    assert_eq!(
        bench.ask(&damaged)[..6],
        ["Error:Wrong checksum", "", "Resend:1003", "ok", "skip 1004", "ok"]
    );
    assert_eq!(bench.ask(&frame(1003, "G1 X3")).last().map(String::as_str), Some("ok 1003"));
    // Half a line is not waited for.
    assert_eq!(bench.ask("N1004 G1 X"), ["", "Resend:1004", "ok", "", "Resend:1004", "ok"]);
    assert_eq!(bench.ask(&frame(1900, "G1 X9"))[..2], ["skip 1900", "ok"]);
    assert_eq!(bench.texts(), ["G28", "G1 X2", "G1 X3"]);
}

#[test]
fn repetier_reports_temperatures_apart_and_is_busy_without_echo() {
    let mut bench = Bench::of("repetier");
    let replies = bench.ask("M105\n");
    assert_eq!(replies[0], "ok 0");
    assert!(replies[1].starts_with("T:21.00"), "{replies:?}");
    bench.ask("M109 S200\n");
    let replies = bench.pass(3 * SECOND);
    assert!(replies.iter().any(|reply| reply == "busy:processing"), "{replies:?}");
}

#[test]
fn smoothieware_asks_with_rs_and_no_ok() {
    let mut bench = Bench::of("smoothieware");
    assert_eq!(bench.ask(&frame(1000, "M110 N1000")), ["ok"]);
    assert_eq!(bench.ask(&frame(1001, "M107")), ["ok"]);
    assert_eq!(bench.ask(&broken(1002, "M107")), ["rs N1002"]);
    assert_eq!(bench.ask(&frame(1003, "M107")), ["rs N1002"]);
    assert_eq!(bench.ask(&frame(1001, "M107")), ["rs N1002"]);
    assert_eq!(bench.ask("\n"), ["ok"]);
    assert_eq!(bench.ask("ping\n"), ["ok - ignored"]);
    assert_eq!(bench.texts(), ["M107"]);
}

#[test]
fn reprapfirmware_drops_damaged_lines_in_silence_and_knows_no_sequence() {
    let mut bench = Bench::of("reprapfirmware");
    assert_eq!(bench.ask(&frame(7, "M107")), ["ok"]);
    assert_eq!(bench.ask(&broken(8, "M107")), Vec::<String>::new());
    assert_eq!(bench.ask("N8 M107\n"), Vec::<String>::new());
    assert_eq!(bench.ask(&frame(99, "M106 S1")), ["ok"]);
    assert_eq!(bench.ask(&frame(99, "M106 S1")), ["ok"]);
    assert_eq!(bench.texts(), ["M107", "M106 S1", "M106 S1"]);
}

#[test]
fn klipper_takes_anything_and_answers_every_line() {
    let mut bench = Bench::of("klipper");
    assert_eq!(bench.ask("N5 M107*1\n"), ["ok"]);
    assert_eq!(bench.ask("\n"), ["ok"]);
    assert_eq!(bench.ask("M73 P1\n"), ["// Unknown command:\"M73 P1\"", "ok"]);
    assert!(bench.ask("M105\n")[0].starts_with("ok T:"));
    assert_eq!(bench.ask("M112\n"), ["!! Shutdown due to M112 command"]);
    assert_eq!(bench.texts()[0], "M107");
}

#[test]
fn teacup_checks_sums_and_not_numbers() {
    let mut bench = Bench::of("teacup");
    assert_eq!(bench.ask(&frame(2, "M107")), ["ok"]);
    assert_eq!(bench.ask("N9 M105*36\n"), ["rs N3 Expected checksum 46", "ok"]);
    let replies = bench.ask(&frame(4, "M105"));
    assert!(replies[0].starts_with("T:21.00") && replies[1] == "ok", "{replies:?}");
}

#[test]
fn grbl_acts_on_realtime_bytes_and_names_errors() {
    let mut bench = Bench::of("grbl");
    assert_eq!(bench.ask("$I\n"), ["[VER:1.1h.20190830:]", "[OPT:V,15,128]", "ok"]);
    assert_eq!(bench.ask("hello\n"), ["error:1"]);
    assert_eq!(bench.ask("?"), ["<Idle|MPos:0.000,0.000,0.000|Bf:15,127|FS:0,0>"]);
    // A byte in the middle of a line acts and is gone.
    assert_eq!(bench.ask("G1 X1?00 F600\n")[1], "ok");
    assert!(bench.ask("?")[0].starts_with("<Run|MPos:100.000"));
    assert_eq!(bench.ask("!"), Vec::<String>::new());
    assert!(bench.ask("?")[0].starts_with("<Hold:0"));
    // Held, the planner takes a move but nothing that waits for it is done.
    assert_eq!(bench.ask("G4 P1\n"), Vec::<String>::new());
    bench.ask("~");
    bench.pass(20 * SECOND);
    bench.ask("G1 X0 F60\n");
    assert_eq!(bench.ask("\u{18}"), ["ALARM:3", "", "Grbl 1.1h ['$' for help]"]);
    assert_eq!(bench.texts()[1], "G1 X100 F600");
}

#[test]
fn flashforge_hears_what_begins_with_a_tilde_and_says_so() {
    let mut bench = Bench::of("flashforge");
    assert_eq!(bench.ask("M107\n"), Vec::<String>::new());
    assert_eq!(bench.ask("~M107\n"), ["CMD M107 Received.", "ok"]);
    let replies = bench.ask("~M115\n");
    assert_eq!(replies[0], "CMD M115 Received.");
    assert_eq!(replies[1], "Machine Type: FlashForge Finder");
    assert_eq!(bench.texts(), ["M107", "M115"]);
}

#[test]
fn prusa_says_when_its_ring_is_full_and_refuses_a_star_without_a_number() {
    let mut bench = Bench::of("prusa-mk");
    assert_eq!(bench.ask("M105*7\n")[0], "Error:No Line Number with checksum, Last Line: 0");
    bench.ask("G1 X50 F60\nG4 S1\nM107\nM107\nM107\n");
    bench.printer.receive(bench.now_us, &[b' '; 200]);
    assert!(bench.printer.statistics().rx_dropped > 0);
    let replies = bench.pass(120 * SECOND);
    assert!(replies.iter().any(|reply| reply == "Full RX Buffer"), "{replies:?}");
}

#[test]
fn prusa_asks_for_acknowledged_lines_again_when_the_filament_ran_out() {
    let faults = PrinterFaults { runout: 1.0, runout_max_us: SECOND, ..PrinterFaults::default() };
    let mut bench = Bench::of("prusa-mk");
    bench.ask(&frame(0, "M110 N0"));
    for number in 1..=6 {
        assert_eq!(bench.ask(&frame(number, &format!("G1 X{number} F60"))), ["ok"]);
    }
    let before = bench.texts();
    bench.printer.set_faults(faults);
    let mut replies = bench.ask(&frame(7, "G1 X7 F60"));
    assert_eq!(replies[0], "echo:busy: paused for user");
    replies.extend(bench.pass(2 * SECOND));
    let asked = replies.iter().find_map(|reply| reply.strip_prefix("Resend: "));
    let asked: usize = asked.and_then(|text| text.parse().ok()).expect("it asks");
    assert!(asked < 7, "{replies:?}");
    assert_eq!(bench.texts(), before[..asked], "what it asks for again counts as not carried out");
}

#[test]
fn a_board_on_usb_takes_no_more_than_fits() {
    let mut bench = Bench::of("prusa-buddy");
    assert_eq!(bench.printer.takes(), 255);
    bench.printer.receive(0, b"G4 S100\n");
    bench.pass(SECOND);
    bench.printer.receive(bench.now_us, &b"G4 S1\n".repeat(20));
    assert!(bench.printer.takes() < 255);
    assert_eq!(Bench::of("marlin").printer.takes(), usize::MAX);
}

/// Opens a conversation with a board that was just reset, as the agent does, in virtual time: the profile that is found.
fn found_by_greeting(profile: &str) -> String {
    let mut printer = Printer::new(board(profile), 1);
    let mut greeting = Greeting::new(GreetingOptions::default(), Moment::ZERO);
    printer.reset(0);
    for now_us in (0..60 * SECOND).step_by(1_000) {
        let now = Moment::from_micros(now_us);
        printer.advance(now_us);
        for (_, bytes) in printer.take_output() {
            greeting.handle_bytes(now, &bytes);
        }
        loop {
            match greeting.poll_output(now) {
                GreetingOutput::Write(bytes) => printer.receive(now_us, &bytes),
                GreetingOutput::Wait(_) => break,
                GreetingOutput::Unanswered(why) => return format!("{why}"),
                GreetingOutput::Greeted(found) => {
                    let registry = Registry::built_in();
                    return identify(&registry, &found.banners, &found.report).profile.id.clone();
                }
            }
        }
    }
    "nothing within a minute".to_owned()
}

/// Two cannot be told by what they say: a Marlin on USB needs the port's own USB id, and the unknown is what is left.
#[test]
fn the_greeting_finds_the_profile_of_every_board_that_can_be_told() {
    for profile in world::profiles() {
        let expected = if profile == "marlin-cdc" { "marlin" } else { &profile };
        assert_eq!(found_by_greeting(&profile), expected);
    }
}
