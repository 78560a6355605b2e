//! A firmware that does not check the sequence of numbers is never guessed about.

use spoolway_agent_core::gcode::Position;
use spoolway_agent_core::stream::{Doubt, Ending, Event, TurnError};

use crate::talk::{Talk, framed};

const JOB: [&str; 4] = ["G1 X1", "G1 X2", "G1 X3", "G1 X4"];

fn at(line: u64) -> Position {
    Position { line, byte: 0, layer: 0 }
}

/// Two lines of which no reply has come.
fn in_doubt() -> Talk {
    let (mut talk, first) = Talk::printing_unverified(&JOB, 2);
    assert_eq!(first, [framed(1001, "G1 X1"), framed(1002, "G1 X2")]);
    assert_eq!(talk.ms(10_000), [""; 0], "nothing is sent that was not asked for");
    let doubt = Event::InDoubt { first: 1001, last: 1002, from: at(1), to: at(2) };
    assert!(talk.events.contains(&doubt), "{:?}", talk.events);
    assert_eq!(talk.ms(3_600_000), [""; 0], "it waits for a person");
    talk
}

#[test]
fn nothing_goes_on_before_a_person_has_spoken() {
    let mut talk = in_doubt();
    assert_eq!(talk.streamer.resume(talk.now, None), Err(TurnError::InDoubt));
    assert_eq!(talk.streamer.send_aside(b"M105"), Err(TurnError::InDoubt));
    assert_eq!(talk.hear(), [""; 0]);
}

#[test]
fn lines_that_were_executed_are_not_sent_again() {
    let mut talk = in_doubt();
    talk.streamer.resume(talk.now, Some(Doubt::Executed)).unwrap();
    assert_eq!(talk.hear(), [framed(1003, "G1 X3"), framed(1004, "G1 X4")]);
    talk.say("ok\nok\n");
    assert!(talk.events.contains(&Event::Ended(Ending::Completed)));
    assert_eq!(talk.streamer.progress().commands, 4);
}

#[test]
fn lines_that_were_lost_are_sent_again_as_they_were() {
    let mut talk = in_doubt();
    talk.streamer.resume(talk.now, Some(Doubt::Lost)).unwrap();
    assert_eq!(talk.hear(), [framed(1001, "G1 X1"), framed(1002, "G1 X2")]);
    assert_eq!(talk.say("ok\n"), [framed(1003, "G1 X3")]);
}

#[test]
fn replies_that_come_after_all_end_the_doubt_and_nothing_moves_by_itself() {
    let mut talk = in_doubt();
    assert_eq!(talk.say("ok\n"), [""; 0]);
    assert!(talk.streamer.is_in_doubt());
    assert_eq!(talk.say("ok\n"), [""; 0]);
    assert!(!talk.streamer.is_in_doubt() && talk.events.contains(&Event::DoubtResolved));
    assert_eq!(talk.ms(60_000), [""; 0], "the job is still paused");
    talk.streamer.resume(talk.now, None).unwrap();
    assert_eq!(talk.hear(), [framed(1003, "G1 X3"), framed(1004, "G1 X4")]);
}

#[test]
fn a_job_in_doubt_can_be_cancelled() {
    let mut talk = in_doubt();
    talk.streamer.cancel().unwrap();
    let said = talk.hear();
    assert!(said.contains(&framed(1003, "M104 S0")), "{said:?}");
    assert_eq!(talk.streamer.progress().commands, 0, "what nobody knows of is no progress");
}

#[test]
fn a_single_line_that_is_asked_for_again_is_in_no_doubt() {
    let (mut talk, first) = Talk::printing_unverified(&JOB, 1);
    assert_eq!(first, [framed(1001, "G1 X1")]);
    // The number itself may have been what was damaged.
    talk.say("rs N7001 Expected checksum 12\nok\n");
    assert_eq!(talk.ms(30), [framed(1001, "G1 X1")]);
    talk.say("ok\n");
    assert_eq!(talk.ms(30), [framed(1002, "G1 X2")]);
}

#[test]
fn a_request_with_more_lines_behind_it_is_in_doubt() {
    let (mut talk, _) = Talk::printing_unverified(&JOB, 2);
    talk.say("rs N1001 Expected checksum 12\nok\n");
    assert!(talk.streamer.is_in_doubt(), "the second may have been carried out without the first");
    assert_eq!(talk.ms(60_000), [""; 0]);
}

#[test]
fn a_firmware_that_counts_lines_after_all_is_believed_when_it_insists() {
    let (mut talk, _) = Talk::printing_unverified(&JOB, 1);
    talk.say("ok\n");
    // The reply to a line was lost, and the firmware has it.
    for _ in 0..2 {
        talk.say("Resend: 1003\nok\n");
        assert_eq!(talk.ms(30), [framed(1002, "G1 X2")], "once may be damage");
    }
    talk.say("Resend: 1003\nok\n");
    assert_eq!(talk.ms(30), [framed(1003, "G1 X3")]);
}

#[test]
fn a_request_for_a_line_that_counted_as_acknowledged_is_in_doubt() {
    let (mut talk, _) = Talk::printing_unverified(&JOB, 1);
    assert_eq!(talk.say("ok\n"), [framed(1002, "G1 X2")]);
    // That reply may have been a doubled one, or the number of this request is damaged.
    talk.say("rs N1001 Expected checksum 12\nok\n");
    assert!(talk.events.contains(&Event::InDoubt { first: 1001, last: 1002, from: at(1), to: at(2) }));
    assert_eq!((talk.ms(60_000), talk.streamer.progress().commands), (vec![], 0));
    talk.streamer.resume(talk.now, Some(Doubt::Lost)).unwrap();
    assert_eq!(talk.hear(), [framed(1001, "G1 X1")]);
    assert_eq!(talk.say("ok\n"), [framed(1002, "G1 X2")]);
}

#[test]
fn what_waited_for_a_line_in_doubt_has_its_answer() {
    let mut talk = Talk::with(|options| {
        options.verified = false;
        options.reach.lines = 1;
        options.host_waits = Some(b"M105".to_vec());
    });
    talk.begin_unverified(&["M109 S210", "G1 X1"]);
    assert_eq!(talk.ms(30), [framed(1001, "M104 S210")]);
    talk.ms(10_000);
    assert!(talk.streamer.is_in_doubt());
    talk.streamer.resume(talk.now, Some(Doubt::Executed)).unwrap();
    assert_eq!(talk.hear(), [framed(1002, "M105")], "the heater is waited for");
    talk.say("ok T:210 /210 B:20 /0\n");
    talk.say(" T:210 /210 B:20 /0\n");
    assert_eq!(talk.ms(3_000), [framed(1003, "G1 X1")]);
}

#[test]
fn a_persons_command_in_doubt_is_told_when_it_was_carried_out() {
    let (mut talk, _) = Talk::printing_unverified(&JOB, 1);
    talk.streamer.send_aside(b"M119").unwrap();
    assert_eq!(talk.say("ok\n"), [framed(1002, "M119")]);
    talk.ms(10_000);
    talk.streamer.resume(talk.now, Some(Doubt::Executed)).unwrap();
    talk.hear();
    assert!(talk.events.contains(&Event::Aside("M119".to_owned())));
}

#[test]
fn a_line_that_lost_its_number_is_sent_again_and_so_is_the_setting_of_the_counter() {
    let (mut talk, first) = Talk::printing_unverified(&["G1 X1", "G1 X2"], 1);
    assert_eq!(first, [framed(1001, "G1 X1")]);
    assert_eq!(talk.say("echo:Unknown command: \"1001 G1 X1\"\nok\n"), [""; 0]);
    assert_eq!(talk.ms(30), [framed(1001, "G1 X1")]);
    talk.say("ok\n");
    assert_eq!(talk.ms(30), [framed(1002, "G1 X2")]);
    assert_eq!(
        talk.say("echo:Unknown command: \"M73 P1002 R5\"\n"),
        [""; 0],
        "this one is not about the line"
    );
    talk.say("ok\n");
    assert_eq!(talk.ms(10_000), [""; 0]);

    let mut talk = Talk::with(|options| options.verified = false);
    assert_eq!(talk.hear(), [framed(1000, "M110 N1000")]);
    talk.say("echo:Unknown command: \"1000 M110 N1000\"\nok\n");
    assert_eq!(talk.ms(30), [framed(1000, "M110 N1000")]);
}

#[test]
fn a_request_for_a_line_of_the_job_before_takes_nothing_from_the_next_one() {
    let (mut talk, _) = Talk::printing_unverified(&["G1 X1"], 1);
    talk.say("ok\n");
    assert!(talk.events.contains(&Event::Ended(Ending::Completed)));
    talk.streamer.send_aside(b"M105").unwrap();
    assert_eq!(talk.hear(), [framed(1002, "M105")]);
    talk.streamer.begin_job().unwrap();
    talk.say("Resend: 1001\n");
    assert_eq!(talk.streamer.progress().commands, 0);
}
