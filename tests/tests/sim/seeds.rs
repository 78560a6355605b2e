//! Thousands of prints on bad cables and bad boards, in virtual time: every line is carried out once and in order.

use spoolway_tests::check::{Printed, Rules, lines_once_in_order};
use spoolway_tests::printer::Executed;
use spoolway_tests::torture::seeds::{Arguments, Summary, print_table, run};
use spoolway_tests::world::{self, End, Noise, Scenario};
use std::collections::BTreeSet;

/// Seeds that once broke something; each stays with its mend.
const ONCE_BROKEN: [u64; 11] =
    // Damaged `Resend` numbers were believed; a job was proven by a damaged reply; a reset behind the last line.
    [734, 2968, 5112, 5730, 6651, 7263, 8628, 11_678, 14_611, 19_158, 19_801];

const SEEDS: u64 = 2_000;

fn seeds(from: u64, count: u64, kills: bool) -> Summary {
    run(&Arguments { from, count, kills, profile: None, json: false, verbose: false, aloud: false })
}

#[test]
fn every_line_once_and_in_order_on_two_thousand_bad_links() {
    let summary = seeds(0, SEEDS, false);
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

/// Seeds of which an agent's process is killed again and again.
const SEEDS_WITH_KILLS: u64 = 1_000;

#[test]
fn an_agent_that_is_killed_at_any_instruction_goes_on_with_the_next_line() {
    let summary = seeds(0, SEEDS_WITH_KILLS, true);
    print_table(&summary);
    assert!(summary.failures.is_empty(), "{} seeds broke an invariant", summary.failures.len());
    let completed = summary.endings.get("completed").copied().unwrap_or(0);
    assert!(completed > summary.seeds * 7 / 10, "only {completed} of {} were completed", summary.seeds);
    assert!(summary.kills > 10 * summary.seeds, "{} kills", summary.kills);
}

#[test]
fn seeds_that_once_broke_something_do_not_any_more() {
    for seed in ONCE_BROKEN {
        // They were drawn for Marlin, before anybody pulled a plug.
        let scenario = Scenario::of_profile(seed, "marlin").unwrap();
        let outcome = world::run_scenario(Scenario { unplug_at_us: None, ..scenario });
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
    let profiles: BTreeSet<&str> = scenarios.iter().map(|scenario| scenario.profile.id.as_str()).collect();
    assert_eq!(profiles.into_iter().collect::<Vec<_>>(), {
        let mut all = world::profiles();
        all.sort();
        all
    });
}

/// A checker that finds nothing proves nothing: each kind of wrong print has to be found.
#[test]
fn the_checker_finds_a_lost_a_repeated_and_a_swapped_line() {
    let drawn = Scenario::of_profile(1, "marlin").unwrap();
    let scenario =
        Scenario { cancel_after: None, reset_at_us: None, unplug_at_us: None, noise: Noise::None, ..drawn };
    let outcome = world::run_scenario(scenario.clone());
    assert_eq!(outcome.end, End::Ended(spoolway_agent_core::stream::Ending::Completed));
    let executed = world::executed(&scenario);
    let rules = Rules::of(&scenario.profile, true);
    let judge = |executed: &[Executed]| {
        let (job, rules) = (&scenario.job, &rules);
        lines_once_in_order(&Printed { job, frames: &[], executed, survivors: &[], rules, complete: true })
    };
    assert_eq!(judge(&executed), Vec::new());
    // Moves are of the job and no two are alike; anything else might be a question of the host.
    let is_move = |line: &Executed| line.text().starts_with(b"G1 ");
    let from = executed.len() / 2;
    let middle = from + executed[from..].windows(2).position(|pair| pair.iter().all(is_move)).unwrap();
    let last = executed.iter().rposition(is_move).unwrap();
    let mut lost = executed.clone();
    lost.remove(middle);
    let mut repeated = executed.clone();
    repeated.insert(middle, executed[middle].clone());
    let mut swapped = executed.clone();
    swapped.swap(middle, middle + 1);
    let mut short = executed.clone();
    short.truncate(last);
    for wrong in [lost, repeated, swapped, short] {
        assert!(!judge(&wrong).is_empty());
    }
}

/// Where the host waits for temperatures, what follows may come only when the heater is warm.
#[test]
fn the_checker_finds_a_line_that_did_not_wait_for_the_heater() {
    let job = ["G28", "M109 S200", "G1 X1"].map(str::to_owned);
    let judge = |host_waits, third_at_c: i32| {
        let rules = Rules { host_waits, ..Rules::default() };
        let lines: [(&[u8], i32); 3] = [(b"G28", 21), (b"M104 S200", 21), (b"G1 X1", third_at_c)];
        let executed = lines.map(|(text, celsius)| Executed::bare(text, celsius * 100, 2_100));
        let (job, frames, executed, rules) = (&job[..], &[], &executed[..], &rules);
        lines_once_in_order(&Printed { job, frames, executed, survivors: &[], rules, complete: true })
    };
    assert_eq!(judge(true, 199), Vec::new());
    assert_eq!(judge(true, 150).len(), 1);
    assert_eq!(judge(false, 199).len(), 1);
}

/// Where a pause may break a wait of the firmware, the wait may come once more, and again only what is warm goes on.
#[test]
fn the_checker_finds_a_broken_wait_that_was_not_done_anew() {
    let job = ["M109 S200", "G1 X1"].map(str::to_owned);
    let judge = |waits_anew, lines: &[(&[u8], i32)]| {
        let rules = Rules { waits_anew, ..Rules::default() };
        let line = |&(text, celsius): &(&[u8], i32)| Executed::bare(text, celsius * 100, 2_100);
        let executed: Vec<_> = lines.iter().map(line).collect();
        let (job, frames, executed, rules) = (&job[..], &[], &executed[..], &rules);
        lines_once_in_order(&Printed { job, frames, executed, survivors: &[], rules, complete: true }).len()
    };
    let wait: (&[u8], i32) = (b"M109 S200", 21);
    assert_eq!(judge(true, &[wait, wait, (b"G1 X1", 199)]), 0);
    assert_eq!(judge(true, &[wait, (b"G1 X1", 150)]), 1);
    assert_eq!(judge(true, &[wait, wait, (b"G1 X1", 150)]), 1);
    assert_eq!(judge(true, &[wait, (b"M109 S190", 21), (b"G1 X1", 199)]), 1);
    assert_eq!(judge(false, &[wait, wait, (b"G1 X1", 199)]), 1, "nobody paused");
}
