//! Lines flow, are refused and sent again; jobs begin, pause and end.

use spoolway_agent_core::stream::{Ending, Event, Output, StopReason, StreamOptions};

use crate::talk::{PROBE, Talk, framed, moves, refs};

#[test]
fn the_counter_is_set_alone_and_proven_before_anything_else() {
    let mut talk = Talk::with(|_| ());
    talk.synchronise();
    assert_eq!(talk.events, []);
    talk.ms(30);
    assert_eq!(talk.events, [Event::Synchronised]);
}

/// A bootloader or the host before may have left it in the firmware's buffer.
#[test]
fn half_a_line_of_somebody_else_is_ended_before_ours_begins() {
    let mut talk = Talk::with(|_| ());
    let Output::Write(bytes) = talk.streamer.poll_output(talk.now) else { panic!("nothing is written") };
    assert_eq!(String::from_utf8(bytes).unwrap(), format!("\n{}\n", framed(1000, "M110 N1000")));
}

#[test]
fn a_refusal_that_names_another_number_sets_the_counter_again() {
    let mut talk = Talk::with(|_| ());
    talk.hear();
    talk.say("ok\n");
    assert_eq!(talk.ms(30), [PROBE]);
    talk.refuse(17);
    assert_eq!(talk.ms(30), [framed(1000, "M110 N1000")]);
}

#[test]
fn unacknowledged_bytes_never_reach_the_ring_and_each_ok_lets_one_line_follow() {
    let commands = moves(40);
    let (mut talk, first) = Talk::printing(&refs(&commands));
    let bytes: usize = first.iter().map(|line| line.len() + 1).sum();
    let next = framed(1001 + first.len() as u32, &commands[first.len()]).len() + 1;
    assert!(bytes <= 127 && bytes + next > 127, "{bytes} bytes are on their way");
    let mut written = first;
    while written.len() < commands.len() {
        let more = talk.say("ok\n");
        assert!(talk.streamer.bytes_in_flight() <= 127);
        written.extend(more);
    }
    let expected: Vec<_> =
        commands.iter().enumerate().map(|(n, command)| framed(1001 + n as u32, command)).collect();
    assert_eq!(written, expected);
}

#[test]
fn a_job_ends_when_the_firmware_has_proven_that_it_has_the_last_line() {
    let (mut talk, first) = Talk::printing(&["G28", "G1 X1"]);
    assert_eq!(first, [framed(1001, "G28")], "nothing follows a command that blocks");
    assert_eq!(talk.say("ok\n"), [framed(1002, "G1 X1")]);
    assert_eq!(talk.say("ok\n"), [PROBE]);
    assert!(!talk.events.contains(&Event::Ended(Ending::Completed)));
    talk.refuse(1003);
    talk.ms(30);
    assert!(talk.events.contains(&Event::Ended(Ending::Completed)));
    assert_eq!(talk.streamer.progress().commands, 2);
}

#[test]
fn a_last_line_that_was_only_acknowledged_by_mistake_is_sent_again() {
    // The `N` of the line was damaged: an unknown command, acknowledged and never carried out.
    let (mut talk, _) = Talk::printing(&["G1 X1"]);
    assert_eq!(talk.say("echo:Unknown command: \"O1001 G1 X1\"\nok\n"), [PROBE]);
    talk.refuse(1001);
    assert_eq!(talk.streamer.progress().commands, 0);
    assert_eq!(talk.ms(30), [framed(1001, "G1 X1")]);
    talk.say("ok\n");
    assert_eq!(talk.ms(30), [PROBE]);
    talk.refuse(1002);
    talk.ms(30);
    assert!(talk.events.contains(&Event::Ended(Ending::Completed)));
}

#[test]
fn after_a_request_the_line_goes_alone_and_replies_are_counted_exactly() {
    let commands = moves(12);
    let (mut talk, first) = Talk::printing(&refs(&commands));
    assert_eq!(first.len(), 4);
    // The third was damaged. The first two were accepted and are acknowledged later; the request has an `ok` of its own.
    assert_eq!(talk.refuse(1003), [""; 0]);
    assert_eq!(talk.ms(30), [framed(1003, &commands[2])]);
    assert_eq!(talk.say("ok\n"), [""; 0]);
    assert_eq!(talk.say("ok\n"), [""; 0]);
    assert_eq!(talk.streamer.progress().commands, 2);
    assert_eq!(talk.say("ok\n"), [""; 0], "its own has come; the window opens when replies have settled");
    let more = talk.ms(30);
    assert_eq!(more[0], framed(1004, &commands[3]));
    assert_eq!(more.len(), 4);
    assert_eq!(talk.streamer.stats().job_refusals, 1);
}

#[test]
fn repeated_requests_from_lines_still_in_flight_bring_one_repetition() {
    let commands = moves(12);
    let (mut talk, _) = Talk::printing(&refs(&commands));
    for _ in 0..3 {
        assert_eq!(talk.refuse(1001), [""; 0]);
        assert_eq!(talk.ms(5), [""; 0]);
    }
    assert_eq!(talk.ms(30), [framed(1001, &commands[0])]);
    assert_eq!(talk.streamer.stats().job_refusals, 1);
}

#[test]
fn a_lost_ok_is_found_by_wait_and_nothing_is_sent_twice() {
    let (mut talk, _) = Talk::printing(&["G1 X1", "G1 X2", "G1 X3"]);
    talk.say("ok\nok\n");
    talk.ms(600);
    assert_eq!(talk.say("wait\n"), [PROBE]);
    talk.refuse(1004);
    talk.ms(30);
    assert_eq!(talk.streamer.progress().commands, 3);
    assert!(talk.events.contains(&Event::Ended(Ending::Completed)), "the verdict is the proof as well");
}

#[test]
fn a_lost_line_is_found_by_silence_and_sent_again_under_its_number() {
    let (mut talk, _) = Talk::printing(&["G1 X1"]);
    assert_eq!(talk.ms(9_000), [""; 0]);
    assert_eq!(talk.ms(1_000), [PROBE]);
    talk.refuse(1001);
    assert_eq!(talk.ms(30), [framed(1001, "G1 X1")]);
}

#[test]
fn busy_is_patience_and_silence_is_not_endless() {
    let (mut talk, _) = Talk::printing(&["G29"]);
    for _ in 0..200 {
        assert_eq!(talk.ms(2_000), [""; 0]);
        talk.say("echo:busy: processing\n");
    }
    let mut probes = 0;
    while talk.streamer.stopped().is_none() {
        probes += talk.ms(1_000).len();
        assert!(probes < 100, "it gives up");
    }
    assert_eq!(talk.stopped(), &StopReason::Silent { probes: 15 });
    assert_eq!(probes, 15);
}

#[test]
fn a_restart_in_the_middle_of_a_job_ends_it() {
    let (mut talk, _) = Talk::printing(&refs(&moves(12)));
    talk.say("ok\n");
    assert_eq!(talk.say("start\n"), [""; 0]);
    assert_eq!(talk.stopped(), &StopReason::Restarted);
    assert_eq!(talk.ms(100_000), [""; 0], "nothing more is sent");
}

#[test]
fn a_damaged_request_is_asked_about_and_a_reset_is_believed_when_it_is_repeated() {
    let (mut talk, first) = Talk::printing(&refs(&moves(12)));
    // Only the number is damaged: the two do not agree.
    talk.say("Error:checksum mismatch, Last Line: 1000\nResend: 1003\nok\n");
    assert_eq!(talk.ms(30), [PROBE]);
    talk.refuse(1001);
    assert_eq!(talk.ms(30), [first[0].clone()]);
    // A firmware that was reset always asks for the same.
    for _ in 0..2 {
        talk.refuse(1);
        assert_eq!(talk.ms(30), [PROBE]);
    }
    talk.refuse(1);
    assert_eq!(talk.stopped(), &StopReason::Desynchronised { asked: 1 });
}

#[test]
fn one_line_is_not_refused_for_ever() {
    let (mut talk, _) = Talk::printing(&["G1 X1"]);
    let mut times = 0;
    while talk.streamer.stopped().is_none() {
        talk.refuse(1001);
        talk.ms(30);
        times += 1;
        assert!(times < 100);
    }
    assert!(matches!(talk.stopped(), StopReason::TooManyRefusals { number: 1001, times: 11 }));
}

#[test]
fn a_reset_while_idle_begins_the_conversation_again() {
    let mut talk = Talk::with(|_| ());
    talk.synchronise();
    talk.ms(30);
    talk.say("start\n");
    assert_eq!(talk.events, [Event::Synchronised, Event::Restarted]);
}

#[test]
fn pause_sends_nothing_more_and_resume_goes_on_where_it_stood() {
    let commands = moves(12);
    let (mut talk, first) = Talk::printing_with(&refs(&commands), |options| {
        options.scripts.pause = vec![b"M117 held".to_vec()];
        options.scripts.resume = vec![b"M117 on".to_vec()];
    });
    talk.streamer.pause().unwrap();
    let mut after = Vec::new();
    for _ in &first {
        after.extend(talk.say("ok\n"));
    }
    // The script, and nothing of the job.
    assert_eq!(after, [framed(1005, "M117 held")]);
    talk.say("ok\n");
    assert!(talk.events.contains(&Event::Paused));
    assert_eq!(talk.ms(60_000), [""; 0]);
    talk.streamer.resume(talk.now, None).unwrap();
    assert_eq!(talk.hear()[..2], [framed(1006, "M117 on"), framed(1007, &commands[4])]);
}

#[test]
fn cancel_breaks_the_wait_for_a_heater_and_makes_the_machine_safe() {
    let (mut talk, first) = Talk::printing(&["M109 S210", "G1 X1", "G1 X2"]);
    assert_eq!(first, [framed(1001, "M109 S210")]);
    talk.streamer.cancel().unwrap();
    assert_eq!(talk.hear(), ["M108"]);
    let script = talk.say("ok\nok\n");
    let expected = ["M104 S0", "M140 S0", "M107", "M84"];
    let expected: Vec<_> = (1002..).zip(expected).map(|(number, command)| framed(number, command)).collect();
    assert_eq!(script, expected);
    assert_eq!(talk.say("ok\nok\nok\nok\n"), [PROBE]);
    talk.refuse(1006);
    talk.ms(30);
    assert!(talk.events.contains(&Event::Ended(Ending::Cancelled)));
}

#[test]
fn cancel_cools_every_hot_end_that_the_firmware_names() {
    let cooled = |change: fn(&mut StreamOptions), report: &str| {
        let (mut talk, _) = Talk::printing_with(&["G1 X1"], change);
        talk.say(report);
        talk.say("ok\n");
        let script = talk.streamer.cancel_script().into_iter().map(|line| String::from_utf8(line).unwrap());
        script.filter(|line| line.starts_with("M104")).collect::<Vec<_>>()
    };
    let one = " T:20.0 /0.0 B:60.0 /60.0 @:0\n";
    let two = " T:20.0 /0.0 B:60.0 /60.0 T0:20.0 /0.0 T1:210.0 /210.0 @:0\n";
    assert_eq!(cooled(|_| (), one), ["M104 S0"]);
    assert_eq!(cooled(|_| (), two), ["M104 S0", "M104 T0 S0", "M104 T1 S0"]);
    assert_eq!(cooled(|options| options.hot_ends = 2, one), ["M104 S0", "M104 T0 S0", "M104 T1 S0"]);
}

#[test]
fn the_emergency_stop_goes_ahead_of_everything_and_is_the_last_word() {
    let (mut talk, _) = Talk::printing(&refs(&moves(12)));
    talk.streamer.emergency_stop();
    let written = talk.hear();
    assert_eq!(written[0], "M112");
    assert_eq!(talk.stopped(), &StopReason::EmergencyStop);
    assert_eq!(talk.say("ok\nok\nok\n"), [""; 0]);
}

#[test]
fn numbering_begins_anew_only_when_nothing_is_on_its_way_and_everything_is_proven() {
    let commands = moves(8);
    let (mut talk, first) = Talk::printing_with(&refs(&commands), |options| options.max_line_number = 1005);
    assert_eq!(first.len(), 4, "lines 1001 to 1004");
    assert_eq!(talk.say("ok\nok\nok\n"), [""; 0]);
    assert_eq!(talk.say("ok\n"), [PROBE]);
    assert_eq!(talk.refuse(1005), [""; 0]);
    assert_eq!(talk.ms(30), [framed(1000, "M110 N1000")]);
    talk.say("ok\n");
    assert_eq!(talk.ms(30), [PROBE]);
    talk.refuse(1001);
    assert_eq!(talk.ms(30)[0], framed(1001, &commands[4]));
}
