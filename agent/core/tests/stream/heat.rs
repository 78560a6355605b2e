//! Waits for temperatures that the agent does in the firmware's place.

use spoolway_agent_core::stream::{Ending, Event};

use crate::talk::{Talk, framed};

fn heating(job: &[&str]) -> (Talk, Vec<String>) {
    Talk::printing_with(job, |options| options.host_waits = Some(b"M105".to_vec()))
}

const HOT: &str = " T:209.0 /210.0 B:60.0 /60.0 @:0\n";
const COLD: &str = " T:90.0 /210.0 B:60.0 /60.0 @:0\n";

#[test]
fn lines_are_held_back_until_the_reports_say_that_it_is_warm() {
    let (mut talk, first) = heating(&["M109 S210", "G1 X1"]);
    assert_eq!(first, [framed(1001, "M104 S210")]);
    assert!(talk.events.contains(&Event::Heating { waiting: true }));
    talk.say(HOT);
    assert_eq!(talk.say("ok\n"), [framed(1002, "M105")], "a report from before the line says nothing");
    talk.say(&format!("ok{COLD}"));
    for _ in 0..60 {
        assert_eq!(talk.ms(1_000), [""; 0], "reports come by themselves");
        talk.say(COLD);
    }
    talk.say(HOT);
    talk.say(HOT);
    assert_eq!(talk.ms(2_900), [""; 0], "it has to stay warm for a while");
    talk.say(COLD);
    assert_eq!(talk.ms(200), [""; 0]);
    talk.say(HOT);
    let said = talk.ms(3_000);
    assert_eq!(said, [""; 0], "a single report may be damaged");
    assert_eq!(talk.say(HOT), [framed(1003, "G1 X1")]);
    assert!(talk.events.contains(&Event::Heating { waiting: false }));
}

#[test]
fn a_firmware_that_reports_nothing_by_itself_is_asked_every_second() {
    let (mut talk, _) = heating(&["M190 S60", "G1 X1"]);
    let mut asked = talk.say("ok\n");
    for number in 1003.. {
        assert_eq!(asked, [framed(number - 1, "M105")]);
        let warm = number > 1030;
        asked = talk.say(if warm { "ok T:20 /0 B:60.1 /60\n" } else { "ok T:20 /0 B:40.0 /60\n" });
        asked.extend(talk.ms(4_000));
        if asked.contains(&framed(number, "G1 X1")) {
            assert!(warm);
            return;
        }
    }
}

#[test]
fn cancel_and_pause_act_at_once_during_a_wait() {
    let (mut talk, _) = heating(&["M109 S210", "G1 X1"]);
    talk.say("ok\n");
    talk.say(&format!("ok{COLD}"));
    talk.streamer.pause().unwrap();
    talk.hear();
    assert!(talk.events.contains(&Event::Paused), "nothing is on its way");
    talk.say(HOT);
    talk.say(HOT);
    assert_eq!(talk.ms(5_000), [""; 0]);
    talk.streamer.resume(talk.now, None).unwrap();
    assert_eq!(talk.hear(), [framed(1003, "G1 X1")]);

    let (mut talk, _) = heating(&["M109 S210", "G1 X1"]);
    talk.say("ok\n");
    talk.say(&format!("ok{COLD}"));
    talk.streamer.cancel().unwrap();
    let said = talk.hear();
    assert!(said.contains(&framed(1003, "M104 S0")), "{said:?}");
    talk.say("ok\nok\nok\nok\n");
    talk.refuse(1007);
    talk.ms(30);
    assert!(talk.events.contains(&Event::Ended(Ending::Cancelled)));
}

#[test]
fn cooling_is_waited_for_only_when_it_is_asked_for() {
    for (command, waits) in [("M109 S50", false), ("M109 R50", true)] {
        let (mut talk, first) = heating(&[command, "G1 X1"]);
        assert_eq!(first, [framed(1001, "M104 S50")]);
        talk.say("ok\n");
        talk.say(&format!("ok{COLD}"));
        talk.say(COLD);
        let said = talk.ms(3_000);
        assert_eq!(said.is_empty(), waits, "{command}: {said:?}");
    }
}

#[test]
fn a_heater_that_no_report_names_is_not_waited_for() {
    let (mut talk, _) = heating(&["M190 S60", "G1 X1"]);
    talk.say("ok\n");
    talk.say("ok T:20 /0\n");
    for _ in 0..3 {
        assert_eq!(talk.say(" T:20 /0\n"), [""; 0]);
    }
    assert_eq!(talk.say(" T:20 /0\n"), [framed(1003, "G1 X1")]);
    assert!(talk.events.iter().any(|event| matches!(event, Event::Complaint(_))));
}

/// The Marlin profile allows 300 and 120 degrees.
#[test]
fn a_line_that_asks_for_too_much_heat_holds_the_job_ahead_of_it() {
    for command in ["M104 S310", "M109 S310", "M140 S130", "M190 R130", "G1 X5 M104 S310"] {
        let (mut talk, first) = Talk::printing(&["G1 X1", command, "G1 X2"]);
        assert_eq!(first, [framed(1001, "G1 X1")], "{command}");
        assert_eq!(talk.say("ok\n"), [""; 0]);
        let held = talk.events.iter().any(|event| matches!(event, Event::TooHot { line: Some(2), .. }));
        assert!(held && talk.events.contains(&Event::Paused), "{command}: {:?}", talk.events);
        talk.streamer.resume(talk.now, None).unwrap();
        assert_eq!(talk.hear(), [""; 0], "{command}: it is looked at again");
        // A person at the machine lifts the limits, for a while.
        talk.streamer.lift_limits(talk.now + std::time::Duration::from_secs(60));
        talk.streamer.resume(talk.now, None).unwrap();
        assert!(talk.hear()[0].contains(command));
    }
}

#[test]
fn a_script_that_asks_for_too_much_heat_goes_without_that_line() {
    let mut talk = Talk::with(|_| ());
    talk.synchronise();
    talk.ms(30);
    let script = ["M104 S999", "M107", "M140 S999"].map(|line| line.as_bytes().to_vec());
    talk.streamer.run_script(&script).unwrap();
    assert_eq!(talk.hear(), [framed(1001, "M107")]);
    talk.say("ok\n");
    talk.refuse(1002);
    talk.ms(30);
    assert!(talk.events.contains(&Event::Ended(Ending::Script)));
    let dropped = talk.events.iter().filter(|event| matches!(event, Event::TooHot { line: None, .. }));
    assert_eq!(dropped.count(), 2);
}

/// What a job that does not move waits for.
#[test]
fn a_standstill_has_a_reason_or_none() {
    use spoolway_agent_core::stream::Awaits;
    let (mut talk, _) = Talk::printing(&["G1 X1"]);
    assert_eq!(talk.streamer.awaits(), Awaits::Reply);
    let (mut heat, _) = heating(&["M109 S210", "G1 X1"]);
    heat.say("ok\n");
    assert_eq!(heat.streamer.awaits(), Awaits::Command);
    let (filament, _) = Talk::printing(&["M600", "G1 X1"]);
    assert_eq!(filament.streamer.awaits(), Awaits::Command);
    talk.streamer.pause().unwrap();
    talk.say("ok\n");
    assert_eq!(talk.streamer.awaits(), Awaits::Nothing);
    let mut idle = Talk::with(|_| ());
    idle.synchronise();
    idle.ms(30);
    assert_eq!(idle.streamer.awaits(), Awaits::Nothing);
    idle.streamer.begin_job().unwrap();
    idle.hear();
    idle.say("ok\n");
    idle.ms(30);
    idle.refuse(1001);
    idle.ms(30);
    assert_eq!(idle.streamer.awaits(), Awaits::Lines, "the file is not read on");
}
