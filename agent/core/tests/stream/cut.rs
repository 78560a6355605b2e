//! Waits of the firmware that are broken, for a pause or for good.

use spoolway_agent_core::stream::{Ending, Event};

use crate::talk::{PROBE, Talk, framed};

/// Sets the counter anew in the middle of a job, after the last line was proven.
fn begin_anew(talk: &mut Talk, expected: u32) {
    assert_eq!(talk.hear(), [""; 0]);
    talk.refuse(expected);
    assert_eq!(talk.ms(30), [framed(1000, "M110 N1000")]);
    talk.say("ok\n");
    assert_eq!(talk.ms(30), [PROBE]);
    talk.refuse(1001);
}

#[test]
fn a_pause_breaks_the_wait_for_a_heater_and_the_wait_begins_anew_when_the_job_goes_on() {
    let (mut talk, first) = Talk::printing_with(&["M109 S210", "G1 X1"], |options| {
        options.scripts.pause = vec![b"M117 held".to_vec()];
        options.scripts.resume = vec![b"M117 on".to_vec()];
    });
    assert_eq!(first, [framed(1001, "M109 S210")]);
    talk.streamer.pause().unwrap();
    assert_eq!(talk.hear(), ["M108"]);
    // One for the wait, and one for what broke it, which must not count for a line that comes later.
    assert_eq!(talk.say("ok\n"), [PROBE]);
    talk.say("ok\n");
    begin_anew(&mut talk, 1002);
    assert_eq!(talk.ms(30), [framed(1001, "M117 held")]);
    assert!(!talk.events.contains(&Event::Paused), "the pause script is under way");
    talk.say("ok\n");
    assert!(talk.events.contains(&Event::Paused));
    talk.streamer.resume(talk.now, None).unwrap();
    assert_eq!(talk.hear(), [framed(1002, "M109 S210")], "nothing follows a wait");
    assert_eq!(talk.say("ok\n"), [framed(1003, "M117 on"), framed(1004, "G1 X1")]);
}

#[test]
fn a_wait_is_broken_again_until_it_is_over() {
    let (mut talk, _) = Talk::printing(&["M190 S60", "G1 X1"]);
    talk.streamer.pause().unwrap();
    assert_eq!(talk.hear(), ["M108"]);
    assert_eq!(talk.ms(999), [""; 0]);
    assert_eq!(talk.ms(1), ["M108"]);
    talk.say("echo:busy: processing\n");
    assert_eq!(talk.ms(1_000), ["M108"]);
    // Going on before the pause has come about: the broken wait has to be done anew all the same.
    talk.streamer.resume(talk.now, None).unwrap();
    assert_eq!(talk.ms(1_000), [""; 0]);
    assert_eq!(talk.say("ok\n"), [PROBE]);
    begin_anew(&mut talk, 1002);
    assert_eq!(talk.ms(30), [framed(1001, "M190 S60")]);
    assert_eq!(talk.say("ok\n"), [framed(1002, "G1 X1")]);
}

#[test]
fn a_pause_leaves_a_wait_for_a_person_and_homing_alone_and_cancel_ends_the_first() {
    for (command, broken) in [("M600", true), ("M0", true), ("G28", false), ("M400", false)] {
        let (mut talk, _) = Talk::printing(&[command, "G1 X1"]);
        talk.streamer.pause().unwrap();
        assert_eq!(talk.ms(3_000), [""; 0], "{command}");
        talk.streamer.cancel().unwrap();
        assert_eq!(!talk.hear().is_empty(), broken, "{command}");
    }
}

#[test]
fn a_wait_behind_planned_moves_is_broken_as_well() {
    let (mut talk, first) = Talk::printing(&["G1 X1", "M109 S210", "G1 X2"]);
    assert_eq!(first, [framed(1001, "G1 X1"), framed(1002, "M109 S210")]);
    talk.streamer.cancel().unwrap();
    assert_eq!(talk.hear(), ["M410", "M108"]);
    assert_eq!(talk.say("ok\n"), [""; 0]);
    assert_eq!(talk.ms(1_000), ["M108"]);
    let script = talk.say("ok\n");
    assert_eq!(script[0], framed(1003, "M104 S0"));
    talk.say("ok\nok\nok\nok\n");
    talk.refuse(1007);
    talk.ms(30);
    assert!(talk.events.contains(&Event::Ended(Ending::Cancelled)));
}

#[test]
fn nothing_is_broken_where_the_firmware_does_not_listen() {
    let (mut talk, _) = Talk::printing_with(&["M109 S210", "G1 X1"], |options| options.break_wait = None);
    talk.streamer.pause().unwrap();
    assert_eq!(talk.ms(3_000), [""; 0]);
    talk.say("ok\n");
    assert_eq!(talk.hear(), [""; 0]);
    talk.streamer.resume(talk.now, None).unwrap();
    assert!(talk.hear().iter().all(|line| !line.contains("M109")));
}
