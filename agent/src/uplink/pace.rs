//! How often telemetry goes out: what the relay's welcome says, what the owner wishes instead, and more often while somebody
//! watches.

use std::time::Duration;

use spoolway_agent_core::moment::Moment;
use spoolway_protocol::limits::{TELEM_MS_MAX, TELEM_MS_MIN, WATCH_TTL_MS_MAX};
use spoolway_protocol::telemetry::{TelemConfig, TelemConfigArgs, TelemWatch};

use crate::bus::Wishes;

/// How long somebody watches who does not say how long, where the relay does not say it either.
const WATCH_TTL_MS: u64 = 60_000;

/// The rates of one session.
#[derive(Debug)]
pub(super) struct Pace {
    relay: TelemConfig,
    wishes: Wishes,
    watched_until: Moment,
}

impl Pace {
    pub(super) fn new(relay: TelemConfig, wishes: Wishes) -> Self {
        Self { relay, wishes, watched_until: Moment::ZERO }
    }

    /// The owner has said what it wishes; somebody who watches goes on watching.
    pub(super) fn handle_wishes(&mut self, wishes: Wishes) {
        self.wishes = wishes;
    }

    /// Somebody watches from now on, or does so no longer.
    pub(super) fn handle_watch(&mut self, now: Moment, watch: &TelemWatch) {
        let ttl_ms = watch.ttl_ms.or(self.relay.watch_ttl_ms).unwrap_or(WATCH_TTL_MS);
        self.watched_until = now + Duration::from_millis(ttl_ms.min(WATCH_TTL_MS_MAX));
        if ttl_ms == 0 {
            self.wishes.watched_until = Moment::ZERO;
        }
    }

    /// When the next telemetry is due, if the last one went out then.
    pub(super) fn after(&self, sent: Moment, is_printing: bool) -> Moment {
        let rates = &self.wishes.rates;
        let usual = if is_printing {
            rates.printing_ms.unwrap_or(self.relay.printing_ms)
        } else {
            rates.idle_ms.unwrap_or(self.relay.idle_ms)
        };
        let after = |ms: u64| sent + Duration::from_millis(ms.clamp(TELEM_MS_MIN, TELEM_MS_MAX));
        let watched = after(rates.watch_ms.unwrap_or(self.relay.watch_ms));
        let is_watched = watched < self.watched_until.max(self.wishes.watched_until);
        if is_watched { watched.min(after(usual)) } else { after(usual) }
    }
}

/// What is wished once `args` were said, and which of them were out of bounds.
pub(crate) fn wished(
    before: &TelemConfigArgs,
    args: &TelemConfigArgs,
) -> (TelemConfigArgs, Vec<&'static str>) {
    let mut clamped = Vec::new();
    let mut of = |name, before: Option<u64>, said: Option<u64>| match said {
        None => before,
        Some(0) => None,
        Some(ms) => {
            let taken = ms.clamp(TELEM_MS_MIN, TELEM_MS_MAX);
            if taken != ms {
                clamped.push(name);
            }
            Some(taken)
        }
    };
    let mut wished = TelemConfigArgs {
        idle_ms: of("idle_ms", before.idle_ms, args.idle_ms),
        printing_ms: of("printing_ms", before.printing_ms, args.printing_ms),
        watch_ms: of("watch_ms", before.watch_ms, args.watch_ms),
        ..TelemConfigArgs::default()
    };
    wished.watch_ttl_ms = args.watch_ttl_ms.map(|ttl_ms| ttl_ms.min(WATCH_TTL_MS_MAX));
    if wished.watch_ttl_ms != args.watch_ttl_ms {
        clamped.push("watch_ttl_ms");
    }
    (wished, clamped)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    fn watch(ttl_ms: Option<u64>) -> TelemWatch {
        TelemWatch { ttl_ms, extra: Default::default() }
    }

    fn wishes(idle_ms: u64, printing_ms: u64) -> Wishes {
        let rates = TelemConfigArgs {
            idle_ms: Some(idle_ms),
            printing_ms: Some(printing_ms),
            ..TelemConfigArgs::default()
        };
        Wishes { rates, watched_until: Moment::ZERO }
    }

    #[test]
    fn the_owner_outweighs_the_relay_and_neither_floods() {
        let mut pace = Pace::new(TelemConfig::default(), Wishes::default());
        assert_eq!((pace.after(ms(7), false), pace.after(ms(7), true)), (ms(10_007), ms(1_007)));
        pace.handle_wishes(wishes(30_000, 500));
        assert_eq!((pace.after(ms(7), false), pace.after(ms(7), true)), (ms(30_007), ms(507)));
        let flood = TelemConfig { idle_ms: 1, printing_ms: 0, ..TelemConfig::default() };
        let pace = Pace::new(flood, Wishes::default());
        assert_eq!((pace.after(ms(0), false), pace.after(ms(0), true)), (ms(250), ms(250)));
    }

    #[test]
    fn a_watch_ends_by_itself_unless_it_is_said_again() {
        let mut pace = Pace::new(TelemConfig::default(), Wishes::default());
        pace.handle_watch(ms(0), &watch(Some(1_000)));
        assert_eq!(pace.after(ms(0), false), ms(250));
        assert_eq!(pace.after(ms(750), false), ms(10_750), "it would be over by then");
        pace.handle_watch(ms(750), &watch(Some(1_000)));
        assert_eq!(pace.after(ms(750), false), ms(1_000));
        pace.handle_watch(ms(800), &watch(Some(0)));
        assert_eq!(pace.after(ms(800), false), ms(10_800));
        pace.handle_watch(ms(0), &watch(None));
        assert_eq!((pace.after(ms(59_000), false), pace.after(ms(60_000), false)), (ms(59_250), ms(70_000)));
        pace.handle_watch(ms(0), &watch(Some(u64::MAX)));
        assert_eq!(pace.after(ms(WATCH_TTL_MS_MAX), false), ms(WATCH_TTL_MS_MAX + 10_000));
    }

    #[test]
    fn a_watch_never_makes_telemetry_rarer() {
        let relay = TelemConfig { watch_ms: 5_000, ..TelemConfig::default() };
        let mut pace = Pace::new(relay, Wishes::default());
        pace.handle_watch(ms(0), &watch(Some(60_000)));
        assert_eq!((pace.after(ms(0), false), pace.after(ms(0), true)), (ms(5_000), ms(1_000)));
    }

    #[test]
    fn what_is_out_of_bounds_is_moved_within_and_told() {
        let before = TelemConfigArgs { idle_ms: Some(20_000), ..TelemConfigArgs::default() };
        let said = TelemConfigArgs {
            printing_ms: Some(1),
            watch_ms: Some(u64::MAX),
            watch_ttl_ms: Some(WATCH_TTL_MS_MAX + 1),
            ..TelemConfigArgs::default()
        };
        let (now, clamped) = wished(&before, &said);
        assert_eq!(
            (now.idle_ms, now.printing_ms, now.watch_ms),
            (Some(20_000), Some(250), Some(TELEM_MS_MAX))
        );
        assert_eq!(now.watch_ttl_ms, Some(WATCH_TTL_MS_MAX));
        assert_eq!(clamped, ["printing_ms", "watch_ms", "watch_ttl_ms"]);
        let back = TelemConfigArgs { idle_ms: Some(0), ..TelemConfigArgs::default() };
        assert_eq!(wished(&now, &back).0.idle_ms, None, "what the relay says again");
    }
}
