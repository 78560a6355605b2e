//! Ends a job on a machine that is stopped by realtime bytes (grbl `protocol.c`): a feed hold at once, and a reset as soon as
//! the machine stands.
//!
//! The reset throws away what is planned. In the middle of a move it would lose the position as well and lock the controller
//! (`motion_control.c`, `mc_reset`), so the firmware is asked whether it stands, and held again each time, for a byte may be
//! lost. Nothing else is sent meanwhile: the reset would take it away.

use std::time::Duration;

use crate::Moment;

use super::Streamer;
use super::event::StopReason;
use super::options::Signal;
use super::state::Turn;

/// Time between two questions.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Whoever has not said after so many that it stands does not say it: by then every machine does.
const ASKS_MAX: u32 = 100;
/// For the banner behind a reset.
const BANNER: Duration = Duration::from_secs(5);

/// How a machine is stopped for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrakeOptions {
    /// Stops motion.
    pub hold: Signal,
    /// Asks where the machine is.
    pub ask: Signal,
    /// How the answer begins when it stands.
    pub standing: Vec<String>,
    /// Throws away what is planned.
    pub reset: Signal,
}

/// How far that is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Brake {
    /// Not at all.
    #[default]
    Off,
    /// Held, and asked so many times; the next one is due at this moment, or now.
    Asking { asked: u32, at: Option<Moment> },
    /// The reset was written, and its banner is to come until then.
    Reset { until: Option<Moment> },
}

impl Streamer {
    /// Begins to stop the machine, where it has to be done like this; gives whether it has.
    pub(super) fn brake(&mut self) -> bool {
        if self.options.brake.is_none() {
            return false;
        }
        self.cut.brake = Brake::Asking { asked: 0, at: None };
        true
    }

    /// The next step, and when to look again; nothing where no machine is being stopped.
    pub(super) fn plan_brake(&mut self, now: Moment) -> Option<Moment> {
        match self.cut.brake {
            Brake::Off => None,
            Brake::Asking { at: Some(at), .. } if now < at => Some(at),
            Brake::Asking { asked, .. } if asked >= ASKS_MAX => {
                self.reset();
                Some(now)
            }
            Brake::Asking { asked, .. } => {
                let options = self.options.brake.clone()?;
                options.hold.write(&mut self.out, &self.options.framing.prefix);
                options.ask.write(&mut self.out, &self.options.framing.prefix);
                let next = now + ASK_EVERY;
                self.cut.brake = Brake::Asking { asked: asked + 1, at: Some(next) };
                Some(next)
            }
            Brake::Reset { until: None } => {
                self.cut.brake = Brake::Reset { until: Some(now + BANNER) };
                Some(now + BANNER)
            }
            Brake::Reset { until: Some(until) } if now < until => Some(until),
            Brake::Reset { .. } => {
                self.stop(StopReason::Silent { probes: 1 });
                None
            }
        }
    }

    /// An answer may say that the machine stands.
    pub(super) fn hear_standing(&mut self, text: &str) {
        let stands =
            |options: &BrakeOptions| options.standing.iter().any(|word| text.starts_with(word.as_str()));
        let asked = matches!(self.cut.brake, Brake::Asking { asked: 1.., .. });
        if asked && self.options.brake.as_ref().is_some_and(stands) {
            self.reset();
        }
    }

    fn reset(&mut self) {
        let Some(options) = &self.options.brake else { return };
        options.reset.write(&mut self.out, &self.options.framing.prefix);
        self.reset_asked = true;
        self.held = false;
        self.cut.brake = Brake::Reset { until: None };
    }

    /// Whether the end of a job is being brought about so.
    pub(super) fn is_braking(&self) -> bool {
        self.cut.brake != Brake::Off && matches!(self.turn, Turn::Ending(_))
    }
}
