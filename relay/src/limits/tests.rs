//! The limits: what passes at once, what passes in time, and what is remembered of whom.

use super::*;

#[test]
fn tries_are_counted_by_whoever_tries_and_forgiven_in_time() {
    let mut tally = Tally::new(3, 1_000, 10);
    assert!((0..3).all(|_| tally.take(&"a", 5_000) == Ok(())));
    assert_eq!(tally.take(&"a", 5_000), Err(1_000));
    assert_eq!(tally.take(&"a", 5_400), Err(600));
    assert_eq!(tally.take(&"b", 5_400), Ok(()), "somebody else");
    assert_eq!(tally.take(&"a", 6_000), Ok(()));
    assert_eq!(tally.take(&"a", 6_000), Err(1_000));
    assert!((0..3).all(|_| tally.take(&"a", 60_000) == Ok(())), "no more than three, however long it was");
    assert!(tally.take(&"a", 60_000).is_err());
}

#[test]
fn many_who_try_do_not_take_the_memory_and_the_worst_is_remembered() {
    let mut tally = Tally::new(2, 1_000, 100);
    assert!((0..2).all(|_| tally.take(&0, 0) == Ok(())));
    (1..10_000).for_each(|key| tally.count(&key, 0));
    assert!(tally.even_at_us.len() <= 100);
    assert!(tally.take(&0, 0).is_err(), "it has tried most");
}

#[test]
fn rates_above_one_in_a_millisecond_hold() {
    let mut tally = Tally::within(1_000, 5_000, 10);
    let taken = (0..2_000).map(|now_ms| (0..100).filter(|_| tally.take(&0, now_ms) == Ok(())).count());
    let taken: usize = taken.sum();
    assert!((14_990..=15_010).contains(&taken), "five thousand at once and five a ms after that: {taken}");
    let mut free = Tally::within(1_000, 0, 10);
    assert!((0..1_000).all(|_| free.take(&0, 0) == Ok(())) && free.even_at_us.is_empty());
}

#[test]
fn what_was_lawful_after_all_is_forgiven() {
    let mut tally = Tally::within(60_000, 3, 10);
    for _ in 0..100 {
        assert_eq!(tally.take(&0, 0), Ok(()));
        tally.forgive(&0);
    }
    assert!((0..3).all(|_| tally.take(&0, 0) == Ok(())));
    assert_eq!(tally.take(&0, 0), Err(20_000));
}

#[test]
fn a_burst_passes_and_then_the_rate_holds() {
    let mut allowance = Allowance::new(10, 5, 0, 0);
    let mut take = |now_ms| allowance.take(Class::Reliable, 300, now_ms);
    assert!((0..5).all(|_| take(0) == Ok(())));
    assert_eq!(take(0), Err(100));
    let (mut now_ms, mut taken) = (0, 0);
    while now_ms < 10_000 {
        match take(now_ms) {
            Ok(()) => taken += 1,
            Err(wait_ms) => now_ms += wait_ms,
        }
    }
    assert_eq!(taken, 99, "ten a second for ten seconds, less the one that is due at the end");
}

#[test]
fn bytes_are_counted_and_requests_for_chunks_hardly() {
    let mut allowance = Allowance::new(0, 1, 1_000, 0);
    assert!((0..4).all(|_| allowance.take(Class::Reliable, 1_000, 0) == Ok(())));
    assert_eq!(allowance.take(Class::Bulk, 500, 0), Err(500));
    assert_eq!(allowance.take(Class::Reliable, 65_536, 4_000), Ok(()), "the largest frame passes");
    let mut allowance = Allowance::new(10, 10, 0, 0);
    assert_eq!((0..1_000).filter(|_| allowance.take(Class::Bulk, 300, 0) == Ok(())).count(), 80);
}

#[test]
fn a_flood_is_more_than_a_burst_of_what_was_shed() {
    let mut allowance = Allowance::new(10, 20, 0, 0);
    let sheds = |allowance: &mut Allowance, now_ms| {
        allowance.take(Class::Telemetry, 300, now_ms).is_err() && allowance.shed()
    };
    assert!(!(0..40).any(|_| sheds(&mut allowance, 0)));
    assert!(sheds(&mut allowance, 0));
    let mut twice_too_fast = Allowance::new(10, 20, 0, 0);
    assert!(
        !(0..1_000).any(|n| sheds(&mut twice_too_fast, n * 50)),
        "every other one passes and makes up for it"
    );
}

#[test]
fn zero_is_no_limit_and_time_may_jump() {
    let mut free = Allowance::new(0, 1, 0, 0);
    assert!((0..1000).all(|_| free.take(Class::Telemetry, 65_536, 0) == Ok(())));
    let mut fast = Allowance::new(u32::MAX, u32::MAX, u32::MAX, 10);
    assert_eq!(fast.take(Class::Reliable, 1, 0), Ok(()));
    assert_eq!(fast.take(Class::Reliable, 1, u64::MAX), Ok(()));
}

#[test]
fn networks_are_read_and_compared_by_their_bits() {
    let network = |text: &str| text.parse::<Network>();
    for (net, inside, outside) in [
        ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
        ("10.0.0.0/8", "::ffff:10.1.2.3", "11.0.0.0"),
        ("2001:db8::/32", "2001:db8:1::1", "2001:db9::"),
        ("127.0.0.1/32", "127.0.0.1", "127.0.0.2"),
        ("0.0.0.0/0", "255.255.255.255", "::1"),
        ("::/0", "::1", "127.0.0.1"),
    ] {
        let parsed = network(net).unwrap();
        assert_eq!(parsed.to_string(), net);
        assert!(parsed.contains(inside.parse().unwrap()), "{net} {inside}");
        assert!(!parsed.contains(outside.parse().unwrap()), "{net} {outside}");
    }
    for bad in ["192.0.2.0", "192.0.2.0/33", "::/129", "farm/8", "192.0.2.0/x", ""] {
        assert!(network(bad).is_err(), "{bad}");
    }
}

#[test]
fn addresses_of_one_network_count_as_one() {
    let of = |text: &str| neighbourhood(text.parse().unwrap());
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
}
