//! One change of the key, step by step, and what keeps it from beginning or going on.

use super::*;

const UP: Link = Link { is_named: true, is_up: true, is_key_refused: false };
const NEW: OnDisk = OnDisk { links: 0, since_ms: 0, is_prepared: false, is_untold: false };
const DAY_MS: u64 = 24 * 3_600_000;

fn at(seconds: u64) -> Moment {
    Moment::from_millis(seconds * 1_000)
}

fn machine(disk: OnDisk) -> Rotation {
    let mut machine = Rotation::new(disk, 7);
    machine.handle_link(Moment::ZERO, UP);
    machine
}

fn next(machine: &mut Rotation, seconds: u64) -> RotationOutput {
    machine.poll_output(at(seconds), Some(0))
}

fn no() -> OfferAnswer {
    OfferAnswer::Refused { code: "retired".into(), detail: "another one".into(), retry_after_ms: None }
}

fn lost() -> OfferAnswer {
    OfferAnswer::Lost { fault: Fault::NetworkTcp, detail: "refused".into() }
}

/// Up to the answer that is waited for.
fn offered() -> Rotation {
    let mut machine = machine(NEW);
    machine.handle_wish(at(0), Some(0)).unwrap();
    assert_eq!(next(&mut machine, 0), RotationOutput::Prepare);
    machine.handle_prepared(Ok(()));
    assert_eq!(next(&mut machine, 0), RotationOutput::Post(Offer::Next));
    assert_eq!(next(&mut machine, 0), RotationOutput::Wait(None), "each thing once");
    machine
}

#[test]
fn a_key_is_on_the_disk_then_at_the_relay_then_told_then_used() {
    let mut machine = offered();
    machine.handle_answer(at(1), OfferAnswer::Taken);
    assert_eq!(next(&mut machine, 1), RotationOutput::Switch);
    machine.handle_switched(at(1), Ok(5));
    assert_eq!(next(&mut machine, 1), RotationOutput::Tell);
    machine.handle_told(at(1), true);
    assert_eq!(next(&mut machine, 1), RotationOutput::Adopt);
    machine.handle_adopted(at(1), true);
    assert_eq!(next(&mut machine, 1), RotationOutput::Said(Ok(())));
    assert_eq!(next(&mut machine, 1), RotationOutput::Wait(None));
    assert_eq!(machine.disk, OnDisk { links: 1, since_ms: 5, ..NEW });
}

#[test]
fn what_was_begun_goes_on_after_a_restart() {
    let mut prepared = machine(OnDisk { is_prepared: true, ..NEW });
    assert_eq!(next(&mut prepared, 0), RotationOutput::Post(Offer::Next));
    let mut untold = machine(OnDisk { is_untold: true, links: 1, ..NEW });
    assert_eq!(next(&mut untold, 0), RotationOutput::Tell);
    let mut nameless = Rotation::new(OnDisk { is_prepared: true, ..NEW }, 7);
    assert_eq!(next(&mut nameless, 0), RotationOutput::Wait(None), "there is no relay");
}

#[test]
fn who_wished_hears_of_a_lost_answer_and_it_is_asked_again() {
    let mut machine = offered();
    machine.handle_answer(at(1), lost());
    let RotationOutput::Said(Err(said)) = next(&mut machine, 1) else { panic!("somebody waits") };
    assert_eq!(said.fault, Fault::NetworkTcp);
    let RotationOutput::Wait(Some(until)) = next(&mut machine, 1) else { panic!("not at once") };
    assert_eq!(machine.poll_output(until, None), RotationOutput::Post(Offer::Next));
    machine.handle_answer(until, OfferAnswer::Taken);
    assert_eq!(machine.poll_output(until, None), RotationOutput::Switch);
}

#[test]
fn a_key_that_was_offered_is_never_given_up() {
    let mut machine = offered();
    machine.handle_answer(at(1), no());
    let RotationOutput::Said(Err(said)) = next(&mut machine, 1) else { panic!("somebody waits") };
    assert_eq!((said.fault, said.to_string()), (Fault::IdentityRefused, "retired: another one".to_owned()));
    let later = 1 + AFTER_NO.as_secs();
    assert_eq!(next(&mut machine, 1), RotationOutput::Wait(Some(at(later))));
    machine.handle_wish(at(2), None).unwrap();
    assert_eq!(next(&mut machine, 2), RotationOutput::Post(Offer::Next), "a person is not kept waiting");
    machine.handle_answer(at(2), no());
    next(&mut machine, 2);
    machine.handle_link(at(3), Link { is_key_refused: true, is_up: false, ..UP });
    assert_eq!(next(&mut machine, 3), RotationOutput::Post(Offer::Next), "it may have it after all");
    machine.handle_answer(at(3), no());
    machine.handle_link(at(4), Link { is_key_refused: true, is_up: false, ..UP });
    assert!(matches!(next(&mut machine, 4), RotationOutput::Wait(Some(_))), "once for each time");
}

#[test]
fn a_disk_that_refuses_holds_up_what_follows_and_nothing_else() {
    let mut machine = offered();
    machine.handle_answer(at(1), OfferAnswer::Taken);
    next(&mut machine, 1);
    machine.handle_switched(at(1), Err("full".into()));
    assert_eq!(next(&mut machine, 1), RotationOutput::Wait(Some(at(61))));
    assert_eq!(next(&mut machine, 61), RotationOutput::Switch);
    machine.handle_switched(at(61), Ok(0));
    next(&mut machine, 61);
    machine.handle_told(at(61), false);
    assert_eq!(next(&mut machine, 121), RotationOutput::Tell);
    machine.handle_told(at(121), true);
    next(&mut machine, 121);
    machine.handle_adopted(at(121), false);
    assert_eq!(next(&mut machine, 181), RotationOutput::Adopt);
    let mut full = Rotation::new(NEW, 1);
    full.handle_link(at(0), UP);
    full.handle_wish(at(0), None).unwrap();
    next(&mut full, 0);
    full.handle_prepared(Err("full".into()));
    assert!(matches!(
        next(&mut full, 0),
        RotationOutput::Said(Err(RotationRefusal { fault: Fault::DiskFull, .. }))
    ));
    assert_eq!(next(&mut full, 0), RotationOutput::Wait(None));
}

#[test]
fn it_begins_only_with_a_session_and_not_before_the_overlap_is_over() {
    let refused = |machine: &mut Rotation, unix_ms| machine.handle_wish(at(0), unix_ms).unwrap_err().fault;
    let mut alone = Rotation::new(NEW, 1);
    assert_eq!(refused(&mut alone, None), Fault::RelayUnreachable);
    let changed = OnDisk { links: 1, since_ms: 10 * DAY_MS, ..NEW };
    for unix_ms in [None, Some(10 * DAY_MS), Some(17 * DAY_MS - 1)] {
        assert_eq!(refused(&mut machine(changed), unix_ms), Fault::IdentityRotating, "{unix_ms:?}");
    }
    for unix_ms in [Some(17 * DAY_MS), Some(9 * DAY_MS)] {
        assert_eq!(machine(changed).handle_wish(at(0), unix_ms), Ok(()), "{unix_ms:?}");
    }
    let mut many = machine(OnDisk { links: KEY_LINKS, ..NEW });
    assert!(many.handle_wish(at(0), Some(99 * DAY_MS)).unwrap_err().detail.starts_with("24 keys"));
    let mut busy = machine(NEW);
    busy.handle_wish(at(0), None).unwrap();
    assert_eq!(refused(&mut busy, None), Fault::IdentityRotating);
    let mut telling = machine(OnDisk { is_untold: true, ..changed });
    assert_eq!(refused(&mut telling, Some(99 * DAY_MS)), Fault::IdentityRotating);
}

#[test]
fn a_key_is_replaced_within_a_year_by_itself_and_not_all_on_one_day() {
    let mut days = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let mut machine = Rotation::new(NEW, seed);
        machine.handle_link(at(0), UP);
        let due = (1..).find(|day| machine.poll_output(at(0), Some(day * DAY_MS)) == RotationOutput::Prepare);
        assert!(due.is_some_and(|day| (335..=365).contains(&day)), "{due:?}");
        days.extend(due);
    }
    assert!(days.len() > 20);
    let mut old = machine(NEW);
    assert_eq!(old.poll_output(at(0), None), RotationOutput::Wait(None), "who knows the time?");
    old.handle_link(at(0), Link { is_up: false, ..UP });
    assert_eq!(old.poll_output(at(0), Some(999 * DAY_MS)), RotationOutput::Wait(None), "without a session");
}

#[test]
fn a_relay_that_knows_neither_key_is_told_of_the_last_change_first() {
    let mut machine = machine(OnDisk { links: 1, is_prepared: true, ..NEW });
    machine.handle_link(at(0), Link { is_up: false, is_key_refused: true, ..UP });
    assert_eq!(next(&mut machine, 0), RotationOutput::Post(Offer::Next));
    machine.handle_answer(at(0), no());
    assert_eq!(next(&mut machine, 0), RotationOutput::Post(Offer::Last));
    machine.handle_answer(at(0), OfferAnswer::Taken);
    assert_eq!(next(&mut machine, 60), RotationOutput::Post(Offer::Next));
}

#[test]
fn a_relay_that_has_forgotten_the_last_change_is_told_again() {
    let refused = Link { is_up: false, is_key_refused: true, ..UP };
    let mut machine = machine(OnDisk { links: 2, ..NEW });
    machine.handle_link(at(0), refused);
    assert_eq!(next(&mut machine, 0), RotationOutput::Post(Offer::Last));
    machine.handle_answer(at(1), no());
    assert_eq!(next(&mut machine, 1), RotationOutput::Wait(None));
    assert_eq!(next(&mut machine, 1 + AFTER_NO.as_secs()), RotationOutput::Post(Offer::Last));
    machine.handle_answer(at(50_000), OfferAnswer::Taken);
    machine.handle_link(at(50_001), UP);
    assert_eq!(next(&mut machine, 99_000), RotationOutput::Wait(None));
    let mut first = Rotation::new(NEW, 1);
    first.handle_link(at(0), refused);
    assert_eq!(next(&mut first, 0), RotationOutput::Wait(None), "there was no change");
}
