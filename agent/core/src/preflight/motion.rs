//! Follows the head through a file: where it goes, what it feeds, and whether that is inside the printer.

use super::arc::Arc;
use super::code::Code;
use super::printer::Volume;
use super::tally::{Detail, Tally};
use super::words::{E, F, Words, X, Y, Z};

/// How far outside a volume is still inside: prime lines beside the bed (Prusa's at Y-3) and rounded bed sizes.
const MARGIN_MM: f64 = 5.0;
/// How far below the bed a layer may be: Z offsets of slicers are of this size.
const BELOW_MM: f64 = 1.0;
const INCH_MM: f64 = 25.4;
const NAMES: [char; 3] = ['X', 'Y', 'Z'];

/// The box around what was fed, in millimetres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Least X, Y and Z.
    pub least: [f64; 3],
    /// Greatest X, Y and Z.
    pub most: [f64; 3],
}

impl Bounds {
    const NOTHING: Self = Self { least: [f64::INFINITY; 3], most: [f64::NEG_INFINITY; 3] };

    #[inline]
    fn take(&mut self, at: &[f64; 3]) {
        for ((least, most), at) in self.least.iter_mut().zip(&mut self.most).zip(at) {
            *least = least.min(*at);
            *most = most.max(*at);
        }
    }
}

/// What one move does.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moved {
    /// Time at its feed rate, in seconds.
    pub(super) seconds: f64,
    /// Whether it feeds filament.
    pub(super) feeds: bool,
}

/// Where in the file a command stands, and who is told of it.
#[derive(Debug)]
pub(super) struct Site<'a> {
    pub(super) line: u64,
    /// Whether a layer has begun.
    pub(super) in_layers: bool,
    pub(super) tally: &'a mut Tally,
}

/// Where the head is, as far as the file tells.
#[derive(Debug)]
pub(super) struct Motion {
    volume: Option<Volume>,
    at: [f64; 3],
    known: [bool; 3],
    /// Axes whose zero is no longer that of the machine.
    shifted: [bool; 3],
    e: f64,
    /// At the feed rate; 0 while none is known.
    seconds_per_mm: f64,
    relative: bool,
    relative_e: bool,
    unit_mm: f64,
    homed: bool,
    /// Somebody else has moved it as well: a macro, or a command that is not known.
    is_lost: bool,
    moves: u64,
    seconds: f64,
    fed_mm: f64,
    /// Ahead of the first layer, and from it on.
    bounds: [Bounds; 2],
}

impl Motion {
    pub(super) fn new(volume: Option<Volume>) -> Self {
        Self {
            volume,
            at: [0.0; 3],
            known: [false; 3],
            shifted: [false; 3],
            e: 0.0,
            seconds_per_mm: 0.0,
            relative: false,
            relative_e: false,
            unit_mm: 1.0,
            homed: false,
            is_lost: false,
            moves: 0,
            seconds: 0.0,
            fed_mm: 0.0,
            bounds: [Bounds::NOTHING; 2],
        }
    }

    /// `G0` to `G3`.
    #[inline]
    pub(super) fn travel(&mut self, kind: u8, words: &Words, site: &mut Site) -> Moved {
        self.moves += 1;
        if words.has(F) {
            let feed = words.value(F) * self.unit_mm;
            self.seconds_per_mm = if feed > 0.0 { 60.0 / feed } else { 0.0 };
        }
        let fed = self.feed(words);
        let mut seconds = 0.0;
        if words.has_axis() {
            if !self.homed && !self.relative {
                warn_unhomed(site);
            }
            let (from, from_known) = ([self.at[X], self.at[Y]], self.known[X] && self.known[Y]);
            let way = self.advance(words);
            let mut length = (way[X] * way[X] + way[Y] * way[Y] + way[Z] * way[Z]).sqrt();
            if kind >= 2
                && from_known
                && let Some(arc) = Arc::of(kind == 2, words, self.unit_mm, from, [self.at[X], self.at[Y]])
            {
                length = self.look_along(&arc, fed > 0.0, site).max(length);
            }
            self.look(self.at, fed > 0.0, site);
            seconds = length * self.seconds_per_mm;
        } else if fed != 0.0 {
            seconds = fed.abs() * self.seconds_per_mm;
        }
        self.seconds += seconds;
        Moved { seconds, feeds: fed > 0.0 }
    }

    /// Takes the filament of a move; gives how much it is, in millimetres.
    #[inline]
    fn feed(&mut self, words: &Words) -> f64 {
        if !words.has(E) {
            return 0.0;
        }
        let e = words.value(E) * self.unit_mm;
        let fed = if self.relative_e { e } else { e - self.e };
        self.e += fed;
        self.fed_mm += fed;
        fed
    }

    /// Takes the new position; gives the way to it.
    #[inline]
    fn advance(&mut self, words: &Words) -> [f64; 3] {
        let mut way = [0.0; 3];
        for axis in [X, Y, Z] {
            if words.has(axis) {
                let value = words.value(axis) * self.unit_mm;
                let to = if self.relative { self.at[axis] + value } else { value };
                if self.known[axis] || self.relative {
                    way[axis] = to - self.at[axis];
                }
                self.at[axis] = to;
                self.known[axis] |= !self.relative;
            }
        }
        way
    }

    /// Holds a place against the volume.
    #[inline]
    fn look(&mut self, at: [f64; 3], feeds: bool, site: &mut Site) {
        if feeds && self.known == [true; 3] && self.shifted == [false; 3] {
            self.bounds[usize::from(site.in_layers)].take(&at);
        }
        let Some(volume) = &self.volume else {
            if at[Z] < -BELOW_MM && feeds {
                self.complain(Z, at[Z], 0.0, feeds, site);
            }
            return;
        };
        for axis in [X, Y, Z] {
            let below = if axis == Z { BELOW_MM } else { MARGIN_MM };
            let limit = if at[axis] < volume.least[axis] - below {
                volume.least[axis]
            } else if at[axis] > volume.most[axis] + MARGIN_MM {
                volume.most[axis]
            } else {
                continue;
            };
            return self.complain(axis, at[axis], limit, feeds, site);
        }
    }

    #[cold]
    fn complain(&self, axis: usize, at: f64, limit: f64, feeds: bool, site: &mut Site) {
        if !self.known[axis] || self.shifted[axis] {
            return;
        }
        let is_below = axis == Z && at < limit;
        let code = match (feeds, site.in_layers) {
            (false, _) => Code::TravelOutside,
            (true, false) => Code::OutsideInStart,
            (true, true) if is_below => Code::BelowBed,
            (true, true) => Code::OutsideVolume,
        };
        let name = NAMES[axis];
        site.tally.add(code, "", site.line, || {
            let what = if feeds { "filament is fed" } else { "the head goes" };
            let end = if at < limit { "least" } else { "greatest" };
            Detail::text(format!("{what} at {name}{at:.1}, and the {end} {name} is {limit:.1}"))
                .value(format!("{name}{at:.1} mm"))
                .limit(format!("{name}{limit:.1} mm"))
        });
    }

    /// Looks at the outermost points of an arc to where the head is now; gives its length, in millimetres.
    fn look_along(&mut self, arc: &Arc, feeds: bool, site: &mut Site) -> f64 {
        for [x, y] in arc.outermost() {
            self.look([x, y, self.at[Z]], feeds, site);
        }
        arc.length()
    }

    /// `G28`: where the endstops are is the firmware's own knowledge.
    pub(super) fn home(&mut self, words: &Words) {
        self.homed = true;
        for axis in [X, Y, Z] {
            if !words.has_axis() || words.has(axis) {
                self.known[axis] = false;
                self.shifted[axis] = false;
            }
        }
    }

    /// A command after which nobody knows where the head is or how it counts (a macro, a tool change, a probe).
    pub(super) fn lose(&mut self) {
        self.homed = true;
        self.is_lost = true;
        self.known = [false; 3];
    }

    /// `G92`.
    pub(super) fn set_position(&mut self, words: &Words) {
        if words.has(E) || !words.has_axis() {
            self.e = words.get(E).unwrap_or(0.0) * self.unit_mm;
        }
        for axis in [X, Y, Z] {
            if words.has(axis) || !words.has_axis() && !words.has(E) {
                let value = words.get(axis).unwrap_or(0.0) * self.unit_mm;
                self.shifted[axis] |= !(self.known[axis] && (self.at[axis] - value).abs() < 1e-6);
                self.at[axis] = value;
                self.homed = true;
            }
        }
    }

    /// `G54` to `G59` and other offsets: what is zero is not told by the file.
    pub(super) fn shift(&mut self) {
        self.shifted = [true; 3];
    }

    /// `G90` and `G91`; Marlin's hold for the extruder as well.
    pub(super) fn set_relative(&mut self, relative: bool) {
        self.relative = relative;
        self.relative_e = relative;
    }

    /// `M82` and `M83`.
    pub(super) fn set_relative_e(&mut self, relative: bool) {
        self.relative_e = relative;
    }

    /// `G20` and `G21`.
    pub(super) fn set_inches(&mut self, inches: bool) {
        self.unit_mm = if inches { INCH_MM } else { 1.0 };
    }

    /// Whether commands of the firmware's own have moved the head, too.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Moves so far.
    pub(super) fn moves(&self) -> u64 {
        self.moves
    }

    /// Time of all moves at their feed rates, in seconds; acceleration makes it longer.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Filament, in millimetres: retractions and what undoes them cancel out.
    pub(super) fn fed_mm(&self) -> f64 {
        self.fed_mm
    }

    /// The box around the layers, or around everything where there are none.
    pub(super) fn bounds(&self) -> Option<Bounds> {
        let [start, layers] = self.bounds;
        [layers, start].into_iter().find(|bounds| bounds.least[X] <= bounds.most[X])
    }
}

#[cold]
fn warn_unhomed(site: &mut Site) {
    let told = || Detail::text("a move to a place, and no G28 ahead of it");
    site.tally.add(Code::MovesBeforeHoming, "", site.line, told);
}
