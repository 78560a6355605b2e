//! How often somebody may begin a pairing, go a step in it, or name a code that is wrong.

use spoolway_protocol::BackendId;
use spoolway_relay::config;
use spoolway_relay::limits::{Neighbourhood, Tally};

use crate::answer::Trouble;

/// Addresses and backends whose tries are remembered. No setting, like the next: beyond a few MB of memory nothing depends on it.
const REMEMBERED: usize = 4_096;
/// Steps that an address may make: twenty a second, and a burst of many agents behind one address. An agent makes one each two seconds, and
/// only while a person confirms its words; whoever sets up more than forty at a time behind one address enrols them by token.
const STEPS: (u32, u64) = (200, 50);
const HOUR_MS: u64 = 3_600_000;
const MINUTE_MS: u64 = 60_000;

/// What was tried, by whom, how often.
#[derive(Debug)]
pub(crate) struct Tries {
    /// Pairings and enrolments begun, by address.
    starts: Tally<Neighbourhood>,
    /// Steps, by address.
    steps: Tally<Neighbourhood>,
    /// Codes that were wrong, by backend.
    wrong_codes: Tally<BackendId>,
    /// Codes that were wrong, whoever tried.
    all_wrong_codes: Tally<()>,
}

impl Tries {
    /// Nothing was tried yet.
    pub(crate) fn new(limits: &config::Pairing) -> Self {
        let spread = |count: u32, time_ms: u64| (count, time_ms / u64::from(count.max(1)));
        let (starts, starts_ms) = spread(limits.starts_per_minute, MINUTE_MS);
        let (wrong, wrong_ms) = spread(limits.wrong_codes_per_hour, HOUR_MS);
        let (all, all_ms) = spread(limits.wrong_codes_per_minute, MINUTE_MS);
        Self {
            starts: Tally::new(starts, starts_ms, REMEMBERED),
            steps: Tally::new(STEPS.0, STEPS.1, REMEMBERED),
            wrong_codes: Tally::new(wrong, wrong_ms, REMEMBERED),
            all_wrong_codes: Tally::new(all, all_ms, 1),
        }
    }

    /// Somebody begins.
    pub(super) fn start(&mut self, from: &Neighbourhood, now_ms: u64) -> Result<(), Trouble> {
        self.starts.take(from, now_ms).map_err(Trouble::too_often)
    }

    /// Somebody goes a step.
    pub(super) fn step(&mut self, from: &Neighbourhood, now_ms: u64) -> Result<(), Trouble> {
        self.steps.take(from, now_ms).map_err(Trouble::too_often)
    }

    /// Whether a backend may name one more code, or after how many ms.
    pub(super) fn code(&self, backend: &BackendId, now_ms: u64) -> Result<(), u64> {
        self.wrong_codes.look(backend, now_ms)?;
        self.all_wrong_codes.look(&(), now_ms)
    }

    /// The code that a backend has named was wrong.
    pub(super) fn wrong_code(&mut self, backend: &BackendId, now_ms: u64) {
        self.wrong_codes.count(backend, now_ms);
        self.all_wrong_codes.count(&(), now_ms);
    }
}
