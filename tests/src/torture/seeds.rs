//! Simulated prints by the thousand: what became of them, and which of them broke an invariant.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use spoolway_agent_core::stream::Ending;

use crate::printer::SurvivorKind;
use crate::world::{self, End, Outcome, Scenario};

/// Which seeds to run.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// First seed.
    #[arg(long, default_value_t = 0)]
    pub from: u64,
    /// How many.
    #[arg(long, default_value_t = 2_000)]
    pub count: u64,
    /// Kill the agent's process again and again; leaves out firmwares that cannot be asked where they stand.
    #[arg(long)]
    pub kills: bool,
    /// Only with this firmware profile; without it the seeds are spread over all.
    #[arg(long, value_name = "ID", value_parser = known_profile)]
    pub profile: Option<String>,
    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,
    /// Say of each seed how it ended.
    #[arg(long)]
    pub verbose: bool,
    /// Print each conversation, byte for byte.
    #[arg(long)]
    pub aloud: bool,
}

/// What became of many seeds.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// How many ran.
    pub seeds: u64,
    /// Endings by name.
    pub endings: BTreeMap<String, u64>,
    /// Endings by profile and name.
    pub profiles: BTreeMap<String, BTreeMap<String, u64>>,
    /// How often a person had to say what became of lines in doubt.
    pub doubts: u64,
    /// Lines that a firmware took back after it had acknowledged them.
    pub taken_back: u64,
    /// Questions and settings of the host.
    pub host_commands: u64,
    /// Lines that came through damaged, by kind.
    pub survivors: BTreeMap<String, u64>,
    /// Prints in which the board was reset.
    pub resets: u64,
    /// Lines asked for again.
    pub resends: u64,
    /// Questions where the firmware stands.
    pub probes: u64,
    /// Bytes that found the ring full.
    pub rx_dropped: u64,
    /// How often an agent's process was killed.
    pub kills: u64,
    /// Hours of printing, in virtual time.
    pub hours: f64,
    /// Seeds that broke an invariant, with what broke.
    pub failures: BTreeMap<u64, Vec<String>>,
}

impl Summary {
    fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        let (profile, name) = (outcome.scenario.profile.id.clone(), name_of(outcome));
        *self.endings.entry(name.clone()).or_default() += 1;
        *self.profiles.entry(profile).or_default().entry(name).or_default() += 1;
        self.doubts += outcome.doubts;
        self.taken_back += outcome.taken_back;
        self.host_commands += outcome.host_commands;
        for survivor in &outcome.survivors {
            let kind = match survivor.kind {
                SurvivorKind::XorCollision => "fits its checksum by chance",
                SurvivorKind::Unnumbered if is_command(survivor.line.text()) => {
                    "lost its number, still a command"
                }
                SurvivorKind::Unnumbered => "lost its number, no command any more",
                SurvivorKind::SameMeaning => "damaged without effect",
            };
            *self.survivors.entry(kind.to_owned()).or_default() += 1;
        }
        self.resets += u64::from(outcome.was_reset);
        self.resends += outcome.resends;
        self.probes += outcome.probes;
        self.rx_dropped += outcome.rx_dropped;
        self.kills += outcome.kills;
        self.hours += outcome.elapsed_us as f64 / 3.6e9;
        if !outcome.faults.is_empty() {
            let faults = outcome.faults.iter().map(ToString::to_string).collect();
            self.failures.insert(outcome.scenario.seed, faults);
        }
    }

    fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        for (name, count) in other.endings {
            *self.endings.entry(name).or_default() += count;
        }
        for (profile, endings) in other.profiles {
            let mine = self.profiles.entry(profile).or_default();
            for (name, count) in endings {
                *mine.entry(name).or_default() += count;
            }
        }
        self.doubts += other.doubts;
        self.taken_back += other.taken_back;
        self.host_commands += other.host_commands;
        for (name, count) in other.survivors {
            *self.survivors.entry(name).or_default() += count;
        }
        self.resets += other.resets;
        self.resends += other.resends;
        self.probes += other.probes;
        self.rx_dropped += other.rx_dropped;
        self.kills += other.kills;
        self.hours += other.hours;
        self.failures.extend(other.failures);
    }
}

fn known_profile(id: &str) -> Result<String, String> {
    let known = world::profiles();
    if known.iter().any(|known| known == id) {
        Ok(id.to_owned())
    } else {
        Err(format!("there is no simulated board for it; known are {}", known.join(", ")))
    }
}

/// Whether a firmware would do anything on hearing this.
fn is_command(text: &[u8]) -> bool {
    matches!(text, [b'G' | b'M' | b'T', digit, ..] if digit.is_ascii_digit())
}

fn name_of(outcome: &Outcome) -> String {
    let reset = if outcome.was_reset { ", board reset" } else { "" };
    match &outcome.end {
        End::Ended(Ending::Completed) => format!("completed{reset}"),
        End::Ended(Ending::Cancelled) => format!("cancelled{reset}"),
        End::Ended(Ending::Script) => "script".to_owned(),
        End::Stopped(reason) => {
            let kind = format!("{reason:?}");
            let kind = kind.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
            format!("interrupted ({kind}){reset}")
        }
        End::Unplugged => "unplugged".to_owned(),
        End::Hung => "hung".to_owned(),
    }
}

/// Runs the seeds on all cores.
#[must_use]
pub fn run(arguments: &Arguments) -> Summary {
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from.saturating_add(arguments.count);
    let work = || {
        let mut summary = Summary::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return summary;
            }
            let scenario = match &arguments.profile {
                Some(id) => Scenario::of_profile(seed, id).expect("the argument names a known profile"),
                None => Scenario::from_seed(seed),
            };
            let scenario = if arguments.kills { scenario.with_kills() } else { Some(scenario) };
            let Some(scenario) = scenario else { continue };
            let run = if arguments.aloud { world::run_aloud } else { world::run_scenario };
            let outcome = run(scenario);
            if arguments.verbose {
                let (profile, noise) = (&outcome.scenario.profile.id, outcome.scenario.noise);
                println!("{seed}: {profile}, {noise:?}: {} {:?}", name_of(&outcome), outcome.faults);
            }
            summary.add(&outcome);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let mut summary = Summary::default();
        for worker in workers {
            summary.merge(worker.join().expect("a worker's panic is a failure of its own"));
        }
        summary
    })
}

/// Runs the seeds and prints what became of them; fails when one broke an invariant.
#[must_use]
pub fn main(arguments: &Arguments) -> ExitCode {
    let summary = run(arguments);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&summary).expect("a summary is plain data"));
    } else {
        print_table(&summary);
    }
    if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the summary for people.
pub fn print_table(summary: &Summary) {
    println!("{} prints, {:.1} hours of virtual time", summary.seeds, summary.hours);
    let share = |count: u64| 100.0 * count as f64 / summary.seeds.max(1) as f64;
    for (name, count) in &summary.endings {
        println!("  {count:>7}  {:>5.1} %  {name}", share(*count));
    }
    for (profile, endings) in summary.profiles.iter().filter(|_| summary.profiles.len() > 1) {
        let all: u64 = endings.values().sum();
        let shares: Vec<_> = endings.iter().map(|(name, count)| format!("{count} {name}")).collect();
        println!("  {profile:<15} {all:>6}: {}", shares.join(", "));
    }
    println!(
        "{} lines in doubt settled by a person, {} acknowledged lines taken back, {} questions of the host",
        summary.doubts, summary.taken_back, summary.host_commands
    );
    println!(
        "{} lines asked for again, {} questions where the printer stands, {} bytes found the ring full",
        summary.resends, summary.probes, summary.rx_dropped
    );
    if summary.kills > 0 {
        println!("{} times the agent's process was killed and another one went on", summary.kills);
    }
    for (kind, count) in &summary.survivors {
        println!("  {count:>7}  damaged line got past the firmware: {kind}");
    }
    for (seed, faults) in &summary.failures {
        println!("FAILED seed {seed}: {}", faults.join("; "));
        let kills = if summary.kills > 0 { " --kills" } else { "" };
        println!(
            "  cargo run --release --bin spoolway-torture -- seeds --from {seed} --count 1 --verbose{kills}"
        );
    }
}
