//! Asks where the machine is before a line that has waited for too long is in doubt: while it moves, a line may wait for room in
//! the planner for as long as a move takes, and nothing is said meanwhile (grbl `protocol.c`).

use crate::Moment;

use super::Streamer;

impl Streamer {
    /// Asks, where that is possible; gives when to look again, or nothing when there was no answer.
    pub(super) fn inquire(&mut self, now: Moment) -> Option<Moment> {
        let ask = self.options.brake.as_ref()?.ask.clone();
        let patience = self.options.waits.resend;
        match self.cut.inquired {
            Some(asked) if now < asked + patience => Some(asked + patience),
            Some(_) => None,
            None => {
                ask.write(&mut self.out, &self.options.framing.prefix);
                self.cut.inquired = Some(now);
                Some(now + patience)
            }
        }
    }

    /// A machine that moves has not lost the line; one that stands has.
    pub(super) fn hear_whereabouts(&mut self, now: Moment, text: &str) {
        let Some(options) = self.options.brake.as_ref().filter(|_| self.cut.inquired.is_some()) else {
            return;
        };
        let begins_alike = |word: &String| word.chars().next() == text.chars().next();
        if !options.standing.iter().any(begins_alike) {
            return;
        }
        let stands = options.standing.iter().any(|word| text.starts_with(word.as_str()));
        self.cut.inquired = None;
        if stands {
            self.doubt(now);
        } else {
            self.watch.progress(now);
        }
    }
}
