//! Up to which seq every command was stored, when commands may arrive out of order.

use std::collections::BTreeSet;

use spoolway_protocol::ids::Seq;

/// Seqs above the floor that are remembered; beyond it the holes below them count as never to come.
const REMEMBERED: usize = 1_024;

/// The highest seq below which nothing is missing. The urgent lane lets a later command arrive first, and a hello that named it would
/// make the backend forget the earlier one.
#[derive(Debug, Clone, Default)]
pub struct SeqFloor {
    floor: u64,
    above: BTreeSet<u64>,
}

impl SeqFloor {
    /// Everything up to `floor` was stored.
    #[must_use]
    pub const fn new(floor: Seq) -> Self {
        Self { floor: floor.0, above: BTreeSet::new() }
    }

    /// One more was stored.
    pub fn insert(&mut self, seq: Seq) {
        if seq.0 > self.floor {
            self.above.insert(seq.0);
        }
        if self.above.len() > REMEMBERED {
            self.floor = self.above.first().copied().unwrap_or(self.floor);
        }
        while self.above.first().is_some_and(|&first| first <= self.floor + 1) {
            self.floor = self.above.pop_first().unwrap_or(self.floor);
        }
    }

    /// The floor.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        Seq(self.floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_holds_the_floor_until_it_is_filled() {
        let mut floor = SeqFloor::new(Seq(4));
        for (seq, expected) in [(5, 5), (7, 5), (8, 5), (3, 5), (6, 8), (8, 8)] {
            floor.insert(Seq(seq));
            assert_eq!(floor.seq(), Seq(expected), "{seq}");
        }
    }

    #[test]
    fn holes_that_are_never_filled_are_given_up() {
        let mut floor = SeqFloor::default();
        (10..10 + REMEMBERED as u64).for_each(|seq| floor.insert(Seq(seq)));
        assert_eq!(floor.seq(), Seq(0));
        floor.insert(Seq(10 + REMEMBERED as u64));
        assert_eq!(floor.seq(), Seq(10 + REMEMBERED as u64));
    }
}
