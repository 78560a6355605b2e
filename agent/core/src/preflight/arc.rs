//! The geometry of an arc (`G2`, `G3`): how long it is, and how far out it reaches.

use std::f64::consts::TAU;

use super::words::{I, J, R, Words, X, Y};

/// Ends that are nearer to one another are the same point, in millimetres.
const SAME_MM: f64 = 1e-6;

/// A part of a circle in the plane of X and Y.
#[derive(Debug)]
pub(super) struct Arc {
    centre: [f64; 2],
    radius: f64,
    /// From the centre to where it begins and to where it ends, counter-clockwise.
    ends: [[f64; 2]; 2],
}

impl Arc {
    /// By `I` and `J` (from the start to the centre), or by `R`; `None` when neither makes an arc.
    pub(super) fn of(
        clockwise: bool,
        words: &Words,
        unit_mm: f64,
        from: [f64; 2],
        to: [f64; 2],
    ) -> Option<Self> {
        let centre = if words.has(I) || words.has(J) {
            let offset = |place| words.get(place).unwrap_or(0.0) * unit_mm;
            [from[X] + offset(I), from[Y] + offset(J)]
        } else {
            centre_by_radius(clockwise, words.get(R)? * unit_mm, from, to)?
        };
        let arm = |at: [f64; 2]| [at[X] - centre[X], at[Y] - centre[Y]];
        let (start, end) = (arm(from), arm(to));
        let ends = if clockwise { [end, start] } else { [start, end] };
        Some(Self { centre, radius: start[X].hypot(start[Y]), ends })
    }

    /// The points at which it is farthest to the left, right, front or back, where it gets there before its ends.
    pub(super) fn outermost(&self) -> impl Iterator<Item = [f64; 2]> + '_ {
        let outs = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
        let reached = outs.into_iter().filter(|out| turn(self.ends[0], *out) <= self.angle());
        reached.map(|out| [self.centre[X] + self.radius * out[X], self.centre[Y] + self.radius * out[Y]])
    }

    /// In millimetres.
    pub(super) fn length(&self) -> f64 {
        self.radius * self.angle()
    }

    /// In radians. An arc that ends where it began is a whole circle.
    fn angle(&self) -> f64 {
        let [start, end] = self.ends;
        let is_closed = (start[X] - end[X]).abs() < SAME_MM && (start[Y] - end[Y]).abs() < SAME_MM;
        if is_closed { TAU } else { turn(start, end) }
    }
}

/// The angle from one direction to another, counter-clockwise, from 0 to a whole turn.
fn turn(a: [f64; 2], b: [f64; 2]) -> f64 {
    let angle = (a[X] * b[Y] - a[Y] * b[X]).atan2(a[X] * b[X] + a[Y] * b[Y]);
    if angle < 0.0 { angle + TAU } else { angle }
}

/// Centre of the shorter of the two arcs with this radius; of the longer one when the radius is negative.
fn centre_by_radius(clockwise: bool, radius: f64, from: [f64; 2], to: [f64; 2]) -> Option<[f64; 2]> {
    let (dx, dy) = (to[X] - from[X], to[Y] - from[Y]);
    let chord = dx.hypot(dy);
    if chord < SAME_MM {
        return None;
    }
    let height = (radius * radius - chord * chord / 4.0).max(0.0).sqrt();
    let side = if clockwise == (radius > 0.0) { -height } else { height };
    Some([(from[X] + to[X]) / 2.0 - side * dy / chord, (from[Y] + to[Y]) / 2.0 + side * dx / chord])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arc(clockwise: bool, text: &str, from: [f64; 2], to: [f64; 2]) -> Arc {
        Arc::of(clockwise, &Words::of(text.as_bytes()), 1.0, from, to).unwrap()
    }

    fn about(arc: &Arc) -> (i64, Vec<[i64; 2]>) {
        let round = |value: f64| (value * 100.0).round() as i64;
        (round(arc.length()), arc.outermost().map(|at| at.map(round)).collect())
    }

    #[test]
    fn quarters_halves_and_whole_circles() {
        // From the right of the origin to its back, the short way and the long way.
        let (right, back) = ([10.0, 0.0], [0.0, 10.0]);
        assert_eq!(about(&arc(false, "I-10 J0", right, back)), (1571, vec![[1000, 0], [0, 1000]]));
        let long = about(&arc(true, "I-10 J0", right, back));
        assert_eq!(long, (4712, vec![[1000, 0], [-1000, 0], [0, 1000], [0, -1000]]));
        assert_eq!(about(&arc(false, "I-10", right, right)).0, 6283);
        let small = arc(false, "I-10 J0", [7.071, 7.071], [-7.071, 7.071]);
        assert!(small.outermost().count() <= 4);
    }

    #[test]
    fn a_radius_says_the_same() {
        let (right, back) = ([10.0, 0.0], [0.0, 10.0]);
        assert_eq!(about(&arc(false, "R10", right, back)).0, 1571);
        assert_eq!(about(&arc(false, "R-10", right, back)).0, 4712);
        assert_eq!(about(&arc(true, "R10", back, right)).0, 1571);
        let words = Words::of(b"R10");
        assert!(Arc::of(true, &words, 1.0, right, right).is_none());
        assert!(Arc::of(true, &Words::of(b""), 1.0, right, back).is_none());
    }
}
