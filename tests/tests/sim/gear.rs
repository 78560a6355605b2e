//! The gear, as a slicer wrote it, on the simulated printer of every profile with every kind of noise, in virtual time: what
//! is carried out equals the file, or the job ends as what happened to the printer demands.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use spoolway_agent_core::stream::Ending;
use spoolway_tests::expected::Commands;
use spoolway_tests::world::{self, End, Kind, Noise, Scenario};

/// The fifth move of the first layer, and one in the middle.
const PAUSES: [Option<u64>; 3] = [None, Some(40), Some(7_000)];

fn gear() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("gcode/gear.gcode");
    let commands = Commands::of(std::fs::read(file).unwrap().into());
    commands.map(|command| String::from_utf8(command.text).unwrap()).collect()
}

/// The first boards and cables of each kind that the seeds draw, and one of each kind with a reset and with a plug pulled.
fn scenarios(profile: &str, gear: &[String]) -> Vec<Scenario> {
    let drawn = |noise: Noise, from: u64| {
        (from..).find_map(|seed| Scenario::of_profile(seed, profile).filter(|drawn| drawn.noise == noise))
    };
    let mut all = Vec::new();
    for (at, noise) in Noise::ALL.into_iter().enumerate() {
        let scenario = Scenario {
            job: gear.to_vec(),
            pause_after: PAUSES[at % PAUSES.len()],
            cancel_after: None,
            reset_at_us: None,
            unplug_at_us: None,
            ..drawn(noise, 1_000).unwrap()
        };
        if noise == Noise::Light {
            all.push(Scenario { reset_at_us: Some(30_000_000), ..scenario.clone() });
            all.push(Scenario { unplug_at_us: Some(30_000_000), ..scenario.clone() });
            all.push(Scenario { cancel_after: Some(5_000), ..scenario.clone() });
        }
        all.push(scenario);
    }
    all
}

#[test]
fn every_profile_prints_the_gear_under_every_noise_or_ends_as_it_must() {
    let gear = gear();
    assert_eq!(gear.len(), 14_835);
    let all: Vec<_> = world::profiles().iter().flat_map(|profile| scenarios(profile, &gear)).collect();
    let (next, seen) = (AtomicUsize::new(0), Mutex::new((Vec::new(), Vec::new())));
    let work = || {
        while let Some(scenario) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = world::run_scenario(scenario.clone());
            let of = format!("{} {:?} seed {}", scenario.profile.id, scenario.noise, scenario.seed);
            let mut seen = seen.lock().unwrap();
            if !outcome.faults.is_empty() {
                seen.1.push(format!("{of}: {:?}, {:?}", outcome.end, outcome.faults));
            }
            let asked = scenario.reset_at_us.or(scenario.unplug_at_us).or(scenario.cancel_after);
            let disturbed = outcome.was_reset || asked.is_some();
            if !disturbed && outcome.end != End::Ended(Ending::Completed) {
                println!("{of}: {:?}", outcome.end);
                seen.0.push((scenario.noise, scenario.kind));
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let (given_up, failed) = seen.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let without_reason =
        given_up.iter().filter(|(noise, kind)| *noise == Noise::None || *kind == Kind::Whole);
    assert_eq!(without_reason.count(), 0, "{given_up:?}");
}
