//! How much is on its way under each rule, and how it shrinks.

use spoolway_agent_core::stream::{Event, InForce, Output, StreamOptions};
use spoolway_firmware_profiles::Window;

use crate::talk::{Talk, framed, moves, refs};

fn advanced(options: &mut StreamOptions) {
    options.reach.rule = Window::AdvancedOk;
    options.numbered_acks = true;
}

fn bytes(lines: &[String]) -> usize {
    lines.iter().map(|line| line.len() + 1).sum()
}

#[test]
fn lines_in_a_known_queue_are_not_counted_against_the_ring() {
    let commands = moves(40);
    let (mut talk, first) = Talk::printing_with(&refs(&commands), |options| {
        options.reach.rule = Window::BytesAndQueue;
        options.reach.queue = 4;
    });
    let in_ring = bytes(&first[4..]);
    let next = framed(1001 + first.len() as u32, &commands[first.len()]).len() + 1;
    assert!(in_ring <= 127 && in_ring + next > 127, "{in_ring} bytes may lie in the ring");
    // One acknowledged line lets the oldest of the ring into the queue.
    let more = talk.say("ok\n");
    assert!(!more.is_empty());
    let all: Vec<_> = first.iter().chain(&more).cloned().collect();
    assert!(bytes(&all[5..]) <= 127);
    assert_eq!(talk.streamer.window_in_force().queue_lines, 4);
}

#[test]
fn a_refusal_takes_the_wide_window_away_for_good() {
    let commands = moves(60);
    let (mut talk, first) = Talk::printing_with(&refs(&commands), |options| {
        options.reach.rule = Window::BytesAndQueue;
        options.reach.queue = 4;
    });
    assert!(first.len() > 6);
    talk.refuse(1001);
    assert_eq!(talk.ms(30), [framed(1001, &commands[0])]);
    talk.say("ok\n");
    let more = talk.ms(30);
    assert!(bytes(&more) <= 127, "{more:?}");
    let now = InForce { rule: "bytes-and-queue", bytes: 127, lines: 32, queue_lines: 0, narrowed: 1 };
    assert!(talk.events.contains(&Event::Reached(now)));
}

#[test]
fn credit_that_the_firmware_reports_widens_the_window() {
    let commands = moves(60);
    let (mut talk, first) = Talk::printing_with(&refs(&commands), advanced);
    assert!(bytes(&first) <= 127);
    let mut written = first;
    for number in 1001..1006 {
        written.extend(talk.say(&format!("ok N{number} P15 B3\n")));
    }
    let in_flight = &written[5..];
    assert!(bytes(in_flight) > 127 + 40, "{in_flight:?}");
    assert!(bytes(&in_flight[4..]) <= 127, "{in_flight:?}");
    assert_eq!(talk.streamer.window_in_force().queue_lines, 4);
}

#[test]
fn a_firmware_that_says_that_bytes_were_lost_gets_fewer() {
    let commands = moves(60);
    let (mut talk, first) = Talk::printing_with(&refs(&commands), |options| {
        options.replies.overrun = vec!["Full RX Buffer".to_owned()];
    });
    assert_eq!(first.len(), 4);
    talk.say("echo:Full RX Buffer\n");
    assert_eq!(talk.streamer.window_in_force().bytes, 63);
    assert_eq!(talk.say("ok\nok\n"), [""; 0], "two lines of about thirty bytes are enough");
    assert_eq!(talk.say("ok\n").len(), 1);
    talk.say("echo:Full RX Buffer\n");
    assert_eq!(talk.streamer.window_in_force().lines, 1);
    assert_eq!(talk.say("ok\n"), [""; 0]);
    assert_eq!(talk.say("ok\n").len(), 1);
}

#[test]
fn usb_holds_the_sender_back_and_only_lines_are_counted() {
    let commands = moves(60);
    let (_, first) = Talk::printing_with(&refs(&commands), |options| {
        options.reach.rule = Window::UsbBackPressure;
        (options.reach.bytes, options.reach.lines) = (1 << 16, 9);
    });
    assert_eq!(first.len(), 9);
}

#[test]
fn a_number_that_old_firmwares_put_on_their_acknowledgements_is_not_believed() {
    // They name the line that they received last, not the one that they acknowledge.
    let commands = moves(60);
    let (mut talk, first) = Talk::printing_with(&refs(&commands), advanced);
    let received = 1000 + first.len() as u32;
    assert_eq!(talk.say(&format!("ok N{received} P15 B0\n")).len(), 1);
    assert_eq!(talk.streamer.progress().commands, 1);
}

#[test]
fn a_number_that_skips_a_lost_acknowledgement_is_believed_once_numbers_were_exact() {
    let commands = moves(60);
    let (mut talk, _) = Talk::printing_with(&refs(&commands), advanced);
    for number in 1001..1011 {
        talk.say(&format!("ok N{number} P15 B0\n"));
    }
    assert_eq!(talk.streamer.progress().commands, 10);
    talk.say("ok N1012 P15 B0\n");
    assert_eq!(talk.streamer.progress().commands, 12);
    talk.say("ok N1012 P15 B0\n");
    assert_eq!(talk.streamer.progress().commands, 12, "it was said twice");
}

#[test]
fn what_the_window_allows_goes_out_at_once_but_in_pieces_that_the_firmware_can_begin_with() {
    let commands = moves(60);
    let (mut talk, first) = Talk::printing_with(&refs(&commands), |options| {
        (options.reach.rule, options.reach.lines) = (Window::UsbBackPressure, 10);
        options.reach.bytes = 10_000;
    });
    assert_eq!(first.len(), 10);
    talk.streamer.handle_bytes(talk.now, &b"ok\n".repeat(10));
    let mut pieces = Vec::new();
    while let Output::Write(bytes) = talk.streamer.poll_output(talk.now) {
        pieces.push(bytes.iter().filter(|byte| **byte == b'\n').count());
    }
    assert_eq!(pieces, [4, 4, 2]);
}
