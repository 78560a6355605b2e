//! A heater with thermal mass: first order towards full power or ambient, held exactly at its target.
//!
//! The course is a closed form between two settings, so a heater costs nothing while time passes.

/// The room.
pub const AMBIENT_C: f64 = 21.0;

/// How a heater behaves at speed 1.
#[derive(Debug, Clone)]
pub struct HeaterOptions {
    /// Temperature that full power would reach in the end.
    pub full_power_c: f64,
    /// Time constant of warming and cooling.
    pub time_constant_s: f64,
    /// Targets above this are cut to it (Marlin's `MAXTEMP` less its margin).
    pub max_target_c: f64,
}

impl HeaterOptions {
    /// A 40 W nozzle: 21 to 200 degrees in about 80 s.
    #[must_use]
    pub fn hotend() -> Self {
        Self { full_power_c: 450.0, time_constant_s: 150.0, max_target_c: 285.0 }
    }

    /// A mains-less bed: 21 to 60 degrees in about two minutes.
    #[must_use]
    pub fn bed() -> Self {
        Self { full_power_c: 140.0, time_constant_s: 300.0, max_target_c: 120.0 }
    }
}

/// One heater and its present course.
#[derive(Debug)]
pub(crate) struct Heater {
    options: HeaterOptions,
    speed: f64,
    from_us: u64,
    from_c: f64,
    target_c: f64,
}

impl Heater {
    pub(crate) fn new(options: HeaterOptions, speed: f64) -> Self {
        Self { options, speed: speed.max(f64::MIN_POSITIVE), from_us: 0, from_c: AMBIENT_C, target_c: 0.0 }
    }

    /// The temperature at a moment not before the last setting.
    pub(crate) fn temperature_c(&self, now_us: u64) -> f64 {
        let elapsed_s = now_us.saturating_sub(self.from_us) as f64 / 1e6 * self.speed;
        let left = (-elapsed_s / self.options.time_constant_s).exp();
        if self.heating() {
            let free = self.options.full_power_c + (self.from_c - self.options.full_power_c) * left;
            free.min(self.target_c)
        } else {
            (AMBIENT_C + (self.from_c - AMBIENT_C) * left).max(self.target_c)
        }
    }

    /// The wanted temperature; zero is off.
    pub(crate) fn target_c(&self) -> f64 {
        self.target_c
    }

    /// Sets a new target.
    pub(crate) fn set_target(&mut self, now_us: u64, target_c: f64) {
        self.from_c = self.temperature_c(now_us);
        self.from_us = now_us;
        self.target_c = target_c.clamp(0.0, self.options.max_target_c);
    }

    /// True while the target lies above the start of the present course.
    pub(crate) fn heating(&self) -> bool {
        self.target_c > self.from_c
    }

    /// When the target is reached within one degree; never for a target below the room.
    pub(crate) fn reached_at_us(&self) -> u64 {
        if (self.from_c - self.target_c).abs() <= 1.0 {
            return self.from_us;
        }
        let (limit, edge) = if self.heating() {
            (self.options.full_power_c, self.target_c - 1.0)
        } else {
            (AMBIENT_C, self.target_c + 1.0)
        };
        let ratio = (limit - self.from_c) / (limit - edge);
        if !ratio.is_finite() || ratio < 1.0 {
            return u64::MAX;
        }
        let seconds = self.options.time_constant_s * ratio.ln() / self.speed;
        self.from_us.saturating_add((seconds * 1e6).ceil() as u64)
    }

    /// The duty that `@:` shows: 127 while warming, a holding part at the target, 0 when off or cooling.
    pub(crate) fn duty(&self, now_us: u64) -> u8 {
        if self.target_c <= 0.0 {
            return 0;
        }
        let gap = self.target_c - self.temperature_c(now_us);
        if gap > 1.0 {
            127
        } else if gap < -1.0 {
            0
        } else {
            let share = (self.target_c - AMBIENT_C) / (self.options.full_power_c - AMBIENT_C);
            (share.clamp(0.0, 1.0) * 127.0) as u8
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nozzle_warms_holds_and_cools() {
        let mut nozzle = Heater::new(HeaterOptions::hotend(), 1.0);
        assert!((nozzle.temperature_c(5_000_000) - AMBIENT_C).abs() < 1e-9);
        nozzle.set_target(0, 200.0);
        let reached = nozzle.reached_at_us();
        assert!((60_000_000..100_000_000).contains(&reached), "{reached}");
        assert!((nozzle.temperature_c(reached) - 199.0).abs() < 0.01);
        assert_eq!(nozzle.duty(1_000_000), 127);
        assert!((nozzle.temperature_c(reached * 3) - 200.0).abs() < 1e-9);
        nozzle.set_target(reached * 3, 0.0);
        assert_eq!(nozzle.duty(reached * 3), 0);
        assert!(nozzle.temperature_c(reached * 4) < 130.0);
        assert_eq!(nozzle.reached_at_us(), u64::MAX);
    }

    #[test]
    fn speed_shortens_the_wait() {
        let mut slow = Heater::new(HeaterOptions::bed(), 1.0);
        let mut fast = Heater::new(HeaterOptions::bed(), 100.0);
        slow.set_target(0, 60.0);
        fast.set_target(0, 60.0);
        assert!(slow.reached_at_us().abs_diff(fast.reached_at_us() * 100) < 1_000);
    }
}
