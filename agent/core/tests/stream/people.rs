//! What people do to a print: pause with the head away, single commands, prompts, long absences, feed hold.

use spoolway_agent_core::stream::{Event, Signal, TurnError};

use crate::talk::{PROBE, Talk, framed, moves, refs};

#[test]
fn the_head_is_parked_behind_the_pause_and_brought_back() {
    let job = ["G90", "M83", "G92 E0", "G1 X10 Y20 Z0.4 E1 F1800", "G1 X11", "G1 X12"];
    let (mut talk, first) = Talk::printing_with(&job, |options| {
        options.scripts.park = vec!["G91".into(), "G1 Z5 F600".into(), "G90".into()];
        options.scripts.unpark = ["G90", "G1 X{x} Y{y} Z{z} F3000", "{positioning}", "{extruder}", "G1 F{f}"]
            .map(str::to_owned)
            .to_vec();
    });
    assert_eq!(first.len(), 6);
    talk.streamer.pause().unwrap();
    let mut said = talk.hear();
    for _ in 0..6 {
        said.extend(talk.say("ok\n"));
    }
    let parked: Vec<_> = said.iter().skip_while(|line| !line.contains("G91")).cloned().collect();
    let number = 1007;
    assert_eq!(parked, [framed(number, "G91"), framed(number + 1, "G1 Z5 F600"), framed(number + 2, "G90")]);
    talk.say("ok\nok\nok\n");
    assert!(talk.events.contains(&Event::Paused));
    talk.streamer.resume(talk.now, None).unwrap();
    let mut back = talk.hear();
    for _ in 0..4 {
        back.extend(talk.say("ok\n"));
    }
    let expected = ["G90", "G1 X12 Y20 Z0.4 F3000", "G90", "M83", "G1 F1800"];
    let expected: Vec<_> = (1010..).zip(expected).map(|(number, line)| framed(number, line)).collect();
    assert_eq!(back, expected);
}

#[test]
fn where_the_head_is_unknown_it_stays() {
    let (mut talk, first) = Talk::printing_with(&["M83", "G1 X1 F1800"], |options| {
        options.scripts.park = vec!["G1 Z5".into()];
        options.scripts.unpark = vec!["G1 X{x} Y{y}".into()];
    });
    assert_eq!(first.len(), 2);
    talk.streamer.pause().unwrap();
    assert_eq!(talk.say("ok\nok\n"), [""; 0]);
    assert!(talk.events.contains(&Event::Paused));
}

#[test]
fn a_persons_command_goes_ahead_of_the_job_and_is_told_when_it_is_done() {
    let commands = moves(20);
    let (mut talk, first) = Talk::printing(&refs(&commands));
    talk.streamer.send_aside(b"M119").unwrap();
    let said = talk.say("ok\n");
    assert_eq!(said[0], framed(1000 + first.len() as u32 + 1, "M119"));
    for _ in 0..first.len() {
        talk.say("ok\n");
    }
    assert!(talk.events.contains(&Event::Aside("M119".to_owned())));
    assert_eq!(talk.streamer.send_aside(&[b'X'; 96]), Err(TurnError::TooLong));
    while talk.streamer.send_aside(b"M114").is_ok() {}
    assert_eq!(talk.streamer.send_aside(b"M114"), Err(TurnError::Busy));
}

#[test]
fn an_idle_printer_takes_a_command_as_well() {
    let mut talk = Talk::with(|_| ());
    talk.synchronise();
    talk.ms(30);
    talk.streamer.send_aside(b"M503").unwrap();
    assert_eq!(talk.hear(), [framed(1001, "M503")]);
    talk.say("echo:; settings\nok\n");
    assert!(talk.events.contains(&Event::Aside("M503".to_owned())));
}

#[test]
fn a_command_that_has_not_gone_out_can_be_taken_back() {
    let mut talk = Talk::with(|_| ());
    talk.streamer.send_asides(&[b"M105", b"M104 S200"]).unwrap();
    assert!(!talk.streamer.withdraw_asides(&[b"M104 S200", b"M105"]), "these were never asked for");
    assert!(talk.streamer.withdraw_asides(&[b"M105", b"M104 S200"]));
    assert!(!talk.streamer.withdraw_asides(&[b"M105", b"M104 S200"]));
    talk.synchronise();
    talk.ms(30);
    assert_eq!(talk.hear(), [""; 0]);
    talk.streamer.send_aside(b"M119").unwrap();
    assert_eq!(talk.hear(), [framed(1001, "M119")]);
    assert!(!talk.streamer.withdraw_asides(&[b"M119"]), "it is on its way");
}

#[test]
fn a_counter_that_nobody_proves_is_told_once_and_tried_on() {
    let mut talk = Talk::with(|_| ());
    for _ in 0..20 {
        talk.say("ok\n");
        talk.ms(6_000);
    }
    assert_eq!(talk.events.iter().filter(|event| **event == Event::Unproven { tries: 3 }).count(), 1);
    assert!(!talk.events.contains(&Event::Synchronised));
}

#[test]
fn a_prompt_is_answered_ahead_of_everything_that_waits() {
    let (mut talk, first) = Talk::printing_with(&["M600", "G1 X1"], |options| {
        options.prompt_reply = Some("M876 S{choice}".into());
    });
    assert_eq!(first, [framed(1001, "M600")]);
    talk.say("//action:prompt_begin Filament\n//action:prompt_show\n");
    talk.streamer.answer_prompt(talk.now, 1).unwrap();
    assert_eq!(talk.hear(), [framed(1002, "M876 S1")]);
    assert_eq!(talk.say("ok\nok\n"), [framed(1003, "G1 X1")]);
    let mut without = Talk::with(|options| options.prompt_reply = None);
    assert_eq!(without.streamer.answer_prompt(without.now, 0), Err(TurnError::NoPrompts));
}

#[test]
fn a_change_of_filament_may_take_the_night_without_a_word() {
    let (mut talk, _) = Talk::printing(&["M600", "G1 X1"]);
    assert_eq!(talk.ms(150_000), [PROBE], "its reply may have been lost");
    assert_eq!(talk.ms(12 * 3_600_000), [""; 0], "asking again would only fill the ring");
    assert_eq!(talk.streamer.stopped(), None);
    talk.say("ok\n");
    talk.refuse(1002);
    assert_eq!(talk.ms(30), [framed(1002, "G1 X1")]);
}

#[test]
fn a_runout_that_the_firmware_tells_of_is_waited_for_as_long() {
    let (mut talk, first) = Talk::printing(&["G1 X1", "G1 X2", "G1 X3"]);
    assert_eq!(first.len(), 3);
    talk.say("//action:out_of_filament T0\n");
    assert_eq!(talk.ms(150_000), [PROBE]);
    assert_eq!(talk.ms(12 * 3_600_000), [""; 0]);
    assert_eq!(talk.streamer.stopped(), None);
}

#[test]
fn a_feed_hold_acts_at_once_and_nothing_on_its_way_is_lost() {
    let (mut talk, first) = Talk::printing_with(&["G1 X1", "G1 X2", "G1 X3"], |options| {
        options.hold = Some((Signal::Byte(b'!'), Signal::Byte(b'~')));
    });
    assert_eq!(first.len(), 3);
    talk.streamer.pause().unwrap();
    assert_eq!(talk.hear(), ["!"]);
    assert!(talk.events.contains(&Event::Paused));
    assert_eq!(talk.ms(3_600_000), [""; 0], "a machine that is held owes no replies");
    talk.streamer.resume(talk.now, None).unwrap();
    assert_eq!(talk.hear(), ["~"]);
    talk.say("ok\nok\n");
    assert_eq!(talk.streamer.progress().commands, 2);
}

#[test]
fn a_realtime_stop_is_one_byte() {
    let (mut talk, _) = Talk::printing_with(&["G1 X1"], |options| options.stop = Some(Signal::Byte(0x18)));
    talk.streamer.emergency_stop();
    assert_eq!(talk.hear(), ["\u{18}"]);
}
