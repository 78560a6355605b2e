//! A job that is given up on a machine of realtime bytes: held, asked whether it stands, and only then reset.

use spoolway_agent_core::Moment;
use spoolway_agent_core::stream::{Ending, Event, StopReason, StreamOptions, Streamer};
use spoolway_firmware_profiles::Registry;

use crate::talk::Talk;

const ASK: &str = "!?";
const RESET: &str = "\u{18}";
const BANNER: &str = "\r\nGrbl 1.1h ['$' for help]\r\n";
const MOVES: [&str; 3] = ["G1 X10 F60", "G1 X20", "G1 X30"];

/// A job that has begun on a grbl.
fn milling() -> Talk {
    let registry = Registry::built_in();
    let options = StreamOptions::from_profile(&registry.get("grbl").unwrap().profile, |_| false);
    let streamer = Streamer::new(options, Moment::ZERO);
    let mut talk = Talk { streamer, now: Moment::ZERO, events: Vec::new() };
    assert_eq!(talk.hear(), [""; 0]);
    talk.streamer.begin_job().unwrap();
    talk.feed(&MOVES);
    assert_eq!(talk.hear(), MOVES);
    // For the conversation, and for the job: where no line has a number a job is under way as soon as it begins.
    assert_eq!(talk.events, [Event::Synchronised, Event::Synchronised]);
    talk
}

fn state(word: &str) -> String {
    format!("<{word}|MPos:5.000,0.000,0.000|Bf:13,100|FS:60,0>\r\n")
}

/// The reset is under way; the rest of the way to the end.
fn end(mut talk: Talk) {
    assert_eq!(talk.ms(10), [""; 0], "nothing goes out that the reset would take away");
    assert_eq!(talk.say(BANNER), [""; 0]);
    assert_eq!(talk.ms(50), ["M5", "M9"]);
    talk.say("ok\r\nok\r\n");
    assert!(talk.events.contains(&Event::Ended(Ending::Cancelled)), "{:?}", talk.events);
}

#[test]
fn a_cancel_holds_the_machine_and_resets_it_when_it_stands() {
    let mut talk = milling();
    talk.streamer.cancel().unwrap();
    assert_eq!(talk.hear(), [ASK]);
    assert_eq!(talk.say(&state("Run")), [""; 0]);
    // The hold may have been lost.
    assert_eq!(talk.ms(100), [ASK]);
    assert_eq!(talk.say(&state("Hold:1")), [""; 0], "it still slows down");
    assert_eq!(talk.say("ok\r\n"), [""; 0], "a line that was on its way");
    assert_eq!(talk.say(&state("Hold:0")), [RESET]);
    end(talk);
}

#[test]
fn a_machine_that_is_paused_does_not_move_again_for_a_cancel() {
    let mut talk = milling();
    talk.streamer.pause().unwrap();
    assert_eq!(talk.hear(), ["!"]);
    talk.streamer.cancel().unwrap();
    assert_eq!(talk.hear(), [ASK], "it is not released");
    assert_eq!(talk.say(&state("Hold:0")), [RESET]);
    end(talk);
}

#[test]
fn whoever_never_says_that_it_stands_is_reset_all_the_same() {
    let mut talk = milling();
    talk.streamer.cancel().unwrap();
    let mut asked = 0;
    let reset = loop {
        let said = talk.ms(100);
        match said.as_slice() {
            [one] if one == ASK => asked += 1,
            _ => break said,
        }
    };
    assert_eq!((asked, reset.as_slice()), (100, [RESET.to_owned()].as_slice()));
    assert_eq!(talk.ms(4_999), [""; 0]);
    talk.ms(2);
    assert_eq!(talk.stopped(), &StopReason::Silent { probes: 1 }, "nobody is there");
}

#[test]
fn an_answer_that_nobody_asked_for_resets_nothing_and_neither_does_a_cancel_before_the_first_line() {
    let mut talk = milling();
    assert_eq!(talk.say(&state("Hold:0")), [""; 0], "somebody held it at the machine");
    let registry = Registry::built_in();
    let options = StreamOptions::from_profile(&registry.get("grblhal").unwrap().profile, |_| false);
    let streamer = Streamer::new(options, Moment::ZERO);
    let mut talk = Talk { streamer, now: Moment::ZERO, events: Vec::new() };
    talk.hear();
    talk.streamer.begin_job().unwrap();
    talk.streamer.cancel().unwrap();
    assert_eq!(talk.hear(), ["M5", "M9"]);
}

fn is_in_doubt(talk: &Talk) -> bool {
    talk.events.iter().any(|event| matches!(event, Event::InDoubt { .. }))
}

#[test]
fn a_line_that_waits_behind_a_slow_move_is_in_no_doubt() {
    let mut talk = milling();
    for _ in 0..20 {
        assert_eq!(talk.ms(29_990), [""; 0]);
        assert_eq!(talk.ms(10), ["?"], "it has said nothing for half a minute");
        assert_eq!(talk.say(&state("Run")), [""; 0]);
    }
    assert!(!is_in_doubt(&talk), "{:?}", talk.events);
    assert_eq!(talk.ms(30_000), ["?"]);
    talk.say(&state("Idle"));
    assert!(is_in_doubt(&talk), "it stands, and has acknowledged nothing");
}

#[test]
fn a_line_is_in_doubt_when_nobody_answers() {
    let mut talk = milling();
    assert_eq!(talk.ms(30_000), ["?"]);
    assert_eq!(talk.ms(499), [""; 0]);
    assert!(!is_in_doubt(&talk));
    talk.ms(1);
    assert!(is_in_doubt(&talk));
    // A state that nobody asked for says nothing of a line.
    let mut talk = milling();
    talk.say(&state("Idle"));
    assert!(!is_in_doubt(&talk));
}
