//! One heater over time: what was asked of it, what it does, and whether that is as it should be.

use std::time::Duration;

use crate::Moment;
use crate::gcode::target::Heater;
use crate::temperature::Reading;

use super::Finding;
use super::alarm::{Act, Alarm, Wrong, name_of};

/// One garbled report is no temperature: something must be so in as many reports in a row, and for as long.
const REPORTS: u32 = 3;
const LASTS: Duration = Duration::from_secs(3);
/// A target this far away is not reached yet, in degrees Celsius.
const AWAY_C: f32 = 10.0;
/// So much warmer is warmer, in degrees Celsius (Marlin `WATCH_TEMP_INCREASE` is 2).
const WARMER_C: f32 = 2.0;

/// What is usual for a kind of heater.
#[derive(Debug, Clone, Copy)]
struct Habits {
    /// How far a temperature may overshoot a limit, in degrees Celsius (Marlin `HOTEND_OVERSHOOT` is 15, `BED_OVERSHOOT` 10).
    overshoot_c: f32,
    /// Within this time something that heats gets warmer. Marlin's `WATCH_TEMP_PERIOD` is 40 s and `WATCH_BED_TEMP_PERIOD`
    /// 60 s; a guard from outside has more patience.
    warms_within: Duration,
    /// So far above its target a heater is out of hand, in degrees Celsius.
    astray_c: f32,
    /// What is not meant to be heated may still be so warm, from what is heated beside it, in degrees Celsius.
    warmed_c: f32,
    /// So much hotter than when it left its target it is getting hotter, in degrees Celsius.
    rises_c: f32,
}

const HOT_END: Habits = Habits {
    overshoot_c: 15.0,
    warms_within: Duration::from_secs(180),
    astray_c: 40.0,
    warmed_c: 100.0,
    rises_c: 10.0,
};
const BED: Habits = Habits {
    overshoot_c: 10.0,
    warms_within: Duration::from_secs(300),
    astray_c: 20.0,
    warmed_c: 80.0,
    rises_c: 5.0,
};
const CHAMBER: Habits = Habits {
    overshoot_c: 10.0,
    warms_within: Duration::from_secs(900),
    astray_c: 25.0,
    warmed_c: 90.0,
    rises_c: 5.0,
};

/// Something that has been so since a moment, in so many reports.
#[derive(Debug, Clone, Copy, Default)]
struct Spell(Option<(Moment, u32, f32)>);

impl Spell {
    /// Takes a report; gives since when and the temperature at the beginning, once it has lasted.
    fn hear(&mut self, now: Moment, is_so: bool, actual: f32) -> Option<f32> {
        if !is_so {
            self.0 = None;
            return None;
        }
        let (since, reports, began_c) = self.0.map_or((now, 1, actual), |(since, n, c)| (since, n + 1, c));
        self.0 = Some((since, reports, began_c));
        (reports >= REPORTS && now - since >= LASTS).then_some(began_c)
    }
}

/// One heater.
#[derive(Debug)]
pub(super) struct Course {
    heater: Heater,
    habits: Habits,
    /// What was written last that asks something of it, in degrees Celsius.
    asked: f32,
    /// The last report.
    reading: Option<Reading>,
    above_limit: Spell,
    astray: Spell,
    /// The warmest since it began to heat, and when that was.
    warmest: (f32, Moment),
    told_hot: bool,
    told_astray: bool,
    told_cold: bool,
}

impl Course {
    pub(super) fn new(heater: Heater, now: Moment) -> Self {
        let habits = match heater {
            Heater::HotEnd(_) => HOT_END,
            Heater::Bed => BED,
            Heater::Chamber => CHAMBER,
        };
        Self {
            heater,
            habits,
            asked: 0.0,
            reading: None,
            above_limit: Spell::default(),
            astray: Spell::default(),
            warmest: (f32::NEG_INFINITY, now),
            told_hot: false,
            told_astray: false,
            told_cold: false,
        }
    }

    pub(super) fn heater(&self) -> Heater {
        self.heater
    }

    pub(super) fn is_reported(&self) -> bool {
        self.reading.is_some()
    }

    /// What is wanted of it: as the firmware says, or as it was asked since or where the firmware does not say.
    pub(super) fn target(&self) -> f32 {
        self.reading.and_then(|reading| reading.target).unwrap_or(self.asked)
    }

    pub(super) fn ask(&mut self, now: Moment, celsius: f32) {
        self.follow(now, |course| {
            course.asked = celsius;
            if let Some(reading) = &mut course.reading {
                reading.target = None;
            }
        });
    }

    /// Takes a report; gives whether its target is another one now.
    pub(super) fn hear(&mut self, now: Moment, reading: Reading) -> bool {
        self.follow(now, |course| course.reading = Some(reading))
    }

    fn follow(&mut self, now: Moment, change: impl FnOnce(&mut Self)) -> bool {
        let before = self.target();
        change(self);
        let has_changed = self.target() != before;
        if has_changed {
            self.astray = Spell::default();
            self.warmest = (f32::NEG_INFINITY, now);
        }
        has_changed
    }

    /// Looks at the last report. `limit` is the highest temperature that may be asked for, where one is in force.
    pub(super) fn judge(
        &mut self,
        now: Moment,
        limit: Option<f32>,
        maintenance: bool,
        news: &mut Vec<Finding>,
    ) {
        let Some(reading) = self.reading else { return };
        if let Some(limit) = limit.filter(|&limit| limit > 0.0) {
            self.judge_limit(now, reading.actual, limit, news);
        }
        if let Some(target) = reading.target {
            self.judge_astray(now, reading.actual, target, maintenance, news);
        }
        self.judge_warming(now, reading.actual, news);
    }

    fn judge_limit(&mut self, now: Moment, actual: f32, limit: f32, news: &mut Vec<Finding>) {
        let is_above = actual > limit + self.habits.overshoot_c;
        let lasts = self.above_limit.hear(now, is_above, actual).is_some();
        let wrong = Wrong::TooHot(self.heater);
        if lasts && !self.told_hot {
            self.told_hot = true;
            let name = name_of(self.heater);
            let text = format!("{name} is at {actual:.0} °C, and the profile allows {limit:.0} °C");
            news.push(Finding::Alarm(Alarm { wrong, act: Act::MakeSafe, text }));
        } else if self.told_hot && actual <= limit {
            self.told_hot = false;
            news.push(Finding::Over(wrong));
        }
    }

    /// Above its target it may be because it cools down; it is out of hand when it rises all the same. Where nothing was
    /// asked for, switching it off does not help, and a firmware that tunes a heater may be at work.
    fn judge_astray(
        &mut self,
        now: Moment,
        actual: f32,
        target: f32,
        maintenance: bool,
        news: &mut Vec<Finding>,
    ) {
        let habits = self.habits;
        let is_astray = actual > (target + habits.astray_c).max(habits.warmed_c);
        let began_c = self.astray.hear(now, is_astray, actual);
        let wrong = Wrong::RunsAway(self.heater);
        if began_c.is_some_and(|began_c| actual >= began_c + habits.rises_c) && !self.told_astray {
            self.told_astray = true;
            let name = name_of(self.heater);
            let text = format!("{name} is at {actual:.0} °C and rises, and {target:.0} °C was asked for");
            let act = if target > 0.0 && !maintenance { Act::MakeSafe } else { Act::Tell };
            news.push(Finding::Alarm(Alarm { wrong, act, text }));
        } else if self.told_astray && !is_astray {
            self.told_astray = false;
            news.push(Finding::Over(wrong));
        }
    }

    fn judge_warming(&mut self, now: Moment, actual: f32, news: &mut Vec<Finding>) {
        let target = self.target();
        let wrong = Wrong::StaysCold(self.heater);
        let is_cold = target > 0.0 && actual < target - AWAY_C;
        if !is_cold || actual >= self.warmest.0 + WARMER_C {
            self.warmest = (if is_cold { actual } else { f32::NEG_INFINITY }, now);
            if std::mem::take(&mut self.told_cold) {
                news.push(Finding::Over(wrong));
            }
        } else if now - self.warmest.1 >= self.habits.warms_within && !self.told_cold {
            self.told_cold = true;
            let (name, minutes) = (name_of(self.heater), (now - self.warmest.1).as_secs() / 60);
            let text = format!(
                "{name} is at {actual:.0} °C, {target:.0} °C was asked for, and it has not got warmer for {minutes} min"
            );
            news.push(Finding::Alarm(Alarm { wrong, act: Act::Tell, text }));
        }
    }
}
