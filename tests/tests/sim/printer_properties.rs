//! Properties of the simulated printer and of the wire over many seeds.

use spoolway_tests::printer::{Printer, PrinterFaults, PrinterOptions, SurvivorKind, survivors};
use spoolway_tests::rng::Rng;
use spoolway_tests::wire::{Lane, LaneFaults, LaneOptions};

const SECOND: u64 = 1_000_000;

/// A frame as a host would write it; reckoned here and nowhere else.
fn frame(number: u64, command: &str) -> String {
    let body = format!("N{number} {command}");
    let sum = body.bytes().fold(0u8, |sum, byte| sum ^ byte);
    format!("{body}*{sum}")
}

/// What a lossy wire lets through is found; an undamaged run has none.
#[test]
fn survivors_are_the_lines_nobody_wrote() {
    let mut found = Vec::new();
    for seed in 0..200 {
        let faults = LaneFaults { corrupt_bit: 0.003, lose: 0.003, ..LaneFaults::default() };
        let baud = Some(115_200);
        let mut down = Lane::new(LaneOptions { baud, faults, ..LaneOptions::default() }, seed);
        let mut printer = Printer::new(PrinterOptions::default(), seed);
        let frames: Vec<String> = (1..=60).map(|n| frame(n, &format!("G1 X{n}.5 Y2 F9000"))).collect();
        for line in &frames {
            down.send(0, format!("{line}\n").as_bytes());
        }
        while let Some((at_us, byte)) = down.pop(u64::MAX) {
            printer.receive(at_us, &[byte]);
        }
        printer.advance(100 * SECOND);
        let listed = survivors(frames.iter().map(String::as_bytes), printer.executed());
        let foreign = printer
            .executed()
            .iter()
            .filter(|line| !frames.iter().any(|frame| frame.as_bytes() == line.raw))
            .count();
        assert_eq!(listed.len(), foreign, "seed {seed}");
        found.extend(listed.into_iter().map(|survivor| survivor.kind));
    }
    assert!(found.contains(&SurvivorKind::Unnumbered), "{found:?}");
}

/// What one run of a faulty printer looks like from outside.
#[derive(Debug, PartialEq)]
struct Outcome {
    replies: Vec<(u64, Vec<u8>)>,
    executed: Vec<(Option<i64>, Vec<u8>, u64)>,
    counts: String,
}

/// Feeds the same bytes at the same times; `step_us` is how often the caller also looks in between.
fn run(seed: u64, step_us: Option<u64>) -> Outcome {
    let faults = PrinterFaults {
        lost_ok: 0.02,
        duplicated_ok: 0.02,
        garbled_reply: 0.02,
        delayed_reply: 0.05,
        delay_max_us: 20_000,
        stall: 0.05,
        stall_max_us: 30_000,
        spurious_resend: 0.01,
        brown_out: 0.003,
        ..PrinterFaults::default()
    };
    let options =
        PrinterOptions { faults, speed: 50.0, wait_interval_us: SECOND, ..PrinterOptions::default() };
    let mut printer = Printer::new(options, seed);
    let mut rng = Rng::new(seed ^ 0x5eed);
    let noise = LaneFaults { corrupt_byte: 0.001, lose: 0.001, ..LaneFaults::default() };
    let lane = LaneOptions { baud: Some(115_200), faults: noise, ..LaneOptions::default() };
    let mut down = Lane::new(lane, seed);
    let mut at_us = 0;
    let choices =
        ["G1 X10 F6000", "G1 X0 F3000", "M105", "G4 P20", "M114", "M104 S50", "M155 S1", "M109 S25"];
    let mut replies = Vec::new();
    let mut looked_us = 0;
    for n in 1..=120 {
        let line = frame(n, choices[rng.below(choices.len() as u64) as usize]) + "\n";
        down.send(at_us, line.as_bytes());
        at_us += rng.range(1_000..=40_000);
        while let Some((arrival_us, byte)) = down.pop(at_us) {
            while let Some(step_us) = step_us.filter(|step_us| looked_us + step_us <= arrival_us) {
                looked_us += step_us;
                printer.advance(looked_us);
                replies.extend(printer.take_output());
            }
            printer.receive(arrival_us, &[byte]);
        }
    }
    let end_us = at_us + 30 * SECOND;
    while let Some(step_us) = step_us.filter(|step_us| looked_us + step_us <= end_us) {
        looked_us += step_us;
        printer.advance(looked_us);
    }
    printer.advance(end_us);
    replies.extend(printer.take_output());
    let executed =
        printer.executed().iter().map(|line| (line.number, line.raw.clone(), line.at_us)).collect();
    Outcome { replies, executed, counts: format!("{:?}", printer.statistics()) }
}

#[test]
fn the_size_of_the_callers_steps_changes_nothing() {
    for seed in 0..60 {
        let whole = run(seed, None);
        assert!(whole.replies.len() > 100, "seed {seed}: {}", whole.counts);
        for step_us in [977, 10_000] {
            assert_eq!(whole, run(seed, Some(step_us)), "seed {seed}, steps of {step_us} us");
        }
    }
}

#[test]
fn following_the_wakes_equals_one_long_step() {
    for seed in 0..20 {
        let feed = |printer: &mut Printer| {
            for n in 1..=4 {
                printer.receive(n * 1_000, format!("{}\n", frame(n, "G1 X20 F1200")).as_bytes());
            }
        };
        let mut long = Printer::new(PrinterOptions::default(), seed);
        feed(&mut long);
        long.receive(20_000, b"M400\n");
        long.advance(60 * SECOND);
        let mut short = Printer::new(PrinterOptions::default(), seed);
        feed(&mut short);
        short.receive(20_000, b"M400\n");
        let mut wakes = 0;
        while let Some(wake_us) = short.next_wake_us().filter(|wake_us| *wake_us <= 60 * SECOND) {
            short.advance(wake_us);
            wakes += 1;
        }
        assert_eq!(long.take_output(), short.take_output(), "seed {seed}");
        assert!(wakes < 60, "{wakes} wakes for five lines");
    }
}

#[test]
fn a_wire_accounts_for_every_byte_and_keeps_its_order() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut some = |most: f64| if rng.chance(0.5) { rng.unit() * most } else { 0.0 };
        let faults = LaneFaults {
            corrupt_bit: some(0.1),
            corrupt_byte: some(0.1),
            lose: some(0.2),
            duplicate: some(0.2),
            insert: some(0.2),
        };
        let clean =
            faults.corrupt_bit + faults.corrupt_byte + faults.lose + faults.duplicate + faults.insert == 0.0;
        let options = LaneOptions {
            baud: Some(250_000),
            capacity: 500,
            chunk_max: 1 + seed as usize % 40,
            jitter_us: seed % 3_000,
            faults,
        };
        let mut lane = Lane::new(options, seed);
        let (mut now_us, mut last_us, mut written, mut read) = (0, 0, Vec::new(), Vec::new());
        for round in 0..100u8 {
            let bytes: Vec<u8> = (0..rng.below(60)).map(|at| round ^ at as u8).collect();
            let taken = lane.send(now_us, &bytes);
            written.extend_from_slice(&bytes[..taken]);
            now_us += rng.below(2_000);
            while let Some((at_us, byte)) = lane.pop(now_us) {
                assert!(at_us >= last_us && at_us <= now_us, "seed {seed}");
                last_us = at_us;
                read.push(byte);
            }
            if !clean && rng.chance(0.02) {
                lane.unplug();
                lane.send(now_us, b"lost");
                lane.replug(now_us);
            }
        }
        read.extend(lane.deliver(u64::MAX));
        let counts = lane.counts();
        let arrived = counts.delivered + lane.pending() as u64;
        let left = counts.sent + counts.duplicated + counts.inserted - counts.lost - counts.unplugged;
        assert_eq!(arrived, left, "seed {seed}: {counts:?}");
        assert_eq!(counts.delivered, read.len() as u64);
        if clean {
            assert_eq!(read, written, "seed {seed}");
        }
    }
}

#[test]
fn a_byte_takes_ten_bit_times() {
    let mut lane = Lane::new(LaneOptions { baud: Some(100_000), ..LaneOptions::default() }, 0);
    lane.send(50, b"ab");
    assert_eq!((lane.pop(149), lane.next_delivery_us()), (None, Some(150)));
    assert_eq!((lane.pop(1_000), lane.pop(1_000)), (Some((150, b'a')), Some((250, b'b'))));
}
