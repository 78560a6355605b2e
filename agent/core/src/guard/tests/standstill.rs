//! What nobody looks after: heaters that stay on, and jobs that do not move.

use super::*;

#[test]
fn what_a_job_left_on_is_switched_off_after_a_while() {
    let mut evening = Evening::printing();
    evening.say("T:200 /200 B:60 /60");
    evening.pass(3_000);
    evening.standing.activity = Activity::Idle;
    evening.pass(595);
    assert_eq!(evening.found, []);
    evening.pass(10);
    assert_eq!(evening.found[0], Finding::Ask(Question::Card));
    assert_eq!(evening.alarms(), [(Wrong::LeftOn(HOT), Act::MakeSafe)]);
    assert_eq!(evening.codes(), [Fault::HeatLeftOn]);
    assert_eq!(evening.last_words(), "the hot end was left on at 200 °C for 10 min with no job under way");
    evening.say("T:190 /0 B:60 /0");
    evening.pass(1_000);
    assert_eq!(evening.alarms().len(), 1);
    assert_eq!(evening.overs(), [Wrong::LeftOn(HOT)]);
}

#[test]
fn a_person_at_work_and_a_print_from_the_card_are_left_alone() {
    let mut evening = Evening::new();
    evening.say("T:200 /200 B:60 /60");
    for minute in 0..60 {
        // By the console, and at the printer's own display.
        if minute % 2 == 0 {
            evening.guard.handle_by_hand(evening.now);
        } else {
            evening.say(&format!("T:200 /{} B:60 /60", 200 + minute % 5));
        }
        evening.pass(300);
    }
    assert_eq!(evening.found, []);
    evening.card = true;
    evening.pass(6_000);
    assert!(evening.found.contains(&Finding::Ask(Question::Card)));
    assert_eq!(evening.alarms(), []);
    evening.card = false;
    evening.pass(700);
    assert_eq!(evening.alarms().len(), 1);
}

#[test]
fn a_question_that_could_not_be_put_is_put_again() {
    let mut evening = Evening::new();
    evening.answers = false;
    evening.say("T:200 /200");
    evening.pass(605);
    evening.guard.handle_unasked(evening.now, Question::Card);
    evening.pass(12);
    let asked = evening.found.iter().filter(|finding| **finding == Finding::Ask(Question::Card)).count();
    assert_eq!(asked, 2);
}

#[test]
fn a_hot_end_that_only_a_file_names_is_no_heater_left_on() {
    let mut evening = Evening::printing();
    evening.write("N1 T3*1\nN2 M104 S200*1\n");
    evening.say("T:200 /0 B:60 /0");
    evening.standing.activity = Activity::Idle;
    evening.pass(3_000);
    assert_eq!(evening.alarms(), []);
}

#[test]
fn a_firmware_that_reports_no_targets_is_believed_to_do_as_it_was_asked() {
    let mut evening = Evening::printing();
    evening.write("N1 T1*1\nN2 M109 S215*1\nN3 M140 S70*1\n");
    evening.say("T0:25 T1:214 B:70");
    evening.pass(10);
    evening.standing.activity = Activity::Idle;
    evening.pass(700);
    assert_eq!(evening.alarms(), [(Wrong::LeftOn(Heater::HotEnd(Some(1))), Act::MakeSafe)]);
}

#[test]
fn a_job_that_stands_still_for_no_reason_is_told() {
    for (awaits, unwritten, after, says) in [
        (Awaits::Lines, false, 300, "no line has come from the job's file for 300 s"),
        (Awaits::Reply, true, 30, "the port has taken no bytes for 30 s"),
    ] {
        let mut evening = Evening::printing();
        evening.pass(1_000);
        evening.standing.awaits = awaits;
        evening.standing.unwritten = unwritten;
        evening.pass(after - 1);
        assert_eq!(evening.alarms(), []);
        evening.pass(5);
        assert_eq!(evening.alarms(), [(Wrong::Stalled, Act::Tell)]);
        assert_eq!(evening.codes(), [Fault::PrintStalled]);
        assert_eq!(evening.last_words(), says);
        evening.pass(5_000);
        assert_eq!(evening.alarms().len(), 1);
        (evening.standing.awaits, evening.standing.unwritten) = (Awaits::Reply, false);
        evening.pass(1);
        assert_eq!(evening.overs(), [Wrong::Stalled]);
    }
}

#[test]
fn a_firmware_that_answers_and_never_acknowledges_is_told_too() {
    let mut evening = Evening::printing();
    evening.pass(10);
    let look = |evening: &mut Evening, seconds: u64| {
        evening.now = evening.now + Duration::from_secs(seconds);
        evening.look();
    };
    for _ in 0..1_000 {
        evening.standing.signs += 1;
        look(&mut evening, 10);
    }
    assert_eq!(evening.alarms(), [], "it says that it is busy");
    look(&mut evening, 300);
    assert_eq!(evening.alarms(), [(Wrong::Stalled, Act::Tell)]);
    assert!(evening.last_words().starts_with("the printer has acknowledged no line for"));
}

#[test]
fn waiting_for_a_reason_is_no_standstill() {
    let mut evening = Evening::printing();
    evening.standing.awaits = Awaits::Command;
    evening.pass(20_000);
    evening.standing.activity = Activity::Paused;
    evening.standing.awaits = Awaits::Nothing;
    evening.pass(20_000);
    evening.standing.activity = Activity::Printing;
    evening.standing.awaits = Awaits::Lines;
    evening.pass(299);
    assert_eq!(evening.found, []);
}
