//! A firmware that skips lines whose number does not follow, acknowledges on receipt, and compares 16 bits.

use spoolway_agent_core::stream::Event;
use spoolway_firmware_profiles::Window;

use crate::talk::{PROBE, Talk, framed, moves, refs};

fn repetier(commands: &[&str]) -> (Talk, Vec<String>) {
    Talk::printing_with(commands, |options| {
        options.replies.skip = vec!["skip".to_owned()];
        options.reach.rule = Window::Bytes;
        options.max_line_number = 1010;
    })
}

#[test]
fn the_ok_of_a_skipped_line_acknowledges_nothing() {
    let commands = moves(8);
    let (mut talk, first) = repetier(&refs(&commands));
    assert_eq!(first.len(), 4);
    talk.say("ok 1001\n\nResend:1002\nok\nskip 1003\nok\nskip 1004\nok\n");
    assert_eq!(talk.streamer.progress().commands, 1);
    assert_eq!(talk.ms(30), [framed(1002, &commands[1])]);
    talk.say("ok 1002\n");
    assert_eq!(talk.streamer.progress().commands, 2);
}

#[test]
fn a_line_that_is_skipped_because_the_firmware_has_it_counts() {
    let commands = moves(8);
    let (mut talk, _) = repetier(&refs(&commands));
    talk.say("Resend:1001\nok\n");
    assert_eq!(talk.ms(30), [framed(1001, &commands[0])]);
    talk.say("skip 1001\nok\n");
    assert_eq!(talk.streamer.progress().commands, 1);
}

#[test]
fn numbers_begin_anew_before_they_pass_what_the_firmware_compares() {
    let commands = moves(30);
    let (mut talk, first) = repetier(&refs(&commands));
    let mut said = first;
    for number in 1001..1010 {
        said.extend(talk.say(&format!("ok {number}\n")));
    }
    assert!(said.iter().all(|line| !line.starts_with("N1010")), "{said:?}");
    // What was only counted is proven first; then the counter is set anew, alone.
    assert_eq!(said.last().unwrap(), PROBE);
    talk.refuse(1010);
    assert_eq!(talk.ms(30), [framed(1000, "M110 N1000")]);
    talk.say("ok\n");
    assert_eq!(talk.ms(30), [PROBE]);
    talk.refuse(1001);
    let on = talk.ms(30);
    assert_eq!(on[0], framed(1001, &commands[9]));
    assert!(talk.streamer.stopped().is_none() && !talk.events.contains(&Event::Restarted));
}
