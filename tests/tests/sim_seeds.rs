//! Thousands of prints on bad cables and bad boards, in virtual time: every line is carried out once and in order.

use spoolway_tests::torture::seeds::{Arguments, Summary, print_table, run};
use spoolway_tests::world::{self, End, Noise, Scenario};
use std::collections::BTreeSet;

/// Seeds that once broke something; each stays with its mend.
const ONCE_BROKEN: [u64; 11] =
    // Damaged `Resend` numbers were believed; a job was proven by a damaged reply; a reset behind the last line.
    [734, 2968, 5112, 5730, 6651, 7263, 8628, 11_678, 14_611, 19_158, 19_801];

const SEEDS: u64 = 2_000;

fn seeds(from: u64, count: u64) -> Summary {
    run(&Arguments { from, count, json: false, verbose: false, aloud: false })
}

#[test]
fn every_line_once_and_in_order_on_two_thousand_bad_links() {
    let summary = seeds(0, SEEDS);
    print_table(&summary);
    assert!(summary.failures.is_empty(), "{} seeds broke an invariant", summary.failures.len());
    assert_eq!(summary.seeds, SEEDS);
    // The worlds have to be bad enough to prove anything.
    let completed = summary.endings.get("completed").copied().unwrap_or(0);
    assert!(completed > SEEDS * 7 / 10, "only {completed} prints were completed");
    assert!(summary.resends > 10 * SEEDS && summary.probes > SEEDS && summary.rx_dropped > 0);
    assert!(summary.resets > SEEDS / 20);
    assert!(summary.survivors.values().sum::<u64>() > 0);
}

#[test]
fn seeds_that_once_broke_something_do_not_any_more() {
    for seed in ONCE_BROKEN {
        let outcome = world::run(seed);
        assert!(outcome.faults.is_empty(), "seed {seed}: {:?}", outcome.faults);
    }
}

#[test]
fn one_seed_is_one_print() {
    let (one, other) = (world::run(42), world::run(42));
    assert_eq!(one.end, other.end);
    assert_eq!((one.elapsed_us, one.resends, one.probes), (other.elapsed_us, other.resends, other.probes));
}

#[test]
fn jobs_are_long_enough_and_every_kind_of_noise_occurs() {
    let scenarios: Vec<Scenario> = (0..200).map(Scenario::from_seed).collect();
    assert!(scenarios.iter().all(|scenario| scenario.job.len() >= 300));
    let kinds: BTreeSet<Noise> = scenarios.iter().map(|scenario| scenario.noise).collect();
    assert_eq!(kinds.len(), Noise::ALL.len());
}

/// A checker that finds nothing proves nothing: each kind of wrong print has to be found.
#[test]
fn the_checker_finds_a_lost_a_repeated_and_a_swapped_line() {
    use spoolway_tests::check::{Printed, lines_once_in_order};
    let scenario = Scenario { cancel_after: None, reset_at_us: None, ..Scenario::from_seed(1) };
    let outcome = world::run_scenario(Scenario { noise: Noise::None, ..scenario.clone() });
    assert_eq!(outcome.end, End::Ended(spoolway_agent_core::stream::Ending::Completed));
    let executed = world::executed(&scenario);
    let judge = |executed: &[spoolway_tests::printer::Executed]| {
        lines_once_in_order(&Printed {
            job: &scenario.job,
            frames: &[],
            executed,
            survivors: &[],
            complete: true,
        })
    };
    assert_eq!(judge(&executed), Vec::new());
    let middle = executed.len() / 2;
    let mut lost = executed.clone();
    lost.remove(middle);
    let mut repeated = executed.clone();
    repeated.insert(middle, executed[middle].clone());
    let mut swapped = executed.clone();
    swapped.swap(middle, middle + 1);
    let mut short = executed.clone();
    short.pop();
    for wrong in [lost, repeated, swapped, short] {
        assert!(!judge(&wrong).is_empty());
    }
}
