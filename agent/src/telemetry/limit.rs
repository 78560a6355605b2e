//! How often one place in the program may log the same thing: a printer that complains without end, or a port that comes and goes, neither
//! empties the memory of the log nor wears the card.
//!
//! Pure: told the time. Each place has a bucket of lines that fills again slowly. What it holds back is counted, the last of it kept: that one
//! comes through late, once the place has been quiet, so that the end of every burst is known and how long it was.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use spoolway_agent_core::moment::Moment;

use super::Level;

/// Lines of one place that come at once, where something is wrong.
const BURST: u32 = 20;
/// The same where things take their course: the last words on the wire before a fault are 20 lines, and jobs may come many at a time.
const BURST_OF_COURSE: u32 = 60;
/// After so long a place may log a line more.
pub(super) const EVERY: Duration = Duration::from_secs(20);
/// Places that are known. A program has a few hundred, and those that are quiet are forgotten when there are more.
const PLACES: usize = 1_024;

/// What each place may still log.
#[derive(Debug)]
pub(super) struct Limit<P, L> {
    places: HashMap<P, Place<L>>,
}

/// One place in the program.
#[derive(Debug)]
struct Place<L> {
    /// Lines that it may log at once.
    room: u32,
    most: u32,
    /// Since when the bucket fills.
    since: Moment,
    held: Option<Held<L>>,
}

/// What was held back since the last line that came through.
#[derive(Debug)]
struct Held<L> {
    last: L,
    /// Lines before it.
    more: u64,
}

/// A line that comes through, and how many like it were held back before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Through<L> {
    pub(super) line: L,
    pub(super) more: u64,
}

impl<P, L> Default for Limit<P, L> {
    fn default() -> Self {
        Self { places: HashMap::new() }
    }
}

impl<P: Eq + Hash, L> Limit<P, L> {
    /// A line of this place, if it comes through.
    pub(super) fn take(&mut self, now: Moment, place: P, level: Level, line: L) -> Option<Through<L>> {
        let most = match level {
            Level::Error | Level::Warn => BURST,
            Level::Info => BURST_OF_COURSE,
            // Nobody sees these but who has asked for them, every line of the wire among them.
            Level::Debug | Level::Trace => return Some(Through { line, more: 0 }),
        };
        if self.places.len() >= PLACES && !self.places.contains_key(&place) {
            self.places.retain(|_, place| !place.is_rested(now));
            if self.places.len() >= PLACES {
                return Some(Through { line, more: 0 });
            }
        }
        let place = self.places.entry(place).or_insert(Place { room: most, most, since: now, held: None });
        place.fill(now);
        let more = place.held.take().map_or(0, |held| held.more + 1);
        if place.room > 0 {
            place.room -= 1;
            return Some(Through { line, more });
        }
        place.held = Some(Held { last: line, more });
        None
    }

    /// What was held back of places that have been quiet since and may log again.
    pub(super) fn late(&mut self, now: Moment) -> Vec<Through<L>> {
        let through = |place: &mut Place<L>| {
            place.fill(now);
            let held = place.held.take_if(|_| place.room > 0)?;
            place.room -= 1;
            Some(held.through())
        };
        self.places.values_mut().filter_map(through).collect()
    }

    /// All that is held back, for the end of the log.
    pub(super) fn rest(&mut self) -> Vec<Through<L>> {
        self.places.values_mut().filter_map(|place| place.held.take()).map(Held::through).collect()
    }
}

impl<L> Held<L> {
    fn through(self) -> Through<L> {
        Through { line: self.last, more: self.more }
    }
}

impl<L> Place<L> {
    fn fill(&mut self, now: Moment) {
        let every = EVERY.as_micros() as u64;
        let filled = now.since(self.since).as_micros() as u64 / every;
        self.room = self.room.saturating_add(u32::try_from(filled).unwrap_or(u32::MAX)).min(self.most);
        // A full bucket begins to fill with the next line that is taken out of it.
        self.since = if self.room == self.most { now } else { self.since + EVERY * filled as u32 };
    }

    /// Nothing is lost when it is forgotten.
    fn is_rested(&mut self, now: Moment) -> bool {
        self.fill(now);
        self.room == self.most && self.held.is_none()
    }
}

#[cfg(test)]
mod tests;
