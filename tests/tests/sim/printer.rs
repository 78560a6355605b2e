//! The simulated printer against conversations observed with real firmware.

use spoolway_tests::printer::{Duplicates, Printer, PrinterOptions, StarWithoutNumber};
use spoolway_tests::wire::{Lane, LaneOptions};

const SECOND: u64 = 1_000_000;

/// A host that writes when it is told to and reads everything.
struct Bench {
    printer: Printer,
    down: Lane,
    now_us: u64,
    replies: Vec<(u64, String)>,
}

impl Bench {
    fn new(options: PrinterOptions, baud: Option<u32>) -> Self {
        let down = Lane::new(LaneOptions { baud, ..LaneOptions::default() }, 1);
        Self { printer: Printer::new(options, 1), down, now_us: 0, replies: Vec::new() }
    }

    fn marlin() -> Self {
        Self::new(PrinterOptions::default(), Some(115_200))
    }

    fn write(&mut self, text: &str) {
        assert_eq!(self.down.send(self.now_us, text.as_bytes()), text.len());
    }

    /// Lets `us` pass and returns the replies of that time.
    fn pass(&mut self, us: u64) -> Vec<String> {
        let until_us = self.now_us + us;
        while let Some((at_us, byte)) = self.down.pop(until_us) {
            self.printer.receive(at_us, &[byte]);
        }
        self.printer.advance(until_us);
        self.now_us = until_us;
        let first = self.replies.len();
        for (at_us, bytes) in self.printer.take_output() {
            self.replies.push((at_us, String::from_utf8_lossy(&bytes).trim_end().to_owned()));
        }
        self.replies[first..].iter().map(|(_, text)| text.clone()).collect()
    }

    /// Writes lines and returns what comes within half a second.
    fn ask(&mut self, text: &str) -> Vec<String> {
        self.write(text);
        self.pass(SECOND / 2)
    }
}

/// A frame as a host would write it; reckoned here and nowhere else.
fn frame(number: u64, command: &str) -> String {
    let body = format!("N{number} {command}");
    let sum = body.bytes().fold(0u8, |sum, byte| sum ^ byte);
    format!("{body}*{sum}")
}

const COLD: &str = "ok T:21.00 /0.00 B:21.00 /0.00 @:0 B@:0";

#[test]
fn bad_lines_get_the_observed_triples() {
    let mut bench = Bench::marlin();
    assert_eq!(bench.ask("N1 M110 N0*124\n"), ["ok"]);
    assert_eq!(bench.ask("N1 M105*38\n"), [COLD]);
    assert_eq!(bench.ask("N2 M105*99\n"), ["Error:checksum mismatch, Last Line: 1", "Resend: 2", "ok"]);
    let missing = ["Error:No Checksum with line number, Last Line: 1", "Resend: 2", "ok"];
    assert_eq!(bench.ask("N2 M105\n"), missing);
    assert_eq!(bench.ask("M105*7\n"), [COLD]);
    assert_eq!(bench.ask("N2 M105*37\n"), [COLD]);
    assert_eq!(bench.ask("n3 m105*36\n"), ["echo:Unknown command: \"n3 m105\"", "ok"]);
    assert_eq!(bench.ask("N3 M105 *4\n"), [COLD]);
    assert_eq!(bench.ask("M117 hello ; comment\n"), ["ok"]);
    assert!(bench.ask("; just a comment\n\n\r\n").is_empty());
    let ahead = ["Error:Line Number is not Last Line Number+1, Last Line: 3", "Resend: 4", "ok"];
    let long =
        "N3 G1 X1.123456789012345 Y2.123456789012345 Z3.123456789012345 E4.123456789012345 F1234.12345\n";
    for wrong in ["N9 M105*36\n", "N3 M105*1\n", "N3 M105\n", long] {
        assert_eq!(bench.ask(wrong), ahead, "{wrong}");
    }
    assert_eq!(bench.ask("N4 M105*35\n"), [COLD]);
}

#[test]
fn a_number_set_without_a_number_counts_at_execution() {
    let mut bench = Bench::marlin();
    assert_eq!(bench.ask("M110 N500\n"), ["ok"]);
    assert_eq!(bench.ask("N501 M105*36\n"), ["Error:checksum mismatch, Last Line: 500", "Resend: 501", "ok"]);
    assert_eq!(bench.ask(&format!("{}\n", frame(501, "M105"))), [COLD]);
}

#[test]
fn a_line_too_long_for_the_buffer_fails_its_checksum_for_ever() {
    let mut bench = Bench::marlin();
    let long = format!("{}\n", frame(1, &format!("M117 {}", "x".repeat(90))));
    for _ in 0..2 {
        assert_eq!(bench.ask(&long)[1..], ["Resend: 1", "ok"]);
    }
}

#[test]
fn a_duplicate_is_refused_or_ignored_by_generation() {
    let mut old = Bench::marlin();
    let mut new =
        Bench::new(PrinterOptions { duplicates: Duplicates::Silent, ..PrinterOptions::default() }, None);
    for bench in [&mut old, &mut new] {
        assert_eq!(bench.ask(&format!("{}\n", frame(1, "G90"))), ["ok"]);
    }
    let again = format!("{}\n", frame(1, "G90"));
    assert_eq!(old.ask(&again)[1..], ["Resend: 2", "ok"]);
    assert!(new.ask(&again).is_empty());
    assert_eq!(new.printer.statistics().lines_ignored, 1);
}

#[test]
fn a_star_without_a_number_is_refused_by_old_firmware() {
    let options =
        PrinterOptions { star_without_number: StarWithoutNumber::Refused, ..PrinterOptions::default() };
    let mut bench = Bench::new(options, None);
    let refused = ["Error:No Line Number with checksum, Last Line: 0", "Resend: 1", "ok"];
    assert_eq!(bench.ask("M105*7\n"), refused);
}

/// The observed run: a burst that outgrows the ring, with its end still arriving when the first slots become free.
#[test]
fn an_overflow_gives_one_triple_and_then_the_oks_of_what_was_queued() {
    let mut bench = Bench::marlin();
    bench.ask("N1 M110 N0*124\n");
    bench.ask(&format!("{}\n", frame(1, "G92 X0 Y0 Z0 E0")));
    let burst: Vec<String> = (2..=31).map(|n| frame(n, "G4 P40") + "\n").collect();
    bench.write(&burst[..26].concat());
    bench.pass(110_000);
    bench.write(&burst[26..].concat());
    bench.pass(5 * SECOND);
    let told: Vec<&str> = bench.replies.iter().map(|(_, text)| text.as_str()).collect();
    let errors: Vec<usize> =
        told.iter().enumerate().filter(|(_, text)| text.starts_with("Error:")).map(|(at, _)| at).collect();
    assert_eq!(errors.len(), 1, "{told:?}");
    let at = errors[0];
    assert_eq!(told[at], "Error:Line Number is not Last Line Number+1, Last Line: 14");
    assert_eq!(told[at + 1..at + 3], ["Resend: 15", "ok"]);
    let after = told[at + 3..].iter().filter(|text| **text == "ok").count();
    assert_eq!(after, 3, "{told:?}");
    assert!(bench.printer.statistics().rx_dropped > 0);
    assert_eq!(bench.printer.executed_total(), 2 + 13);
}

/// M110 acts when it is parsed and again when it is executed, so lines right behind it are counted twice over.
#[test]
fn lines_right_behind_m110_make_the_counter_jump_back() {
    let mut bench = Bench::marlin();
    let lines: Vec<String> = (1..=8).map(|n| frame(n, "G4 P1") + "\n").collect();
    bench.write(&format!("G4 P50\nN0 M110 N0*125\n{}", lines.concat()));
    let told = bench.pass(SECOND);
    assert!(told.contains(&"Resend: 1".to_owned()), "{told:?}");

    let mut patient = Bench::marlin();
    patient.ask("G4 P50\nN0 M110 N0*125\n");
    patient.write(&lines.concat());
    let told = patient.pass(SECOND);
    assert_eq!(told.iter().filter(|text| *text == "ok").count(), 8, "{told:?}");
    assert_eq!(patient.printer.last_number(), 8);
}

#[test]
fn m108_ends_a_heat_up_at_once_and_both_lines_are_acknowledged() {
    let mut bench = Bench::marlin();
    bench.ask("M104 S200\n");
    let heating = bench.ask("M109 S210\n");
    assert!(heating.iter().all(|text| text.starts_with(" T:") && text.ends_with("W:?")), "{heating:?}");
    bench.pass(4 * SECOND);
    assert_eq!(bench.ask("M108\n"), ["ok", "ok"]);

    let deaf = PrinterOptions { emergency_parser: false, ..PrinterOptions::default() };
    let mut full = Bench::new(deaf, Some(115_200));
    full.ask("M109 S210\nG90\nG90\nG90\nM108\n");
    assert!(full.pass(4 * SECOND).iter().all(|text| !text.starts_with("ok")), "the queue is full");
}

#[test]
fn a_kill_is_told_at_once_and_then_the_board_is_deaf_until_reset() {
    let mut bench = Bench::marlin();
    bench.ask("M104 S200\nG1 X100 F60\nG4 S60\nG90\nG90\nG90\nG90\n");
    let told = bench.ask("M112\n");
    assert_eq!(told, ["echo:M112 Shutdown", "Error:Printer halted. kill() called!", "//action:poweroff"]);
    assert!(bench.printer.is_killed());
    assert!(bench.ask("M105\nM999\n").is_empty());
    assert!(bench.pass(60 * SECOND).is_empty());
    bench.printer.reset(bench.now_us);
    assert_eq!(bench.pass(3 * SECOND)[0], "start");
    assert!(bench.ask("M105\n")[0].contains("/0.00 B:"), "heaters are off");
}

#[test]
fn without_an_emergency_parser_a_kill_waits_for_a_queue_slot() {
    let options = PrinterOptions { emergency_parser: false, ..PrinterOptions::default() };
    let mut bench = Bench::new(options, Some(115_200));
    bench.ask("G4 S10\nG90\nG90\nG90\nM112\n");
    assert!(!bench.printer.is_killed());
    bench.pass(10 * SECOND);
    assert!(bench.printer.is_killed());
}

#[test]
fn busy_comes_every_two_seconds_and_wait_every_second() {
    let options = PrinterOptions { wait_interval_us: SECOND, ..PrinterOptions::default() };
    let mut bench = Bench::new(options, Some(115_200));
    bench.write("G28\n");
    bench.pass(8_500_000);
    let busy: Vec<u64> =
        bench.replies.iter().filter(|(_, text)| text == "echo:busy: processing").map(|(at, _)| *at).collect();
    assert_eq!(busy.len(), 4, "{:?}", bench.replies);
    assert!(busy.windows(2).all(|pair| (1_990_000..2_010_000).contains(&(pair[1] - pair[0]))));
    let last: Vec<_> = bench.replies.iter().rev().take(2).map(|(_, text)| text.as_str()).collect();
    assert_eq!(last, ["ok", "X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0"]);
    assert_eq!(bench.pass(3 * SECOND), ["wait", "wait", "wait"]);
}

#[test]
fn advanced_ok_counts_the_finished_line_as_queued() {
    let options = PrinterOptions { advanced_ok: true, ..PrinterOptions::default() };
    let mut bench = Bench::new(options, Some(115_200));
    assert_eq!(bench.ask("N1 M110 N0*124\n"), ["ok N1 P15 B3"]);
    assert_eq!(bench.ask("M104 S0\n"), ["ok P15 B3"]);
    assert_eq!(bench.ask("N1 M105*38\n"), [COLD]);
    assert_eq!(bench.ask(&format!("{}\n", frame(2, "G1 X50 F300"))), ["ok N2 P14 B3"]);
}

#[test]
fn identity_reports_and_echoes() {
    let mut bench = Bench::marlin();
    let told = bench.ask("M115\n");
    assert!(told[0].starts_with("FIRMWARE_NAME:Marlin "));
    assert!(told.contains(&"Cap:EMERGENCY_PARSER:1".to_owned()));
    assert!(told.contains(&"Cap:AUTOREPORT_TEMP:1".to_owned()));
    assert_eq!(told.last().map(String::as_str), Some("ok"));
    assert_eq!(bench.ask("M113\n"), ["echo:M113 S2", "ok"]);
    assert_eq!(
        bench.ask("M118 E1 hello\nM118 A1 action:cancel\n"),
        ["echo:hello", "ok", "//action:cancel", "ok"]
    );
    assert_eq!(bench.ask("M73 P5 R10\n"), ["echo:Unknown command: \"M73 P5 R10\"", "ok"]);
    assert_eq!(bench.ask("M155 S1\n"), ["ok"]);
    assert_eq!(bench.pass(2 * SECOND), [COLD.replacen("ok", "", 1), COLD.replacen("ok", "", 1)]);
    assert_eq!(bench.ask("M155 S0\n"), ["ok"]);
    assert!(bench.pass(5 * SECOND).is_empty());
}

#[test]
fn a_heated_nozzle_reaches_its_target_and_stays() {
    let mut bench = Bench::marlin();
    bench.write("M109 S200\n");
    let told = bench.pass(120 * SECOND);
    assert_eq!(told.last().map(String::as_str), Some("ok"));
    assert!(told.iter().any(|text| text.ends_with("W:5")), "residency is counted down");
    let (nozzle, bed) = bench.printer.temperatures_c(bench.now_us);
    assert!((nozzle - 200.0).abs() < 0.5 && (bed - 21.0).abs() < 1e-6, "{nozzle} {bed}");
    assert_eq!(bench.ask("M109 S100\n"), ["ok"], "S does not wait for cooling");
}

#[test]
fn moves_wait_for_the_planner_and_hunger_is_counted() {
    let mut bench = Bench::marlin();
    // Each line is 1 s of travel: 15 fit the planner, the rest waits for its turn.
    for n in 1..=18 {
        bench.write(&format!("{}\n", frame(n, &format!("G1 X{} F600", n * 10))));
    }
    bench.pass(SECOND / 2);
    assert_eq!(bench.printer.executed_total(), 15);
    bench.pass(SECOND);
    assert_eq!(bench.printer.executed_total(), 16);
    assert_eq!(bench.printer.statistics().underruns, 0);
    bench.pass(30 * SECOND);
    bench.ask(&format!("{}\n", frame(19, "G1 X0")));
    assert_eq!(bench.printer.statistics().underruns, 1);
    assert!(bench.printer.statistics().starved_us > 10 * SECOND);
    bench.pass(60 * SECOND);
    bench.ask("M400\n");
    bench.ask("G1 X5\n");
    assert_eq!(bench.printer.statistics().underruns, 1, "a wait that was asked for is no hunger");
}

/// The error text takes its time on the wire; what comes meanwhile is flushed, and the end of a line cut in two runs
/// without a number.
#[test]
fn a_flush_lets_the_tail_of_a_line_through() {
    let mut bench = Bench::marlin();
    let frames: Vec<String> = (2..=12).map(|n| frame(n, "G1 X1 Y2 F3000") + "\n").collect();
    bench.ask("N1 M110 N1*125\n");
    bench.write(&format!("N2 G1 X1 Y2 F3000*0\n{}", frames.concat()));
    bench.pass(10 * SECOND);
    let statistics = bench.printer.statistics();
    assert!(statistics.rx_flushed > 20 && statistics.rx_dropped == 0, "{statistics:?}");
    let loose: Vec<_> = bench.printer.executed().iter().filter(|line| line.number.is_none()).collect();
    assert!(!loose.is_empty());
    for line in loose {
        let frame = frames.iter().find(|frame| frame.trim_end().as_bytes().ends_with(&line.raw));
        assert!(frame.is_some(), "{line:?}");
    }
}
