//! Hosts that really open the board's port.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;

use super::*;

/// The port as a host has it.
struct Port {
    writer: File,
    reader: BufReader<File>,
}

impl Port {
    fn open(path: &Path) -> Self {
        let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
        let writer = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap();
        let reader = BufReader::new(writer.try_clone().unwrap());
        Self { writer, reader }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn wait_for(&mut self, wanted: &str) {
        while self.line() != wanted {}
    }
}

fn frame(number: usize, command: &str) -> String {
    let body = format!("N{number} {command}");
    format!("{body}*{}\n", body.bytes().fold(0, |sum, byte| sum ^ byte))
}

/// Sends a job with at most `window` unacknowledged bytes.
fn stream(port: &mut Port, commands: &[String], window: usize) {
    let mut in_flight = VecDeque::new();
    for (at, command) in commands.iter().enumerate() {
        let frame = frame(at + 1, command);
        while in_flight.iter().sum::<usize>() + frame.len() > window {
            port.wait_for("ok");
            in_flight.pop_front();
        }
        port.writer.write_all(frame.as_bytes()).unwrap();
        in_flight.push_back(frame.len());
    }
    in_flight.iter().for_each(|_| port.wait_for("ok"));
}

fn digest_of(commands: &[String]) -> LineDigest {
    let mut digest = LineDigest::new();
    commands.iter().for_each(|command| digest.add(command.as_bytes()));
    digest
}

#[test]
fn the_first_opening_gives_a_banner_and_a_later_one_finds_the_printer_as_it_was() {
    let board = PtyPrinter::open(PtyOptions::instant()).unwrap().spawn().unwrap();
    let mut port = Port::open(board.path());
    port.wait_for("start");
    port.writer.write_all(frame(1, "M104 S50").as_bytes()).unwrap();
    port.wait_for("ok");
    drop(port);
    let mut port = Port::open(board.path());
    port.writer.write_all(frame(1, "G90").as_bytes()).unwrap();
    port.wait_for("Resend: 2");
    port.wait_for("ok");
    board.control().reset();
    port.wait_for("start");
    drop(port);
    let run = board.finish().unwrap();
    assert_eq!(run.printer.executed().len(), 1);
    assert_eq!(run.report.statistics.resets, 2);
}

#[test]
fn a_byte_window_keeps_a_uart_busy_and_overruns_nothing() {
    let mut options = PtyOptions::uart(250_000);
    options.printer.planner_moves = 0;
    options.printer.bootloader_us = 0;
    options.printer.boot_us = 0;
    let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
    let mut port = Port::open(board.path());
    port.wait_for("start");
    let commands: Vec<_> = (0..400).map(|n| format!("G1 X{n}.125 Y100.25 E0.01234")).collect();
    stream(&mut port, &commands, 127);
    let run = board.finish().unwrap();
    assert_eq!(run.report.job_digest, digest_of(&commands));
    let statistics = &run.report.statistics;
    assert_eq!((statistics.rx_dropped, statistics.resends), (0, 0));
    assert_eq!(run.report.line_gaps.count, 399);
    let link_use = run.report.link_use.unwrap();
    assert!(link_use > 0.2 && link_use < 1.02, "{link_use}");
}

#[test]
fn an_instant_board_takes_a_whole_window_at_once() {
    let board = PtyPrinter::open(PtyOptions::instant()).unwrap().spawn().unwrap();
    let mut port = Port::open(board.path());
    port.wait_for("start");
    let commands: Vec<_> = (0..3_000).map(|n| format!("G1 X{n} F6000")).collect();
    stream(&mut port, &commands, 300);
    let run = board.finish().unwrap();
    assert_eq!(run.report.job_digest, digest_of(&commands));
    assert_eq!(run.report.statistics.rx_dropped, 0);
}
