use super::*;
use crate::link::tests::{command, id};

fn waiting(seq: u64, kind: &str, args: &str) -> Waiting {
    let command = command(seq, kind, args);
    let args = command.decode().unwrap();
    Waiting { command, args, printer: None, ttl_ms: None, age_ms: 0, since: Moment::ZERO }
}

fn start(seq: u64, job: usize) -> Waiting {
    waiting(seq, "job.start", &format!(r#"{{"job_id":"j{job}","attempt":1}}"#))
}

fn heat(seq: u64) -> Waiting {
    waiting(seq, "printer.set_temp", r#"{"heater":"bed","celsius":60}"#)
}

fn stop(lanes: &mut Lanes, seq: u64, kind: &str, args: &str) -> Vec<Waiting> {
    let Waiting { command, args, .. } = waiting(seq, kind, args);
    lanes.stop(Stop::of(&command, &args, None).unwrap())
}

fn cancel(lanes: &mut Lanes, seq: u64, job: usize) {
    stop(lanes, seq, "job.cancel", &format!(r#"{{"job_id":"j{job}"}}"#));
}

#[test]
fn of_many_stops_the_oldest_of_a_job_is_forgotten_and_those_of_the_machine_are_not() {
    let mut lanes = Lanes::default();
    stop(&mut lanes, 10, "printer.estop", "{}");
    stop(&mut lanes, 11, "printer.heaters_off", "{}");
    let jobs = STOPS - 2;
    (0..jobs).for_each(|job| cancel(&mut lanes, 1_000, job));
    assert_eq!(lanes.stopped_by(&start(20, 0)), Some(id(1_000)), "as many as are remembered");
    cancel(&mut lanes, 1_001, jobs);
    assert_eq!(lanes.stopped_by(&start(20, 0)), None, "its job says what becomes of it");
    for job in 1..jobs {
        assert_eq!(lanes.stopped_by(&start(20, job)), Some(id(1_000)), "{job}");
    }
    assert_eq!(lanes.stopped_by(&start(20, jobs)), Some(id(1_001)));
    (0..3 * STOPS).for_each(|job| cancel(&mut lanes, 2_000, job));
    assert_eq!(lanes.stops.len(), STOPS);
    assert_eq!(lanes.stopped_by(&start(9, 0)), Some(id(10)), "the emergency stop");
    assert_eq!(lanes.stopped_by(&heat(10)), Some(id(11)), "and the heaters");
    assert_eq!(lanes.stopped_by(&start(11, 0)), None);
}

#[test]
fn stops_of_one_job_take_one_place_whatever_their_number_and_order() {
    let mut lanes = Lanes::default();
    cancel(&mut lanes, 50, 0);
    for seq in 100..100 + 2 * STOPS as u64 {
        cancel(&mut lanes, seq, 1);
    }
    assert_eq!(lanes.stopped_by(&start(49, 0)), Some(id(50)));
    let last = 99 + 2 * STOPS as u64;
    cancel(&mut lanes, 70, 1);
    cancel(&mut lanes, last, 1);
    assert_eq!(
        lanes.stopped_by(&start(last - 1, 1)),
        Some(id(last)),
        "one that was overtaken changes nothing"
    );
    assert_eq!(lanes.stopped_by(&start(last, 1)), None, "nor does a copy");
    assert_eq!(lanes.stops.len(), 2);
}

#[test]
fn one_that_was_overtaken_takes_out_only_what_is_older_than_itself() {
    let mut lanes = Lanes::default();
    cancel(&mut lanes, 9, 1);
    lanes.push(start(10, 1));
    lanes.push(start(4, 1));
    let taken = stop(&mut lanes, 5, "job.cancel", r#"{"job_id":"j1"}"#);
    assert_eq!(taken.iter().map(|waiting| waiting.command.seq).collect::<Vec<_>>(), [Seq(4)]);
    assert_eq!(lanes.next_turn().map(|waiting| waiting.command.seq), Some(Seq(10)));
}
