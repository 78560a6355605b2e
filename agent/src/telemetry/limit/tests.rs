use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> Moment {
    Moment::from_millis(seconds * 1_000)
}

/// How many of so many lines come through, and how many they say were held back.
fn through(limit: &mut Limit<u32, u64>, now: Moment, place: u32, level: Level, lines: u64) -> (u64, u64) {
    let came = (0..lines).filter_map(|line| limit.take(now, place, level, line));
    came.fold((0, 0), |(came, more), line| (came + 1, more + line.more))
}

#[test]
fn a_burst_is_cut_short_and_the_next_line_says_by_how_much() {
    let mut limit = Limit::default();
    assert_eq!(through(&mut limit, at(0), 1, Level::Warn, 203), (20, 0));
    // Another place has a measure of its own.
    assert_eq!(through(&mut limit, at(0), 2, Level::Error, 5), (5, 0));
    assert_eq!(limit.take(at(19), 1, Level::Warn, 7), None);
    assert_eq!(limit.take(at(20), 1, Level::Warn, 8), Some(Through { line: 8, more: 184 }));
    assert_eq!(limit.take(at(20), 1, Level::Warn, 9), None);
    assert_eq!(limit.take(at(40), 1, Level::Warn, 10), Some(Through { line: 10, more: 1 }));
}

#[test]
fn the_end_of_a_burst_is_told_once_its_place_is_quiet() {
    let mut limit = Limit::default();
    assert_eq!(through(&mut limit, at(0), 1, Level::Warn, 23), (20, 0));
    assert_eq!(limit.late(at(19)), []);
    assert_eq!(limit.late(at(20)), [Through { line: 22, more: 2 }]);
    assert_eq!(limit.late(at(9_000)), [], "once");
    assert_eq!(through(&mut limit, at(9_000), 1, Level::Warn, 21), (20, 0));
    assert_eq!(limit.rest(), [Through { line: 20, more: 0 }], "nothing is lost at the end");
    assert_eq!(limit.rest(), []);
}

#[test]
fn what_takes_its_course_and_what_was_asked_for_is_not_held_back() {
    let mut limit = Limit::default();
    for job in 0..50 {
        let of_a_job = |place| limit.take(at(job), place, Level::Info, job).is_some();
        assert!((0..10).all(of_a_job), "a job a second, for almost a minute");
    }
    assert_eq!(through(&mut limit, at(0), 99, Level::Info, 100), (60, 0));
    for level in [Level::Debug, Level::Trace] {
        assert_eq!(through(&mut limit, at(0), 98, level, 100_000), (100_000, 0));
    }
}

#[test]
fn quiet_places_make_room_for_others_and_those_that_hold_something_stay() {
    let mut limit = Limit::default();
    let places = u32::try_from(PLACES).unwrap();
    assert_eq!(through(&mut limit, at(0), 0, Level::Warn, 30), (20, 0));
    for place in 1..places * 3 {
        assert_eq!(through(&mut limit, at(1_000 + u64::from(place)), place, Level::Warn, 1), (1, 0));
        assert!(limit.places.len() <= PLACES);
    }
    assert_eq!(limit.rest(), [Through { line: 29, more: 9 }]);
    // Nothing is held back for want of room to count it.
    let mut limit = Limit::default();
    let all: u64 = (0..places + 5).map(|place| through(&mut limit, at(0), place, Level::Warn, 1).0).sum();
    assert_eq!((all, limit.places.len()), (u64::from(places) + 5, PLACES));
}

#[test]
fn a_port_that_comes_and_goes_for_a_day_leaves_the_rest_of_the_log_standing() {
    let mut limit = Limit::default();
    let mut came = 0;
    for second in 0..86_400 {
        for (place, level) in [(1, Level::Warn), (2, Level::Warn), (3, Level::Info), (4, Level::Info)] {
            came += through(&mut limit, at(second), place, level, 1).0;
        }
    }
    assert!(came < 4 * (60 + 86_400 / 20), "{came}");
}

proptest! {
    /// Whenever lines come: each comes through or is counted, and no place has more than its measure.
    #[test]
    fn every_line_is_told_or_counted(gaps in prop::collection::vec((0..30_000_u64, 0..3_u32, any::<bool>()), 1..400)) {
        let mut limit = Limit::default();
        let (mut now_ms, mut came, mut more) = (0, 0, 0);
        for (gap_ms, place, is_tick) in &gaps {
            now_ms += gap_ms;
            let now = Moment::from_millis(now_ms);
            let through: Vec<_> = match is_tick {
                true => limit.late(now),
                false => limit.take(now, *place, Level::Warn, ()).into_iter().collect(),
            };
            came += through.len() as u64;
            more += through.iter().map(|line| line.more).sum::<u64>();
        }
        let rest = limit.rest();
        let told = came + more + rest.iter().map(|line| line.more + 1).sum::<u64>();
        prop_assert_eq!(told, gaps.iter().filter(|(_, _, is_tick)| !is_tick).count() as u64);
        prop_assert!(came <= 3 * (u64::from(BURST) + now_ms / EVERY.as_millis() as u64));
    }
}
