//! What the demo does to its own house while it prints: kills the agent and the relay, and breaks the network between them.

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::house::{House, Part};
use crate::rng::Rng;
use crate::way::Passage;

/// Time from one blow to the next, in ms.
const APART_MS: std::ops::RangeInclusive<u64> = 400..=1_200;
/// After so many blows the house is left in peace, so that the print ends on a slow machine, too.
const MOST: u64 = 24;
/// How long a broken network stays so, in ms.
const BROKEN_MS: std::ops::RangeInclusive<u64> = 500..=1_500;
/// The blows of one round, which come in any order.
const ROUND: [Blow; 8] = [
    Blow::Agent,
    Blow::Agent,
    Blow::Agent,
    Blow::Agent,
    Blow::Agent,
    Blow::Relay,
    Blow::Network(Passage::Cut),
    Blow::Network(Passage::Swallowing),
];

/// One thing that is done to the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    Agent,
    Relay,
    Network(Passage),
}

/// What was done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blows {
    /// Kills of the agent.
    pub kills: u64,
    /// Kills of the relay.
    pub relay: u64,
    /// Breaks of the network between them.
    pub network: u64,
}

impl fmt::Display for Blows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kills: {}, relay: {}, network: {}", self.kills, self.relay, self.network)
    }
}

impl Blows {
    fn all(self) -> u64 {
        self.kills + self.relay + self.network
    }

    /// Whether each of them was dealt.
    #[must_use]
    pub fn has_all(&self) -> bool {
        self.kills > 0 && self.relay > 0 && self.network > 0
    }
}

/// Deals blows at times that follow from a seed.
#[derive(Debug)]
pub(super) struct Chaos {
    rng: Rng,
    round: Vec<Blow>,
    next_at: Instant,
    mend_at: Option<Instant>,
    dealt: Blows,
}

impl Chaos {
    pub(super) fn new(seed: u64) -> Self {
        let (rng, next_at) = (Rng::new(seed), Instant::now());
        Self { rng, round: Vec::new(), next_at, mend_at: None, dealt: Blows::default() }
    }

    /// What was done so far.
    pub(super) fn dealt(&self) -> Blows {
        self.dealt
    }

    /// Does to the house what is due; what it was, in words.
    ///
    /// # Errors
    /// A part does not come back.
    pub(super) fn act(
        &mut self,
        house: &mut House,
        is_printing: bool,
    ) -> anyhow::Result<Option<&'static str>> {
        let now = Instant::now();
        if self.mend_at.is_some_and(|at| at <= now || !is_printing) {
            self.mend_at = None;
            house.set_way(Passage::Open);
            return Ok(Some("the network is whole again"));
        }
        if !is_printing || now < self.next_at || self.dealt.all() >= MOST {
            return Ok(None);
        }
        self.next_at = now + self.draw(APART_MS);
        let blow = self.next();
        Ok(Some(match blow {
            // One break of the network at a time.
            Blow::Network(_) if self.mend_at.is_some() => return Ok(None),
            Blow::Network(passage) => {
                house.set_way(passage);
                self.mend_at = Some(now + self.draw(BROKEN_MS));
                self.dealt.network += 1;
                if passage == Passage::Cut { "the network is cut" } else { "the network swallows everything" }
            }
            Blow::Agent => {
                house.kill_and_restart(Part::Agent)?;
                self.dealt.kills += 1;
                "the agent is killed"
            }
            Blow::Relay => {
                house.kill_and_restart(Part::Relay)?;
                self.dealt.relay += 1;
                "the relay is killed"
            }
        }))
    }

    fn draw(&mut self, ms: std::ops::RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.rng.range(ms))
    }

    fn next(&mut self) -> Blow {
        if self.round.is_empty() {
            self.round.extend(ROUND);
        }
        let at = self.rng.below(self.round.len() as u64) as usize;
        self.round.swap_remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_every_blow_and_no_two_seeds_the_same_order() {
        let rounds = |seed| {
            let mut chaos = Chaos::new(seed);
            (0..2 * ROUND.len()).map(|_| chaos.next()).collect::<Vec<_>>()
        };
        let count = |blows: &[Blow], wanted: Blow| blows.iter().filter(|blow| **blow == wanted).count();
        for seed in 0..20 {
            let blows = rounds(seed);
            assert_eq!(count(&blows[..8], Blow::Agent), 5);
            assert_eq!(count(&blows[8..], Blow::Relay), 1);
            assert_eq!(count(&blows, Blow::Network(Passage::Cut)), 2);
        }
        assert_ne!(rounds(1), rounds(2));
    }
}
