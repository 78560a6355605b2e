//! Whether the bed is free: how often it was used, and after which use somebody has said that it is clear.

/// A word about a bed that was used again since the person looked at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bed was looked at in bed epoch {seen}, and it is now {epoch}: a print has begun in between")]
pub struct StaleBed {
    /// The epoch that the person saw.
    pub seen: u64,
    /// The epoch now.
    pub epoch: u64,
}

/// The bed of one printer. Each start that is sent uses it, however that print ends; only a person makes it clear again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bed {
    epoch: u64,
    /// The epoch in which it was last said to be clear; that of a bed that was never used is 0.
    clear: u64,
}

impl Bed {
    /// A bed as it was stored.
    #[must_use]
    pub const fn restore(epoch: u64, clear: u64) -> Self {
        Self { epoch, clear }
    }

    /// A bed of which nothing is known: something may be on it.
    #[must_use]
    pub const fn unknown(epoch: u64) -> Self {
        let epoch = if epoch == 0 { 1 } else { epoch };
        Self { epoch, clear: epoch - 1 }
    }

    /// Rises with every start that is sent.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The epoch in which it was last said to be clear.
    #[must_use]
    pub const fn clear_epoch(&self) -> u64 {
        self.clear
    }

    /// Whether nothing was started since it was last clear.
    #[must_use]
    pub const fn is_clear(&self) -> bool {
        self.clear == self.epoch
    }

    /// The bed once a start has been sent.
    #[must_use]
    pub const fn after_start(self) -> Self {
        Self { epoch: self.epoch + 1, clear: self.clear }
    }

    /// The bed once a person who saw it in this epoch has said that it is clear.
    ///
    /// # Errors
    /// It was used since, or the epoch never was.
    pub const fn confirm(self, seen: u64) -> Result<Self, StaleBed> {
        if seen == self.epoch {
            Ok(Self { epoch: self.epoch, clear: seen })
        } else {
            Err(StaleBed { seen, epoch: self.epoch })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_bed_is_clear_and_each_start_uses_it() {
        let bed = Bed::default();
        assert!(bed.is_clear());
        let used = bed.after_start();
        assert_eq!((used.epoch(), used.is_clear()), (1, false));
        let clear = used.confirm(1).unwrap();
        assert!(clear.is_clear() && clear.confirm(1) == Ok(clear));
        assert!(!clear.after_start().is_clear());
    }

    #[test]
    fn a_word_from_another_epoch_changes_nothing() {
        let bed = Bed::restore(7, 6);
        for seen in [0, 6, 8, u64::MAX] {
            assert_eq!(bed.confirm(seen), Err(StaleBed { seen, epoch: 7 }));
        }
    }

    #[test]
    fn a_bed_that_nobody_knows_has_to_be_looked_at() {
        for epoch in [0, 1, 9] {
            let bed = Bed::unknown(epoch);
            assert!(!bed.is_clear());
            assert!(bed.confirm(bed.epoch()).unwrap().is_clear());
        }
    }
}
