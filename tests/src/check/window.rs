//! No more is on its way than the window in force allows, and no ring overflows that is as large as its profile says.

use super::Fault;

/// The fullest moments of a print.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fullness {
    /// Bytes on their way beyond the window in force at that moment, more than one line among them.
    pub bytes_above: usize,
    /// Bytes that found the board's ring full.
    pub dropped: u64,
    /// Whether the board's ring was smaller than its profile says, its queue shorter, or the window is meant to reach beyond it.
    pub may_drop: bool,
}

/// Holds the fullest moments against the window.
#[must_use]
pub fn window_respected(full: Fullness) -> Vec<Fault> {
    let mut faults = Vec::new();
    if full.bytes_above > 0 {
        faults.push(Fault(format!("the window in force was exceeded: {full:?}")));
    }
    if full.dropped > 0 && !full.may_drop {
        faults.push(Fault(format!("{} bytes found the ring full", full.dropped)));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_counts_only_where_the_ring_was_large_enough() {
        let full = Fullness { dropped: 1, ..Fullness::default() };
        assert_eq!(window_respected(full).len(), 1);
        assert_eq!(window_respected(Fullness { may_drop: true, ..full }).len(), 0);
        assert_eq!(window_respected(Fullness { bytes_above: 1, ..Fullness::default() }).len(), 1);
        assert_eq!(window_respected(Fullness::default()), []);
    }
}
