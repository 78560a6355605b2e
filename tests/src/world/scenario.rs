//! What one seed tries: a job, a board, a cable, and what people and the supply do meanwhile.

use std::sync::{Arc, LazyLock};

use spoolway_firmware_profiles::registry::Registry;
use spoolway_firmware_profiles::{Profile, Sequence};

use super::Kills;
use super::link::{self, Kind};
use crate::printer::{Dialect, PrinterOptions};
use crate::rng::Rng;
use crate::wire::LaneOptions;

/// The built-in profiles whose board is known, by name.
static PROFILES: LazyLock<Vec<Arc<Profile>>> = LazyLock::new(|| {
    let registry = Registry::built_in();
    let known = Dialect::all().iter().filter_map(|dialect| registry.get(dialect.profile).ok());
    known.map(|found| Arc::new(found.profile.clone())).collect()
});

/// Names of all profiles that a scenario can have.
#[must_use]
pub fn profiles() -> Vec<String> {
    PROFILES.iter().map(|profile| profile.id.clone()).collect()
}

/// How bad the cable and the board are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Noise {
    /// Nothing goes wrong.
    None,
    /// One byte in some thousands.
    Light,
    /// One line in ten.
    Heavy,
    /// Replies are lost, doubled, garbled and late; lines are not.
    Replies,
    /// The board asks again and again, and stalls.
    Storm,
    /// The board's ring is smaller than its profile says.
    Overflow,
}

impl Noise {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::None, Self::Light, Self::Heavy, Self::Replies, Self::Storm, Self::Overflow];
}

/// Everything that follows from one seed.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// What the agent knows of the firmware.
    pub profile: Arc<Profile>,
    /// What the link can do.
    pub kind: Kind,
    /// How bad it is.
    pub noise: Noise,
    /// The commands of the job.
    pub job: Vec<String>,
    /// The board.
    pub printer: PrinterOptions,
    /// The cable towards it.
    pub to_printer: LaneOptions,
    /// The cable from it.
    pub to_host: LaneOptions,
    /// Whether temperatures have to be asked for.
    pub queries: bool,
    /// Pause after so many acknowledged commands.
    pub pause_after: Option<u64>,
    /// Cancel after so many acknowledged commands.
    pub cancel_after: Option<u64>,
    /// Pull the reset line then.
    pub reset_at_us: Option<u64>,
    /// Pull the plug then.
    pub unplug_at_us: Option<u64>,
    /// Kill the agent's process, where its firmware can be asked which lines it has.
    pub kills: Option<Kills>,
}

impl Scenario {
    /// Draws a scenario, its profile too.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x0070_726f_6669_6c65);
        let profile = rng.pick(&PROFILES).expect("there are built-in profiles");
        Self::draw(seed, Arc::clone(profile))
    }

    /// Draws a scenario of one profile; `None` when there is no such profile or no board for it.
    #[must_use]
    pub fn of_profile(seed: u64, id: &str) -> Option<Self> {
        let profile = PROFILES.iter().find(|profile| profile.id == id)?;
        Some(Self::draw(seed, Arc::clone(profile)))
    }

    fn draw(seed: u64, profile: Arc<Profile>) -> Self {
        let at_uart = Rng::new(seed ^ 0x7561_7274).chance(0.5);
        let base = link::usual_board(&profile.id, at_uart);
        let kind = Kind::of(&profile, &base);
        let mut rng = Rng::new(seed);
        let noise = *rng.pick(&Noise::ALL).expect("the list is not empty");
        let lines = rng.range(300..=420) as usize;
        let job = job(&mut rng, lines);
        let printer = link::board(&mut rng, noise, base, kind);
        let (to_printer, to_host) = link::cable(&mut rng, noise, kind, &printer);
        Self {
            seed,
            profile,
            kind,
            noise,
            printer,
            to_printer,
            to_host,
            queries: rng.chance(0.5),
            pause_after: rng.chance(0.2).then(|| rng.below(lines as u64)),
            cancel_after: rng.chance(0.1).then(|| rng.below(lines as u64)),
            reset_at_us: rng.chance(0.1).then(|| rng.range(0..=60_000_000)),
            unplug_at_us: rng.chance(0.03).then(|| rng.range(0..=60_000_000)),
            kills: None,
            job,
        }
    }

    /// The same with an agent that is killed again and again; `None` where a firmware cannot be asked where it stands.
    #[must_use]
    pub fn with_kills(self) -> Option<Self> {
        let asks = self.profile.recovery.sequence == Sequence::Verified;
        let kills = Kills::draw(&mut Rng::new(self.seed ^ 0x6465_6164));
        asks.then_some(Self { kills: Some(kills), ..self })
    }
}

/// A job of moves of all lengths with what else slicers write; no two moves are alike, so that a wrong order shows.
fn job(rng: &mut Rng, lines: usize) -> Vec<String> {
    (0..lines)
        .map(|index| match rng.below(100) {
            0 => format!("M104 S{}", 180 + index % 40),
            1 => format!("M106 S{}", index % 256),
            2 => format!("M117 line {index} of a job"),
            3 => format!("G4 P{}", rng.below(400)),
            4 => "M400".to_owned(),
            5 => format!("M73 P{} R{}", index * 100 / lines, lines - index),
            6 if index < 40 => format!("M109 S{}", 60 + index),
            7 if index < 40 => "G28".to_owned(),
            8 => format!("G92 E{}", index),
            9 => format!("M204 P{}", 500 + index),
            _ => {
                let (x, y) = (rng.below(200_000) as f64 / 1000.0, rng.below(200_000) as f64 / 1000.0);
                let near = rng.chance(0.7);
                let (x, y) = if near { (100.0 + x / 500.0, 100.0 + y / 500.0) } else { (x, y) };
                format!("G1 X{x:.3} Y{y:.3} E{index}.{:03} F{}", rng.below(1000), 1200 + rng.below(6000))
            }
        })
        .collect()
}
