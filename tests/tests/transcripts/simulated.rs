//! The simulated printer hears what the real one heard and answers alike: the same lines, but for figures and dates.

use spoolway_tests::printer::{Printer, PrinterOptions};
use spoolway_tests::transcript::Exchange;

use crate::load;

/// Long enough for every command that is asked here.
const A_WHILE_US: u64 = 700_000;

struct Simulated {
    printer: Printer,
    now_us: u64,
}

impl Simulated {
    fn new(change: impl FnOnce(&mut PrinterOptions)) -> Self {
        let mut options = PrinterOptions { tx_baud: None, ..PrinterOptions::default() };
        change(&mut options);
        Self { printer: Printer::new(options, 1), now_us: 0 }
    }

    /// What it says within a while, line by line.
    fn ask(&mut self, lines: &[&str]) -> Vec<String> {
        for line in lines {
            self.printer.receive(self.now_us, format!("{line}\n").as_bytes());
        }
        self.now_us += A_WHILE_US;
        self.printer.advance(self.now_us);
        let said: Vec<u8> = self.printer.take_output().into_iter().flat_map(|(_, bytes)| bytes).collect();
        String::from_utf8(said).unwrap().lines().map(str::to_owned).collect()
    }
}

/// A line with every figure as `#`.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    for c in line.chars() {
        let figure = c.is_ascii_digit() || (c == '.' && shape.ends_with('#'));
        match (figure, shape.ends_with('#')) {
            (true, true) => {}
            (true, false) => shape.push('#'),
            (false, _) => shape.push(c),
        }
    }
    shape
}

fn shapes<T: AsRef<str>>(lines: &[T]) -> Vec<String> {
    lines.iter().map(|line| shape(line.as_ref())).collect()
}

/// Asks what was asked then, in the same order, and holds the answers of `these` exchanges against those of then. An
/// exchange is named by its first line.
fn compare(name: &str, printer: &mut Simulated, these: &[&str]) {
    let conversation = load(name);
    let exchanges = conversation.exchanges();
    let mut rest = exchanges.iter();
    for first in these {
        let found: Option<&Exchange<'_>> = rest.find(|exchange| exchange.asked.first() == Some(first));
        let then = found.unwrap_or_else(|| panic!("{name} has no {first:?} behind the one before"));
        // `wait` comes by itself and is another option's.
        let answered: Vec<_> = then.answered.iter().filter(|line| **line != "wait").collect();
        let now = printer.ask(&then.asked);
        assert_eq!(shapes(&now), shapes(&answered), "{name}: {first:?}");
    }
}

#[test]
fn good_and_bad_lines_are_answered_as_by_marlin() {
    let mut printer = Simulated::new(|_| ());
    let asked = [
        "N1 M110 N0*124",
        "N1 M105*38",
        "N2 M105*99",
        "N2 M105",
        "M105*7",
        "N2 M105*39",
        "N2 M105*37",
        "n3 m105*36",
        "N3 M105 *4",
        "M117 hello ; comment",
        "; just a comment",
        "G1 X1 (paren comment) Y2",
        "M105",
    ];
    compare("marlin-2.0.9-checksum", &mut printer, &asked);
}

#[test]
fn commands_are_answered_as_by_marlin() {
    let mut printer = Simulated::new(|options| options.home_us = 1000);
    let asked = [
        "N1 M110 N0*124",
        "N1 M105*38",
        "N9 M105*36",
        "N3 M105*1",
        "N3 M105",
        "M105",
        "M155 S0",
        "M113",
        "M118 E1 hello",
        "M118 A1 action:cancel",
        "M117 hi there",
        "M73 P5 R10",
        "FOO1",
        "M104 S200",
        "M112",
        "M105",
    ];
    compare("marlin-2.0.9-basic", &mut printer, &asked);
}

#[test]
fn advanced_ok_counts_as_marlins() {
    let mut printer = Simulated::new(|options| options.advanced_ok = true);
    let asked = [
        "N1 M110 N0*124",
        "N1 M105*38",
        "N2 M104 S0*103",
        "N3 G92 X0 Y0 Z0 E0*15",
        "N4 G1 X5 F3000*4",
        "M105",
    ];
    compare("marlin-2.0.9-advanced_ok", &mut printer, &asked);
}
